/* tinylfu.c: TinyLFU admission in front of any policy (Einziger, Friedman and Manes, TinyLFU: a highly efficient cache admission policy,
 * TOS 13(4), 2017, sections 2 and 3): a newcomer comes in only when it was asked for more often of late than who would leave for it.
 *
 *    request --> sketch (sketch.h)
 *    miss while full:  newcomer  against  waiting (the victim that the policy named last)      loser out, winner in
 *
 * The policy behind it is any ops table, and is asked for a victim only once the one before has lost. A victim that wins waits: it stays in the
 * cache, out of the policy's sight, for the next newcomer. A hit brings it back into the policy as a miss and an insert would, so that a
 * policy with ghosts finds its ghost. In front of LRU this is the paper's TinyLFU with LRU eviction: who waits is the least recent anyway.
 * With weights a newcomer meets one victim, however many leave for it.
 *
 * Parameters: policy=lru, a built-in one; all others are handed on to it. evi_tinylfu_over (kinds.h) takes any ops table.
 * Memory: that of the policy, and 21.4 bytes a slot. Events are the policy's; a victim is told as evicted when it leaves the cache.
 * Invariants: residents are those of the policy and at most one that waits; they weigh at most the capacity. */
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include "eviction/csrc/sketch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const evi_ops *inner;
    void *policy;
    evi_sketch sketch;
    uint64_t *key, *weight; /* by slot; weight 0: not resident */
    uint64_t capacity, used;
    uint32_t slots, count, waiting; /* waiting: a slot or EVI_NONE */
    int quiet; /* the policy's events are not passed on */
    evi_event_fn event;
    void *event_arg;
} tinylfu;

static void tell(const tinylfu *p, int kind, uint64_t key, uint32_t slot) {
    if (p->event) p->event(p->event_arg, kind, key, slot);
}

static void passed_on(void *arg, int kind, uint64_t key, uint32_t slot) {
    tinylfu *p = arg;
    if (kind != 'e' && !p->quiet) tell(p, kind, key, slot);
}

static void destroy(void *policy) {
    tinylfu *p = policy;
    if (p->policy) p->inner->destroy(p->policy);
    sketch_free(&p->sketch);
    free(p->key);
    free(p->weight);
    free(p);
}

void *evi_tinylfu_over(const evi_ops *inner, const evi_config *config) {
    tinylfu *p = calloc(1, sizeof *p);
    size_t n = (size_t)config->slots + 1;
    if (!p) return NULL;
    p->inner = inner;
    p->capacity = config->capacity;
    p->slots = config->slots;
    p->waiting = EVI_NONE;
    p->key = malloc(n * sizeof *p->key);
    p->weight = calloc(n, sizeof *p->weight);
    if (p->key && p->weight && sketch_init(&p->sketch, config->slots, 10, config->seed)) p->policy = inner->create(config);
    if (!p->policy) return destroy(p), NULL;
    return p;
}

static void *create(const evi_config *config) {
    const char *text = config->params, *name = "lru";
    size_t length = 3, rest = 0;
    char *params = malloc(strlen(text) + 1), kind[32] = "";
    if (!params) return NULL;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t n = strcspn(text, " ");
        if (n > 7 && !memcmp(text, "policy=", 7)) {
            name = text + 7;
            length = n - 7;
        } else {
            if (rest) params[rest++] = ' ';
            memcpy(params + rest, text, n);
            rest += n;
        }
        text += n;
    }
    params[rest] = 0;
    if (length < sizeof kind) memcpy(kind, name, length);
    const evi_ops *inner = evi_find(kind);
    evi_config its = *config;
    its.params = params;
    void *p = inner ? evi_tinylfu_over(inner, &its) : NULL;
    free(params);
    return p;
}

static int held(const tinylfu *p, uint32_t slot) { return slot < p->slots && p->weight[slot]; }

/* Gives the waiting one back to the policy. 0: it does not want it, which goes on waiting. */
static int back(tinylfu *p) {
    uint32_t slot = p->waiting;
    p->quiet = 1;
    int wanted = p->inner->miss(p->policy, p->key[slot], p->weight[slot]);
    if (wanted) {
        p->inner->insert(p->policy, slot, p->key[slot], p->weight[slot]);
        p->waiting = EVI_NONE;
    }
    p->quiet = 0;
    return wanted;
}

static void hit(void *policy, uint32_t slot) {
    tinylfu *p = policy;
    sketch_add(&p->sketch, p->key[slot]);
    if (slot != p->waiting) {
        p->inner->hit(p->policy, slot);
        return;
    }
    tell(p, 'h', p->key[slot], slot);
    back(p);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    tinylfu *p = policy;
    weight += !weight;
    sketch_add(&p->sketch, key);
    if (weight <= p->capacity && (p->used + weight > p->capacity || p->count == p->slots)) {
        sketch_fit(&p->sketch, p->count);
        if (p->waiting == EVI_NONE) p->waiting = p->inner->evict(p->policy);
        if (held(p, p->waiting) && !sketch_admits(&p->sketch, key, p->key[p->waiting])) {
            tell(p, 'b', key, EVI_NONE);
            return 0;
        }
    }
    return p->inner->miss(p->policy, key, weight);
}

static void forget(tinylfu *p, uint32_t slot) {
    p->used -= p->weight[slot];
    p->weight[slot] = 0;
    p->count--;
}

static uint32_t evict(void *policy) {
    tinylfu *p = policy;
    uint32_t slot = p->waiting == EVI_NONE ? p->inner->evict(p->policy) : p->waiting;
    p->waiting = EVI_NONE;
    if (!held(p, slot)) return slot; /* nothing, or a broken policy: the driver sees to that */
    forget(p, slot);
    tell(p, 'e', p->key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    tinylfu *p = policy;
    p->key[slot] = key;
    p->weight[slot] = weight + !weight;
    p->used += p->weight[slot];
    p->count++;
    p->inner->insert(p->policy, slot, key, weight);
}

static void removed(void *policy, uint32_t slot) { /* the policy may have a ghost of who waits, and forgets it with it */
    tinylfu *p = policy;
    if (slot != p->waiting || back(p)) {
        p->inner->remove(p->policy, slot);
    } else {
        p->waiting = EVI_NONE;
        tell(p, 'r', p->key[slot], slot);
    }
    forget(p, slot);
}

static int resize(void *policy, uint64_t capacity) {
    tinylfu *p = policy;
    p->capacity = capacity;
    return p->inner->resize(p->policy, capacity);
}

static uint64_t ghost_hits(void *policy) { return ((tinylfu *)policy)->inner->ghost_hits(((tinylfu *)policy)->policy); }

static void listen(void *policy, evi_event_fn fn, void *arg) {
    tinylfu *p = policy;
    p->event = fn;
    p->event_arg = arg;
    p->inner->listen(p->policy, fn ? passed_on : NULL, p);
}

static size_t dump(void *policy, char *out, size_t n) {
    tinylfu *p = policy;
    evi_text text = {out, n, 0};
    text_add(&text, "tinylfu: waiting:");
    if (p->waiting != EVI_NONE) text_add(&text, " %llu", (unsigned long long)p->key[p->waiting]);
    text_add(&text, "\n");
    size_t room = text.used < n ? n - text.used : 0;
    return text.used + p->inner->dump(p->policy, room ? out + text.used : NULL, room);
}

static int check(void *policy, char *why, size_t n) {
    tinylfu *p = policy;
    uint64_t used = 0;
    uint32_t count = 0;
    if (!sketch_check(&p->sketch, why, n) || !p->inner->check(p->policy, why, n)) return 0;
    for (uint32_t s = 0; s < p->slots; s++) {
        used += p->weight[s];
        count += p->weight[s] != 0;
    }
    if (used != p->used || count != p->count) return snprintf(why, n, "%u residents are counted as %u", count, p->count), 0;
    if (used > p->capacity) return snprintf(why, n, "residents weigh %llu", (unsigned long long)used), 0;
    if (p->waiting != EVI_NONE && !held(p, p->waiting)) return snprintf(why, n, "slot %u waits and is not resident", p->waiting), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    tinylfu *p = policy;
    if (p->inner->layout)
        p->inner->layout(p->policy, out);
    else
        memset(out, 0, sizeof *out);
    if (!out->keys) out->keys = p->key;
    out->bytes += sizeof(tinylfu) + ((size_t)p->slots + 1) * 16 + sketch_bytes(&p->sketch);
}

const evi_ops evi_tinylfu = {.abi = EVI_ABI,
                             .size = sizeof(evi_ops),
                             .name = "tinylfu",
                             .create = create,
                             .destroy = destroy,
                             .hit = hit,
                             .miss = miss,
                             .evict = evict,
                             .insert = insert,
                             .remove = removed,
                             .resize = resize,
                             .ghost_hits = ghost_hits,
                             .listen = listen,
                             .dump = dump,
                             .check = check,
                             .layout = layout};
