/* aging.c: LFU with dynamic aging (Arlitt, Cherkasova, Dilley, Friedrich and Jin, Evaluating content management techniques for Web proxy caches, Performance
 * Evaluation Review 27(4), 2000) and GreedyDual-Size with frequency (Cherkasova, Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching
 * policy, HPL-98-69).
 *
 *    priority = L + count (lfuda)      L + count / weight (gdsf, every miss costs 1)      L: priority of the last victim
 *
 * The least priority leaves; of equal ones that which has had it longest. L is added on insert and on every hit, and never falls. Counts are kept while
 * resident. What comes is given its priority after the victims have left (lfuda), or before (gdsf), and gdsf does not admit what would itself be among the
 * least that make room: it and they stay as they are (HPL-98-69, section 2). The paper leaves L alone then, so that with equal weights and every resident hit
 * nothing would ever come in again; here who is turned away is the last victim: L rises to its priority, or the least resident's if that is less.
 * Against other programs with weights of 1: gdsf is libCacheSim's to the hit, 0.6 points of hit ratio below Caffeine's simulator on average, which breaks ties
 * by key (22 more on a loop at some sizes, less on databases and the Web). libCacheSim's lfuda adds L to the count anew on every hit and so grows by powers:
 * 2.0 points below this one on average (OLTP 9.0).
 * Memory: slots nodes and a heap, 32 bytes a slot. A hit costs O(log n), and so does a miss but for who leaves and gdsf's count of them.
 * Invariants: heap.h's; L is at most every priority. */
#include "eviction/csrc/heap.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>

typedef struct {
    evi_residents r;
    evi_heap heap; /* note: the count, up to 2^32 - 1 */
    uint64_t now;
    double age, coming_age; /* L, and L for the pending miss */
    int by_weight;
} aging;

static void destroy(void *policy) {
    aging *p = policy;
    residents_free(&p->r);
    heap_free(&p->heap);
    free(p);
}

static void *make(const evi_config *config, int by_weight) {
    if (config->params[0]) return NULL;
    aging *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->by_weight = by_weight;
    if (!heap_init(&p->heap, config->slots)) return free(p), NULL;
    if (!residents_init(&p->r, config)) return heap_free(&p->heap), free(p), NULL;
    return p;
}

static void *create_lfuda(const evi_config *config) { return make(config, 0); }
static void *create_gdsf(const evi_config *config) { return make(config, 1); }

static double worth(const aging *p, uint32_t count, uint64_t weight) { return p->by_weight ? count / (double)weight : count; }

static void hit(void *policy, uint32_t slot) {
    aging *p = policy;
    heap_spot *s = &p->heap.spot[slot];
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    s->note += s->note < UINT32_MAX;
    const double priority = p->age + (p->r.weight ? worth(p, s->note, p->r.weight[slot]) : s->note);
    heap_down(&p->heap, s->place, (heap_entry){priority, ++p->now, slot});
}

/* The weight, up to about need, of what is under i in the heap and worth no more than that. */
static uint64_t lesser(const aging *p, uint32_t i, double most, uint64_t need) {
    if (i >= p->heap.count || p->heap.entry[i].major > most) return 0;
    uint64_t sum = residents_weight(&p->r, p->heap.entry[i].slot);
    for (uint32_t child = 4 * i + 1; child <= 4 * i + 4 && sum < need; child++) sum += lesser(p, child, most, need - sum);
    return sum;
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    aging *p = policy;
    weight += !weight;
    if (!policy_miss(policy, key, weight)) return 0;
    p->coming_age = p->age;
    const uint64_t full = p->r.queue[EVI_LOOSE].weight + weight;
    uint64_t need = full > p->r.capacity ? full - p->r.capacity : p->heap.count == p->r.slots;
    const double mine = p->age + worth(p, 1, weight);
    if (!p->by_weight || lesser(p, 0, mine, need) >= need) return 1;
    const double least = p->heap.count ? p->heap.entry[0].major : mine;
    p->age = least < mine ? least : mine;
    residents_tell(&p->r, 'b', key, EVI_NONE);
    return 0;
}

static uint32_t evict(void *policy) {
    aging *p = policy;
    if (!p->heap.count) return EVI_NONE;
    uint32_t slot = heap_top(&p->heap);
    p->age = p->heap.entry[0].major;
    heap_remove(&p->heap, slot);
    residents_leave(&p->r, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    aging *p = policy;
    residents_name(&p->r, slot, key, weight);
    residents_loosen(&p->r, slot);
    p->heap.spot[slot].note = 1;
    double priority = (p->by_weight ? p->coming_age : p->age) + worth(p, 1, residents_weight(&p->r, slot));
    if (priority < p->age) priority = p->age; /* gdsf, where it was let in though its victims are worth more: not after a miss of its own */
    heap_add(&p->heap, slot, priority, ++p->now);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    aging *p = policy;
    heap_remove(&p->heap, slot);
    residents_leave(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    aging *p = policy;
    evi_text text = {out, n, 0};
    heap_entry *ranked = heap_sorted(&p->heap);
    text_add(&text, "%s: L=%.6g\nranked:", p->by_weight ? "gdsf" : "lfuda", p->age);
    for (uint32_t i = 0; ranked && i < p->heap.count; i++)
        text_add(&text, " %llu/%.6g", (unsigned long long)p->r.key[ranked[i].slot], ranked[i].major);
    free(ranked);
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    aging *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    if (p->heap.count != p->r.queue[EVI_LOOSE].count || !heap_check(&p->heap)) return snprintf(why, n, "the heap is broken"), 0;
    if (p->heap.count && p->heap.entry[0].major < p->age) return snprintf(why, n, "L is above a priority"), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    aging *p = policy;
    policy_layout(policy, out);
    out->nodes = (const char *)p->heap.spot; /* what a hit reads of its slot */
    out->stride = sizeof *p->heap.spot;
    out->bytes += sizeof(aging) + heap_bytes(p->r.slots);
}

const evi_ops evi_lfuda = POLICY_OPS("lfuda", create_lfuda);
const evi_ops evi_gdsf = POLICY_OPS("gdsf", create_gdsf);
