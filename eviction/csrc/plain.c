#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *plain_create(const evi_config *config, const char *name) {
    if (config->params[0]) return NULL;
    evi_plain *p = malloc(sizeof *p);
    if (!p || !residents_init(&p->r, config)) {
        free(p);
        return NULL;
    }
    p->name = name;
    p->hand = EVI_NONE;
    return p;
}

void plain_destroy(void *policy) {
    evi_plain *p = policy;
    residents_free(&p->r);
    free(p);
}

int policy_miss(void *policy, uint64_t key, uint64_t weight) {
    evi_residents *r = policy;
    if ((weight ? weight : 1) <= r->capacity) return 1;
    residents_tell(r, 'b', key, EVI_NONE);
    return 0;
}

int policy_resize(void *policy, uint64_t capacity) {
    ((evi_residents *)policy)->capacity = capacity;
    return 0;
}

uint64_t policy_ghost_hits(void *policy) { return ((evi_residents *)policy)->ghost_hits; }

void policy_listen(void *policy, evi_event_fn fn, void *arg) {
    evi_residents *r = policy;
    r->event = fn;
    r->event_arg = arg;
}

void policy_layout(void *policy, evi_layout *out) {
    const evi_residents *r = policy;
    *out = (evi_layout){.bytes = residents_bytes(r), .nodes = (const char *)r->node, .stride = sizeof *r->node, .keys = r->key};
}

int policy_params(const char *text, const evi_param *params) {
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t name = strcspn(text, "= ");
        const evi_param *p = params;
        while (p->name && (strlen(p->name) != name || memcmp(p->name, text, name))) p++;
        if (!p->name || text[name] != '=') return 0;
        char *end;
        double value = strtod(text + name + 1, &end);
        if (end == text + name + 1 || (*end && *end != ' ') || !(value >= p->min && value <= p->max)) return 0;
        *p->value = value;
        text = end;
    }
    return 1;
}

void plain_insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    evi_plain *p = policy;
    residents_place(&p->r, 0, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
}

static void forget(evi_plain *p, uint32_t slot) {
    if (p->hand == slot) p->hand = p->r.node[slot].newer;
    residents_unlink(&p->r, slot);
}

void plain_layout(void *policy, evi_layout *out) {
    policy_layout(policy, out);
    out->bytes += sizeof(evi_plain);
}

uint32_t plain_leave(evi_plain *p, uint32_t slot) {
    if (slot == EVI_NONE) return slot;
    forget(p, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

void plain_remove(void *policy, uint32_t slot) {
    evi_plain *p = policy;
    forget(p, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

size_t plain_dump(void *policy, char *out, size_t n) {
    evi_plain *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "%s:", p->name);
    residents_text(&p->r, 0, &text, "*");
    if (p->hand != EVI_NONE) text_add(&text, "hand: %llu\n", (unsigned long long)p->r.key[p->hand]);
    return text.used;
}

int plain_check(void *policy, char *why, size_t n) {
    evi_plain *p = policy;
    if (p->hand != EVI_NONE && (p->hand >= p->r.slots || !p->r.node[p->hand].tag)) return snprintf(why, n, "the hand is not resident"), 0;
    return residents_check(&p->r, why, n);
}
