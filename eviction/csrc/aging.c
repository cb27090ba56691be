/* aging.c: LFU with dynamic aging (Arlitt, Cherkasova, Dilley, Friedrich and Jin, Evaluating content management techniques for Web proxy caches, 1999)
 * and GreedyDual-Size with frequency (Cherkasova, Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy, HPL-98-69).
 *
 *    priority = L + count (lfuda)      L + count / weight (gdsf, every miss costs 1)      L: priority of the last victim
 *
 * The least priority leaves; of equal ones that which has not changed for longest. L is added on insert and on every hit, and never falls. Counts are kept
 * while resident. Memory: slots nodes and 32 bytes a slot. A hit costs O(log n).
 * Invariants: heap.h's; L is at most every priority. */
#include "eviction/csrc/heap.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>

typedef struct {
    evi_residents r;
    evi_heap heap;
    uint64_t *count, now;
    double age;
    int by_weight;
} aging;

static void destroy(void *policy) {
    aging *p = policy;
    residents_free(&p->r);
    heap_free(&p->heap);
    free(p->count);
    free(p);
}

static void *make(const evi_config *config, int by_weight) {
    if (config->params && config->params[0]) return NULL;
    aging *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->by_weight = by_weight;
    p->count = malloc(((size_t)config->slots + 1) * sizeof *p->count);
    if (!p->count || !heap_init(&p->heap, config->slots)) return free(p->count), free(p), NULL;
    if (!residents_init(&p->r, config)) return heap_free(&p->heap), free(p->count), free(p), NULL;
    return p;
}

static void *create_lfuda(const evi_config *config) { return make(config, 0); }
static void *create_gdsf(const evi_config *config) { return make(config, 1); }

static double priority(const aging *p, uint32_t slot) {
    double worth = (double)p->count[slot];
    return p->age + (p->by_weight ? worth / (double)residents_weight(&p->r, slot) : worth);
}

static void hit(void *policy, uint32_t slot) {
    aging *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    p->count[slot]++;
    heap_change(&p->heap, slot, priority(p, slot), ++p->now);
}

static int miss(void *policy, uint64_t key, uint64_t weight) { return policy_miss(policy, key, weight); }

static uint32_t evict(void *policy) {
    aging *p = policy;
    if (!p->heap.count) return EVI_NONE;
    uint32_t slot = p->heap.at[0];
    p->age = p->heap.major[slot];
    heap_remove(&p->heap, slot);
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    aging *p = policy;
    residents_place(&p->r, 0, slot, key, weight);
    p->count[slot] = 1;
    heap_add(&p->heap, slot, priority(p, slot), ++p->now);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    aging *p = policy;
    heap_remove(&p->heap, slot);
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    aging *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "%s: L=%.6g\nin order of arrival, newest first:", p->by_weight ? "gdsf" : "lfuda", p->age);
    for (uint32_t s = p->r.queue[0].front; s != EVI_NONE; s = p->r.node[s].older)
        text_add(&text, " %llu/%.6g", (unsigned long long)p->r.key[s], p->heap.major[s]);
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    aging *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    if (p->heap.count != p->r.queue[0].count || !heap_check(&p->heap)) return snprintf(why, n, "the heap is broken"), 0;
    if (p->heap.count && p->heap.major[p->heap.at[0]] < p->age) return snprintf(why, n, "L is above a priority"), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    aging *p = policy;
    policy_layout(policy, out);
    out->bytes += sizeof(aging) + heap_bytes(p->r.slots) + ((size_t)p->r.slots + 1) * sizeof *p->count;
}

const evi_ops evi_lfuda = POLICY_OPS("lfuda", 0, create_lfuda);
const evi_ops evi_gdsf = POLICY_OPS("gdsf", 0, create_gdsf);
