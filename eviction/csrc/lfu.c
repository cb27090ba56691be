/* lfu.c: least frequently used, counted while resident; of equal counts the one that has had it longest leaves. A hit costs O(1) (Shah, Mitra and Matani, 2010).
 *
 *    one queue, ordered by count and then by when it was reached:   front (most) ... [3 3 3][2][1 1 1 1] back (least, oldest)
 *                                                                                     ^ a bucket knows its count and its newest slot
 *
 * A hit moves a slot over the newest of the next bucket. Counts of evicted keys are forgotten ("perfect" LFU, which keeps them, is another policy).
 * Memory: slots nodes and as many buckets of 12 bytes. Invariants: buckets are contiguous, in strictly rising order of count; none is empty. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    uint32_t count, newest, members;
} bucket;

typedef struct {
    evi_residents r; /* node.extra: the bucket */
    bucket *buckets;
    uint32_t free_bucket; /* a list through newest */
} lfu;

static void destroy(void *policy) {
    lfu *p = policy;
    residents_free(&p->r);
    free(p->buckets);
    free(p);
}

static void *create(const evi_config *config) {
    if (config->params[0]) return NULL;
    lfu *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->buckets = malloc(((size_t)config->slots + 2) * sizeof *p->buckets);
    if (!p->buckets || !residents_init(&p->r, config)) return free(p->buckets), free(p), NULL;
    for (uint32_t i = 0; i < config->slots + 2; i++)
        p->buckets[i].newest = i + 1; /* one more than slots: a hit takes before it gives back */
    return p;
}

static inline bucket *of(lfu *p, uint32_t slot) { return &p->buckets[p->r.node[slot].extra]; }

static uint32_t take_bucket(lfu *p, uint32_t count) {
    uint32_t b = p->free_bucket;
    p->free_bucket = p->buckets[b].newest;
    p->buckets[b] = (bucket){count, EVI_NONE, 0};
    return b;
}

static void join(lfu *p, uint32_t slot, uint32_t b) {
    p->r.node[slot].extra = b;
    p->buckets[b].newest = slot;
    p->buckets[b].members++;
}

/* Takes a slot out of its bucket; it is still in the queue. */
static void leave_bucket(lfu *p, uint32_t slot) {
    uint32_t b = p->r.node[slot].extra;
    if (!--p->buckets[b].members) {
        p->buckets[b].newest = p->free_bucket;
        p->free_bucket = b;
    } else if (p->buckets[b].newest == slot) {
        p->buckets[b].newest = p->r.node[slot].older;
    }
}

static void hit(void *policy, uint32_t slot) {
    lfu *p = policy;
    bucket *now = of(p, slot);
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    if (now->count == UINT32_MAX) return;
    uint32_t count = now->count + 1, newest = now->newest, above = p->r.node[newest].newer;
    int next_is_there = above != EVI_NONE && of(p, above)->count == count;
    if (!next_is_there && now->members == 1) { /* alone: it counts on where it is */
        now->count = count;
        return;
    }
    uint32_t b = next_is_there ? p->r.node[above].extra : take_bucket(p, count), over = next_is_there ? p->buckets[b].newest : newest;
    leave_bucket(p, slot);
    if (over != slot) {
        residents_unlink(&p->r, slot);
        residents_insert_newer(&p->r, over, slot);
    }
    join(p, slot, b);
}

static int miss(void *policy, uint64_t key, uint64_t weight) { return policy_miss(policy, key, weight); }

static uint32_t evict(void *policy) {
    lfu *p = policy;
    uint32_t slot = p->r.queue[0].back;
    if (slot == EVI_NONE) return slot;
    leave_bucket(p, slot);
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    lfu *p = policy;
    uint32_t back = p->r.queue[0].back;
    residents_place(&p->r, 0, slot, key, weight);
    residents_unlink(&p->r, slot);
    if (back != EVI_NONE && of(p, back)->count == 1) {
        uint32_t b = p->r.node[back].extra;
        residents_insert_newer(&p->r, p->buckets[b].newest, slot);
        join(p, slot, b);
    } else {
        residents_push_back(&p->r, 0, slot);
        join(p, slot, take_bucket(p, 1));
    }
    residents_tell(&p->r, 'a', key, slot);
}

static void removed(void *policy, uint32_t slot) {
    lfu *p = policy;
    leave_bucket(p, slot);
    residents_unlink(&p->r, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) { return policy_resize(policy, capacity); }

static size_t dump(void *policy, char *out, size_t n) {
    lfu *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "lfu:");
    for (uint32_t s = p->r.queue[0].front; s != EVI_NONE; s = p->r.node[s].older)
        text_add(&text, " %llu/%u", (unsigned long long)p->r.key[s], of(p, s)->count);
    text_add(&text, "\n");
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    lfu *p = policy;
    if (!residents_check(&p->r, why, n)) return 0;
    uint32_t last = EVI_NONE, members = 0;
    for (uint32_t s = p->r.queue[0].back; s != EVI_NONE; last = s, s = p->r.node[s].newer) {
        int same = last != EVI_NONE && p->r.node[s].extra == p->r.node[last].extra;
        if (last != EVI_NONE && !same && of(p, s)->count <= of(p, last)->count)
            return snprintf(why, n, "counts do not rise at slot %u", s), 0;
        members = same ? members + 1 : 1;
        int ends = p->r.node[s].newer == EVI_NONE || p->r.node[p->r.node[s].newer].extra != p->r.node[s].extra;
        if (ends && (of(p, s)->newest != s || of(p, s)->members != members))
            return snprintf(why, n, "the bucket of slot %u is broken", s), 0;
    }
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    lfu *p = policy;
    policy_layout(policy, out);
    out->bytes += sizeof(lfu) + ((size_t)p->r.slots + 2) * sizeof *p->buckets;
}

const evi_ops evi_lfu = POLICY_OPS("lfu", create);
