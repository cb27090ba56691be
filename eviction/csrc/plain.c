#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

void *plain_create(const evi_config *config, const char *name) {
    if (config->params && config->params[0]) return NULL;
    evi_plain *p = malloc(sizeof *p);
    if (!p || !residents_init(&p->r, config->capacity, config->slots)) {
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

int plain_miss(void *policy, uint64_t key, uint64_t weight) {
    evi_plain *p = policy;
    if ((weight ? weight : 1) <= p->r.capacity) return 1;
    residents_tell(&p->r, 'b', key, EVI_NONE);
    return 0;
}

void plain_insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    evi_plain *p = policy;
    residents_place(&p->r, 0, slot, key, weight);
    residents_tell(&p->r, 'a', key, slot);
}

static void forget(evi_plain *p, uint32_t slot) {
    if (p->hand == slot) p->hand = p->r.newer[slot];
    residents_unlink(&p->r, slot);
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

int plain_resize(void *policy, uint64_t capacity) {
    ((evi_plain *)policy)->r.capacity = capacity;
    return 0;
}

uint64_t plain_ghost_hits(void *policy) {
    (void)policy;
    return 0;
}

void plain_listen(void *policy, evi_event_fn fn, void *arg) {
    evi_plain *p = policy;
    p->r.event = fn;
    p->r.event_arg = arg;
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
    if (p->hand != EVI_NONE && (p->hand >= p->r.slots || !p->r.tag[p->hand])) return snprintf(why, n, "the hand is not resident"), 0;
    return residents_check(&p->r, why, n);
}
