#include "eviction/csrc/lists.h"
#include <stdio.h>
#include <stdlib.h>

void *lists_create(const evi_config *config, size_t size, double ghosts) {
    double nodes = ghosts * config->slots + 2;
    evi_lists *l = calloc(1, size);
    if (!l || nodes > UINT32_MAX || !residents_init(&l->r, config)) return free(l), NULL;
    if (!ghosts_init(&l->h, (uint32_t)nodes, config->flags)) return residents_free(&l->r), free(l), NULL;
    l->size = size;
    return l;
}

void lists_destroy(void *policy) {
    evi_lists *l = policy;
    residents_free(&l->r);
    ghosts_free(&l->h);
    free(l);
}

void lists_remove(void *policy, uint32_t slot) {
    evi_lists *l = policy;
    residents_unlink(&l->r, slot);
    residents_tell(&l->r, 'r', l->r.key[slot], slot);
}

void lists_layout(void *policy, evi_layout *out) {
    evi_lists *l = policy;
    policy_layout(policy, out);
    ghosts_layout(&l->h, out);
    out->bytes += l->size;
}

void lists_trim(evi_lists *l, int queue, uint64_t room) {
    const evi_queue *q = &l->h.g.queue[queue];
    while (q->weight > room && q->count > 1) ghosts_drop(&l->h, q->back);
    if (q->count) __builtin_prefetch(&l->h.table.entry[table_home(&l->h.table, l->h.g.key[q->back])], 1); /* the next to be dropped */
}

uint32_t lists_drop(evi_lists *l, uint32_t slot) {
    if (slot == EVI_NONE) return slot;
    residents_unlink(&l->r, slot);
    residents_tell(&l->r, 'e', l->r.key[slot], slot);
    return slot;
}

uint32_t lists_leave(evi_lists *l, uint32_t slot, int queue, uint64_t room) {
    if (slot == EVI_NONE) return slot;
    ghosts_add(&l->h, queue, l->r.key[slot], residents_weight(&l->r, slot));
    lists_trim(l, queue, room);
    return lists_drop(l, slot);
}

void lists_take(evi_lists *l, uint32_t ghost) {
    ghosts_drop(&l->h, ghost);
    l->r.ghost_hits++;
    residents_tell(&l->r, 'g', l->h.g.key[ghost], EVI_NONE);
}

int lists_ghost_hit(evi_lists *l, uint64_t key) {
    uint32_t ghost = ghosts_find(&l->h, key);
    if (ghost == EVI_NONE) return 0;
    lists_take(l, ghost);
    return 1;
}

void lists_text(const evi_residents *r, int queue, evi_text *text, const char *name) {
    text_add(text, "%s:", name);
    for (uint32_t s = r->queue[queue].front; s != EVI_NONE; s = r->node[s].older) {
        text_add(text, " %llu", (unsigned long long)r->key[s]);
        for (int star = 0; star < r->node[s].mark; star++) text_add(text, "*");
    }
    text_add(text, "\n");
}

int lists_check(const evi_lists *l, char *why, size_t n) {
    if (!residents_check(&l->r, why, n) || !ghosts_check(&l->h, why, n)) return 0;
    for (uint32_t s = 0; s < l->r.slots; s++)
        if (l->r.node[s].tag && ghosts_find(&l->h, l->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    return 1;
}

int lists_check_room(const evi_lists *l, int queue, uint64_t room, char *why, size_t n) {
    const evi_queue *q = &l->h.g.queue[queue];
    if (q->weight <= room || q->count <= 1) return 1;
    return snprintf(why, n, "ghosts weigh %llu of %llu", (unsigned long long)q->weight, (unsigned long long)room), 0;
}
