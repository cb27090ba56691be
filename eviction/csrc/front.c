#include "eviction/csrc/front.h"
#include <stdlib.h>
#include <string.h>

struct evi_front {
    const evi_ops *ops;
    void *policy;
    uint64_t capacity, used;
    uint32_t slots, fresh, n_free, n_pinned;
    uint32_t *free_slots, *pins; /* pins: made with the first one */
    uint64_t *id, *weight; /* weight: 0 where the slot is free */
};

evi_front *evi_front_new(const evi_ops *ops, const evi_config *config) {
    evi_front *f = calloc(1, sizeof *f);
    size_t n = (size_t)config->slots + 1;
    if (!f) return NULL;
    f->ops = ops;
    f->capacity = config->capacity;
    f->slots = config->slots;
    f->free_slots = malloc(n * sizeof *f->free_slots);
    f->id = malloc(n * sizeof *f->id);
    f->weight = calloc(n, sizeof *f->weight);
    if (f->free_slots && f->id && f->weight) f->policy = ops->create(config);
    if (f->policy) return f;
    evi_front_free(f);
    return NULL;
}

void evi_front_free(evi_front *f) {
    if (!f) return;
    if (f->policy) f->ops->destroy(f->policy);
    free(f->free_slots);
    free(f->pins);
    free(f->id);
    free(f->weight);
    free(f);
}

void evi_front_hits(evi_front *f, const uint32_t *slots, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (slots[i] < f->slots && f->weight[slots[i]]) f->ops->hit(f->policy, slots[i]);
}

static void forget(evi_front *f, uint32_t slot) {
    f->used -= f->weight[slot];
    f->weight[slot] = 0;
    f->free_slots[f->n_free++] = slot;
    if (f->pins && f->pins[slot]) {
        f->pins[slot] = 0;
        f->n_pinned--;
    }
}

/* One victim that is not pinned. A pinned one is put in again, as if it were new: at most as often as there are pins. */
static int victim(evi_front *f, uint32_t *slot) {
    for (uint32_t tries = f->n_pinned + 1; tries--;) {
        *slot = f->ops->evict(f->policy);
        if (*slot == EVI_NONE && f->n_pinned) return EVI_PINNED;
        if (*slot >= f->slots || !f->weight[*slot]) return EVI_BROKEN;
        if (!f->pins || !f->pins[*slot]) return EVI_ADMITTED;
        f->ops->miss(f->policy, f->id[*slot], f->weight[*slot]);
        f->ops->insert(f->policy, *slot, f->id[*slot], f->weight[*slot]);
    }
    return EVI_PINNED;
}

/* Evicts until need more and a slot (if need is not 0) are free. */
static int make_room(evi_front *f, uint64_t need, evi_admission *out) {
    while (f->used + need > f->capacity || (need && !f->n_free && f->fresh == f->slots)) {
        if (out->n == EVI_VICTIMS) return EVI_AGAIN;
        uint32_t slot = EVI_NONE;
        int status = victim(f, &slot);
        if (status != EVI_ADMITTED) {
            out->slot = slot;
            return status;
        }
        forget(f, slot);
        out->victims[out->n++] = slot;
    }
    return EVI_ADMITTED;
}

int evi_front_admit(evi_front *f, uint64_t id, uint64_t weight, int again, evi_admission *out) {
    out->n = 0;
    out->slot = EVI_NONE;
    if (!again && !f->ops->miss(f->policy, id, weight)) return EVI_BYPASSED;
    int status = make_room(f, weight, out);
    if (status != EVI_ADMITTED) return status;
    uint32_t slot = f->n_free ? f->free_slots[--f->n_free] : f->fresh++;
    f->id[slot] = id;
    f->weight[slot] = weight;
    f->used += weight;
    f->ops->insert(f->policy, slot, id, weight);
    out->slot = slot;
    return EVI_ADMITTED;
}

int evi_front_shrink(evi_front *f, uint64_t capacity, int again, evi_admission *out) {
    out->n = 0;
    out->slot = EVI_NONE;
    if (!again && f->ops->resize(f->policy, capacity) < 0) return EVI_BROKEN;
    f->capacity = capacity;
    return make_room(f, 0, out);
}

void evi_front_drop(evi_front *f, uint32_t slot) {
    if (slot >= f->slots || !f->weight[slot]) return;
    f->ops->remove(f->policy, slot);
    forget(f, slot);
}

void evi_front_pin(evi_front *f, uint32_t slot, int by) {
    if (slot >= f->slots || !f->weight[slot]) return;
    if (!f->pins && !(f->pins = calloc((size_t)f->slots + 1, sizeof *f->pins))) return;
    int before = f->pins[slot] != 0;
    f->pins[slot] = by < 0 && !f->pins[slot] ? 0 : f->pins[slot] + (uint32_t)by;
    f->n_pinned += (uint32_t)((f->pins[slot] != 0) - before);
}

uint64_t evi_front_used(const evi_front *f) { return f->used; }
void *evi_front_policy(evi_front *f) { return f->policy; }
