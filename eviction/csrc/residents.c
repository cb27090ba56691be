#include "eviction/csrc/residents.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int residents_init(evi_residents *r, const evi_config *config) {
    size_t n = (size_t)config->slots + 1;
    memset(r, 0, sizeof *r);
    r->capacity = config->capacity;
    r->slots = config->slots;
    r->node = calloc(n, sizeof *r->node);
    r->key = malloc(n * sizeof *r->key);
    r->weight = config->flags & EVI_UNIT ? NULL : malloc(n * sizeof *r->weight);
    for (int i = 0; i <= EVI_LOOSE; i++) r->queue[i].front = r->queue[i].back = EVI_NONE;
    if (r->node && r->key && (r->weight || config->flags & EVI_UNIT)) return 1;
    residents_free(r);
    return 0;
}

void residents_free(evi_residents *r) {
    free(r->node);
    free(r->key);
    free(r->weight);
}

size_t residents_bytes(const evi_residents *r) {
    return ((size_t)r->slots + 1) * (sizeof *r->node + sizeof *r->key + (r->weight ? sizeof *r->weight : 0));
}

void residents_insert_newer(evi_residents *r, uint32_t than, uint32_t slot) {
    int queue = r->node[than].tag - 1;
    uint32_t newer = r->node[than].newer;
    if (newer == EVI_NONE) {
        residents_push(r, queue, slot);
        return;
    }
    r->node[slot].older = than;
    r->node[slot].newer = newer;
    r->node[than].newer = r->node[newer].older = slot;
    residents_counted(r, queue, slot);
}

void text_add(evi_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t room = text->used < text->n ? text->n - text->used : 0;
    text->used +=
        (size_t)vsnprintf(room ? text->out + text->used : NULL, room, format, args); /* without wide characters it does not fail */
    va_end(args);
}

void residents_text(const evi_residents *r, int queue, evi_text *text, const char *mark) {
    for (uint32_t s = r->queue[queue].front; s != EVI_NONE; s = r->node[s].older)
        text_add(text, " %llu%s", (unsigned long long)r->key[s], r->node[s].mark ? mark : "");
    text_add(text, "\n");
}

int residents_check(const evi_residents *r, char *why, size_t n) {
    uint64_t total = 0, seen = 0, tagged = 0;
    evi_queue loose = {EVI_NONE, EVI_NONE, 0, 0};
    for (int i = 0; i < EVI_QUEUES; i++) {
        const evi_queue *q = &r->queue[i];
        uint64_t weight = 0;
        uint32_t count = 0, last = EVI_NONE;
        for (uint32_t s = q->front; s != EVI_NONE && count <= r->slots; last = s, s = r->node[s].older, count++) {
            if (s >= r->slots || r->node[s].tag != i + 1 || r->node[s].newer != last)
                return snprintf(why, n, "queue %d is broken at slot %u", i, s), 0;
            weight += residents_weight(r, s);
        }
        if (count != q->count || weight != q->weight || last != q->back)
            return snprintf(why, n, "queue %d counts %u of weight %llu", i, count, (unsigned long long)weight), 0;
        total += weight;
        seen += count;
    }
    for (uint32_t s = 0; s < r->slots; s++) {
        const int is_loose = r->node[s].tag == EVI_LOOSE + 1;
        tagged += r->node[s].tag != 0;
        loose.count += (uint32_t)is_loose;
        loose.weight += is_loose ? residents_weight(r, s) : 0;
    }
    total += loose.weight;
    seen += loose.count;
    if (loose.count != r->queue[EVI_LOOSE].count || loose.weight != r->queue[EVI_LOOSE].weight)
        return snprintf(why, n, "%u loose of weight %llu", loose.count, (unsigned long long)loose.weight), 0;
    if (tagged != seen) return snprintf(why, n, "%llu tagged, %llu queued", (unsigned long long)tagged, (unsigned long long)seen), 0;
    if (total > r->capacity) return snprintf(why, n, "residents weigh %llu", (unsigned long long)total), 0;
    return 1;
}
