#include "eviction/csrc/residents.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int residents_init(evi_residents *r, uint64_t capacity, uint32_t slots) {
    size_t n = (size_t)slots + 1;
    memset(r, 0, sizeof *r);
    r->capacity = capacity;
    r->slots = slots;
    r->key = malloc(n * sizeof *r->key);
    r->weight = malloc(n * sizeof *r->weight);
    r->newer = malloc(n * sizeof *r->newer);
    r->older = malloc(n * sizeof *r->older);
    r->tag = calloc(n, 1);
    r->mark = calloc(n, 1);
    for (int i = 0; i < EVI_QUEUES; i++) r->queue[i].front = r->queue[i].back = EVI_NONE;
    if (r->key && r->weight && r->newer && r->older && r->tag && r->mark) return 1;
    residents_free(r);
    return 0;
}

void residents_free(evi_residents *r) {
    free(r->key);
    free(r->weight);
    free(r->newer);
    free(r->older);
    free(r->tag);
    free(r->mark);
}

void residents_push(evi_residents *r, int queue, uint32_t slot) {
    evi_queue *q = &r->queue[queue];
    r->newer[slot] = EVI_NONE;
    r->older[slot] = q->front;
    if (q->front == EVI_NONE)
        q->back = slot;
    else
        r->newer[q->front] = slot;
    q->front = slot;
    q->count++;
    q->weight += r->weight[slot];
    r->tag[slot] = (uint8_t)(queue + 1);
}

void residents_unlink(evi_residents *r, uint32_t slot) {
    evi_queue *q = &r->queue[r->tag[slot] - 1];
    uint32_t newer = r->newer[slot], older = r->older[slot];
    if (newer == EVI_NONE)
        q->front = older;
    else
        r->older[newer] = older;
    if (older == EVI_NONE)
        q->back = newer;
    else
        r->newer[older] = newer;
    q->count--;
    q->weight -= r->weight[slot];
    r->tag[slot] = 0;
}

void residents_place(evi_residents *r, int queue, uint32_t slot, uint64_t key, uint64_t weight) {
    r->key[slot] = key;
    r->weight[slot] = weight ? weight : 1;
    r->mark[slot] = 0;
    residents_push(r, queue, slot);
}

void text_add(evi_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t room = text->used < text->n ? text->n - text->used : 0;
    int wrote = vsnprintf(room ? text->out + text->used : NULL, room, format, args);
    va_end(args);
    if (wrote > 0) text->used += (size_t)wrote;
}

void residents_text(const evi_residents *r, int queue, evi_text *text, const char *mark) {
    for (uint32_t s = r->queue[queue].front; s != EVI_NONE; s = r->older[s])
        text_add(text, " %llu%s", (unsigned long long)r->key[s], r->mark[s] ? mark : "");
    text_add(text, "\n");
}

int residents_check(const evi_residents *r, char *why, size_t n) {
    uint64_t total = 0, seen = 0, tagged = 0;
    for (int i = 0; i < EVI_QUEUES; i++) {
        const evi_queue *q = &r->queue[i];
        uint64_t weight = 0;
        uint32_t count = 0, last = EVI_NONE;
        for (uint32_t s = q->front; s != EVI_NONE && count <= r->slots; last = s, s = r->older[s], count++) {
            if (s >= r->slots || r->tag[s] != i + 1 || r->newer[s] != last)
                return snprintf(why, n, "queue %d is broken at slot %u", i, s), 0;
            weight += r->weight[s];
        }
        if (count != q->count || weight != q->weight || last != q->back)
            return snprintf(why, n, "queue %d counts %u of weight %llu", i, count, (unsigned long long)weight), 0;
        total += weight;
        seen += count;
    }
    for (uint32_t s = 0; s < r->slots; s++) tagged += r->tag[s] != 0;
    if (tagged != seen) return snprintf(why, n, "%llu tagged, %llu queued", (unsigned long long)tagged, (unsigned long long)seen), 0;
    if (total > r->capacity) return snprintf(why, n, "residents weigh %llu", (unsigned long long)total), 0;
    return 1;
}
