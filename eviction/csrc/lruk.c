/* lruk.c: LRU-K (O'Neil, O'Neil and Weikum, The LRU-K page replacement algorithm for database disk buffering, SIGMOD 1993, section 2.1, figure 2.1).
 *
 *    history of a key: h1 > h2 > .. > hK, when its last K uncorrelated uses were, in requests (0: there was none), and when the last use of all was
 *
 *    recent (by last use) --a period without a use--> once (hK = 0, by last use)       victim: the oldest of once, else the least hK of ranked,
 *           ^------------- a use, which is a new one ---- ranked (hK > 0, a heap)                  else, with all in correlated uses, the oldest of recent
 *
 * A use within the correlated reference period of the last one only prolongs that use, and a key in the middle of such is not replaced; when the next one
 * comes, the time that they took is taken out of the history. The history outlives the page: that of evicted keys is retained, as many as `history` times the
 * slots, and for `rip` requests after the last use (0: without an end); without it the policy would be an LFU of sorts. Among keys without K uses the least
 * recently used leaves, as the paper suggests. The paper has the period in seconds, found by looking; here it goes with the cache, crp=0.2 requests a resident:
 * 40.3, 46.5 and 55.2% of ARC's trace OLTP at 1000, 2000 and 5000 (0.4: 40.8, 46.9, 55.5; crp=0, no use is correlated: 33.3, 40.4, 49.2), where the ARC paper
 * has 39.3, 45.8 and 54.8 for an LRU-2 tuned by hand. libCacheSim's LRU-K retains no history and so behaves like LFU.
 * Parameters: k=2 (1, LRU, to 8), crp=0.2, rip=0, history=1.
 * Memory: slots nodes, 32 + 8 (K + 1) bytes a slot, history nodes and 8 (K + 1) bytes each. A use costs O(log n), a correlated one O(1).
 * Invariants: heap.h's; recent and once are ordered by last use; who is once or ranked has the history for it; no key is resident and retained. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/heap.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <string.h>

enum { RECENT, ONCE, RANKED = EVI_LOOSE, MOST_K = 8 };

typedef struct {
    evi_residents r;
    evi_ghosts h;
    evi_heap heap;
    uint64_t *times, *ghost_times, now; /* by slot and by ghost: h1 .. hK, last */
    uint64_t rip;
    double crp;
    int k, known;
    uint64_t coming[MOST_K + 1]; /* the history of the pending miss, where there is one: known */
} lruk;

static void copy(const lruk *p, uint64_t *to, const uint64_t *from) { /* mostly three of them: no call */
    for (int i = 0; i <= p->k; i++) to[i] = from[i];
}

static uint64_t *times_of(const lruk *p, uint32_t slot) { return p->times + (size_t)slot * (size_t)(p->k + 1); }
static uint64_t *times_of_ghost(const lruk *p, uint32_t ghost) { return p->ghost_times + (size_t)ghost * (size_t)(p->k + 1); }

static void destroy(void *policy) {
    lruk *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    heap_free(&p->heap);
    free(p->times);
    free(p->ghost_times);
    free(p);
}

static void *create(const evi_config *config) {
    lruk *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    double k = 2, rip = 0, history = 1;
    p->crp = 0.2;
    const evi_param params[] = {{"k", &k, 1, MOST_K}, {"crp", &p->crp, 0, 1e6}, {"rip", &rip, 0, 1e15}, {"history", &history, 0, 64}, {0}};
    if (!policy_params(config->params, params) || k != (int)k) return free(p), NULL;
    const double ghosts = config->slots * history + 1;
    if (ghosts > (1u << 29) || !residents_init(&p->r, config)) return free(p), NULL;
    if (!ghosts_init(&p->h, (uint32_t)ghosts, config->flags)) return residents_free(&p->r), free(p), NULL;
    if (!heap_init(&p->heap, config->slots)) return residents_free(&p->r), ghosts_free(&p->h), free(p), NULL;
    p->k = (int)k;
    p->rip = (uint64_t)rip;
    p->times = malloc(((size_t)config->slots + 1) * (size_t)(p->k + 1) * sizeof *p->times);
    p->ghost_times = malloc((size_t)p->h.g.slots * (size_t)(p->k + 1) * sizeof *p->ghost_times);
    return p->times && p->ghost_times ? p : (destroy(p), NULL);
}

/* Puts a slot that is in no queue among those that may be replaced. */
static void rank(lruk *p, uint32_t slot) {
    const uint64_t *t = times_of(p, slot);
    if (!t[p->k - 1]) {
        residents_push(&p->r, ONCE, slot);
        return;
    }
    residents_loosen(&p->r, slot);
    heap_add(&p->heap, slot, (double)t[p->k - 1], t[p->k]);
}

static void unlink_slot(lruk *p, uint32_t slot) {
    if (p->r.node[slot].tag != RANKED + 1) {
        residents_unlink(&p->r, slot);
        return;
    }
    heap_remove(&p->heap, slot);
    residents_leave(&p->r, slot);
}

/* The time goes on by a request. Uses are a request apart, so one key a time is no longer recent, or more when the period has become shorter. */
static void tick(lruk *p) {
    const evi_queue *q = p->r.queue;
    p->now++;
    if (!q[RECENT].count) return;
    const uint64_t period = (uint64_t)(p->crp * (q[RECENT].count + q[ONCE].count + q[RANKED].count));
    for (int i = 0; i < 2 && q[RECENT].count; i++) {
        const uint32_t slot = q[RECENT].back;
        if (p->now - times_of(p, slot)[p->k] <= period) return;
        const uint32_t next = p->r.node[slot].newer; /* its time comes soon: half of the cost would be to wait for its lines */
        if (next != EVI_NONE) {
            __builtin_prefetch(times_of(p, next));
            __builtin_prefetch(&p->r.node[p->r.node[next].newer]);
        }
        residents_unlink(&p->r, slot);
        rank(p, slot);
    }
}

/* A use that is not correlated: h1 .. hK move on by one; `after` is added to them, the time that the last use went on for. */
static void shift(const lruk *p, uint64_t *t, uint64_t after) {
    for (int i = p->k - 1; i > 0; i--) t[i] = t[i - 1] ? t[i - 1] + after : 0;
    t[0] = t[p->k] = p->now;
}

static void hit(void *policy, uint32_t slot) {
    lruk *p = policy;
    tick(p);
    uint64_t *t = times_of(p, slot);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    if (p->r.node[slot].tag == RECENT + 1) {
        t[p->k] = p->now;
        residents_touch(&p->r, slot);
        return;
    }
    shift(p, t, t[p->k] - t[0]);
    if (p->crp == 0 && p->r.node[slot].tag == RANKED + 1) { /* without correlated uses it stays where it is */
        heap_down(&p->heap, p->heap.spot[slot].place, (heap_entry){(double)t[p->k - 1], p->now, slot});
        return;
    }
    unlink_slot(p, slot);
    if (p->crp == 0)
        rank(p, slot);
    else
        residents_push(&p->r, RECENT, slot);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    lruk *p = policy;
    tick(p);
    p->known = 0;
    if (!policy_miss(policy, key, weight)) return 0;
    const uint32_t ghost = ghosts_find(&p->h, key);
    if (ghost == EVI_NONE) return 1;
    const uint64_t *t = times_of_ghost(p, ghost);
    if (!p->rip || p->now - t[p->k] <= p->rip) {
        p->known = 1;
        copy(p, p->coming, t);
        p->r.ghost_hits++;
        residents_tell(&p->r, 'g', key, EVI_NONE);
    }
    ghosts_drop(&p->h, ghost);
    return 1;
}

static uint32_t evict(void *policy) {
    lruk *p = policy;
    uint32_t slot = p->r.queue[ONCE].back;
    if (slot == EVI_NONE) slot = p->heap.count ? heap_top(&p->heap) : p->r.queue[RECENT].back;
    if (slot == EVI_NONE) return slot;
    unlink_slot(p, slot);
    const uint32_t ghost = ghosts_add(&p->h, 0, p->r.key[slot], residents_weight(&p->r, slot));
    copy(p, times_of_ghost(p, ghost), times_of(p, slot));
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    lruk *p = policy;
    uint64_t *t = times_of(p, slot);
    if (!p->known) memset(p->coming, 0, sizeof p->coming);
    copy(p, t, p->coming);
    p->known = 0;
    shift(p, t, 0);
    residents_name(&p->r, slot, key, weight);
    if (p->crp == 0)
        rank(p, slot);
    else
        residents_push(&p->r, RECENT, slot);
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    lruk *p = policy;
    unlink_slot(p, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    lruk *p = policy;
    evi_text text = {out, n, 0};
    heap_entry *ranked = heap_sorted(&p->heap);
    text_add(&text, "lru-k: now=%llu\nrecent:", (unsigned long long)p->now);
    residents_text(&p->r, RECENT, &text, "");
    text_add(&text, "once:");
    residents_text(&p->r, ONCE, &text, "");
    text_add(&text, "ranked:");
    for (uint32_t i = 0; ranked && i < p->heap.count; i++)
        text_add(&text, " %llu/%.0f", (unsigned long long)p->r.key[ranked[i].slot], ranked[i].major);
    free(ranked);
    text_add(&text, "\nretained:");
    residents_text(&p->h.g, 0, &text, "");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    lruk *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (p->heap.count != p->r.queue[RANKED].count || !heap_check(&p->heap)) return snprintf(why, n, "the heap is broken"), 0;
    for (uint32_t s = 0; s < p->r.slots; s++) {
        const evi_node *node = &p->r.node[s];
        const uint64_t *t = times_of(p, s);
        if (!node->tag) continue;
        const int queue = node->tag - 1;
        if (queue != RECENT && queue != (t[p->k - 1] ? RANKED : ONCE)) return snprintf(why, n, "slot %u is in queue %d", s, queue), 0;
        if (queue != RANKED && node->older != EVI_NONE && times_of(p, node->older)[p->k] >= t[p->k])
            return snprintf(why, n, "slot %u was used before the next older one", s), 0;
        if (queue == RANKED && heap_major(&p->heap, s) != (double)t[p->k - 1]) return snprintf(why, n, "slot %u has another rank", s), 0;
        if (ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u is retained too", s), 0;
    }
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lruk *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(lruk) + heap_bytes(p->r.slots) + ((size_t)p->r.slots + 1 + p->h.g.slots) * (size_t)(p->k + 1) * sizeof *p->times;
}

const evi_ops evi_lruk = POLICY_OPS("lru-k", create);
