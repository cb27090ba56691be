/* experts.c: LeCaR (Vietri et al., Driving cache replacement with ML-based LeCaR, HotStorage 2018) and CACHEUS (Rodriguez et al., Learning
 * cache replacement with CACHEUS, FAST 2021, sections 4 and 5): two experts name a victim each, and weights that learn from regret choose
 * between them.
 *
 *    residents: Q (and for cacheus S), heap by count          ghosts: history of the recency expert, history of the frequency expert
 *
 * A miss that is in a history is the fault of its expert: w_i *= exp(-rate), for lecar discounted by the time since; weights are
 * normalised, between 0.01 and 0.99. A victim that both name goes into no history.
 *
 *   lecar:   recency = LRU over all, frequency = LFU (oldest first, a key that comes back counts on); rate 0.45, discount 0.005^(requests since / size)
 *   cacheus: recency = SR-LRU: new keys into Q (LRU, at first 1 %), a hit moves to S (LRU), what S gives up is demoted into Q; a hit of a demoted key
 *            makes S larger by new/demoted, a miss of a key that was new when Q evicted it makes Q larger by demoted/new. frequency = CR-LFU: of the
 *            least count the most recent leaves. The rate adapts, once in `size` requests, along the change of the hit ratio, and jumps at random
 *            when that falls although the rate stood still; reset after ten periods without a hit or in decline. Rounded to thousandths as in the
 *            authors' program.
 *
 * The papers count in entries; with weights, `size` is the number of residents at the last eviction, and the border moves by so many
 * weights of the request. Parameters: weight=0.5 of the recency expert at first, history=0.5 of the capacity for each; lecar: rate=0.45,
 * discount=0.005; cacheus: q=0.01.
 *
 * Beside other programs, mean difference in points of hit ratio. cacheus: Caffeine's +0.1, chance; libcachesim's +5.0, which has nothing
 * on loops (0 % of lirs-loop at 512, where MIN has 50.5 %, Caffeine 50.2 % and this 50.2 %). lecar: libcachesim's +2.0, which forgets the
 * count of a key that comes back; with that, 0.0. Differences from the authors' program: weights in double precision, a generator of our
 * own from the seed, for lecar the oldest of equal counts where theirs takes the least key.
 * Memory: slots nodes and 32 bytes a slot, slots + 2 ghosts, half of them for each history, and 8 bytes each. A request costs O(log n): counts come back from the histories as
 * they were.
 * Invariants: heap.h's; no key is resident and in a history; each history weighs at most its share; demoted and new are what the flags
 * say. */
#include "eviction/csrc/ghosts.h"
#include "eviction/csrc/heap.h"
#include "eviction/csrc/kinds.h"
#include "eviction/csrc/plain.h"
#include <math.h>
#include <stdio.h>

enum { Q, S }; /* residents */
enum { RECENCY, FREQUENCY, NEITHER }; /* experts, and their histories among the ghosts */
#define DEMOTED 1
#define NEW 2

typedef struct {
    double rate, now, last, reset, ratio; /* now, last: the rate in this period and in the one before; ratio: of hits, of the one before */
    uint64_t hits, requests, zeros, declines; /* hits, requests: of this period */
} pace;

typedef struct {
    evi_residents r; /* node.extra: count; node.mark: flags */
    evi_ghosts h; /* likewise */
    evi_heap heap;
    pace pace;
    uint64_t *gone; /* by ghost: when it was evicted */
    uint64_t time, random, s_most, q_most, demoted, fresh, history; /* fresh: weight of NEW keys in the history of recency */
    uint64_t size; /* how many residents fit: as many as there were at the last eviction */
    double weight[2], discount, q_share, history_share;
    uint32_t coming; /* count of the pending miss */
    int cacheus, from_history, to_s, is_new;
} experts;

static double thousandths(double x) { return floor(x * 1000 + 0.5) / 1000; }

static void shares(experts *p, double q_share) {
    double c = (double)p->r.capacity;
    p->history = (uint64_t)(p->history_share * c);
    p->q_most = (uint64_t)(q_share * c + 0.5);
    p->q_most += !p->q_most;
    p->s_most = p->r.capacity > p->q_most ? p->r.capacity - p->q_most : 0;
}

static void destroy(void *policy) {
    experts *p = policy;
    residents_free(&p->r);
    ghosts_free(&p->h);
    heap_free(&p->heap);
    free(p->gone);
    free(p);
}

static void *make(const evi_config *config, int cacheus) {
    double first = 0.5, history = 0.5, rate = 0.45, discount = 0.005, q = 0.01;
    const evi_param lecar[] = {
        {"weight", &first, 0.01, 0.99}, {"history", &history, 0, 0.5}, {"rate", &rate, 0, 1}, {"discount", &discount, 0, 1}, {0}};
    const evi_param both[] = {{"weight", &first, 0.01, 0.99}, {"history", &history, 0, 0.5}, {"q", &q, 0, 1}, {0}};
    if (!policy_params(config->params, cacheus ? both : lecar)) return NULL;
    experts *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    if (!residents_init(&p->r, config)) return free(p), NULL;
    if (!ghosts_init(&p->h, config->slots + 2, config->flags)) return residents_free(&p->r), free(p), NULL;
    if (!heap_init(&p->heap, config->slots)) return residents_free(&p->r), ghosts_free(&p->h), free(p), NULL;
    if (!(p->gone = malloc(((size_t)config->slots + 3) * sizeof *p->gone))) return destroy(p), NULL;
    p->cacheus = cacheus;
    p->random = config->seed;
    p->weight[RECENCY] = first;
    p->weight[FREQUENCY] = 1 - first;
    p->discount = discount;
    p->history_share = history;
    p->q_share = q;
    p->size = config->slots + !config->slots;
    p->pace.rate = cacheus ? sqrt(2 * log(2) / (double)p->size) : rate;
    p->pace.reset = p->pace.rate < 0.001 ? 0.001 : p->pace.rate > 1 ? 1 : p->pace.rate;
    p->pace.now = p->pace.rate;
    shares(p, q);
    return p;
}

static void *create_lecar(const evi_config *config) { return make(config, 0); }
static void *create_cacheus(const evi_config *config) { return make(config, 1); }

static double drawn(experts *p) { return (double)(policy_random(&p->random) >> 11) * 0x1p-53; }

/* The end of a period: the rate follows what the last change of it did to the hit ratio. */
static void adapt(experts *p) {
    pace *a = &p->pace;
    double ratio = thousandths((double)a->hits / (double)a->requests), change = thousandths(ratio - a->ratio);
    double step = thousandths(a->now) - thousandths(a->last), along = step * change;
    if (along != 0) {
        double by = fabs(a->rate * step);
        a->rate = along > 0 ? fmin(a->rate + by, 1) : fmax(a->rate - by, 0.001);
        a->declines = a->zeros = 0;
    } else if (change <= 0) {
        a->zeros += (uint64_t)(ratio <= 0 && change == 0) + (change < 0);
        a->declines += change < 0;
        if (a->zeros >= 10) {
            a->rate = a->reset;
            a->zeros = 0;
        } else if (change < 0 && a->declines >= 10) {
            a->rate = a->reset;
            a->declines = 0;
        } else if (change < 0) {
            if (a->rate >= 1)
                a->rate = 0.9;
            else if (a->rate <= 0.001)
                a->rate = 0.005;
            else
                a->rate = drawn(p) < 0.5 ? fmin(a->rate * 1.25, 1) : fmax(a->rate * 0.75, 0.001);
        }
    }
    a->last = a->now;
    a->now = a->rate;
    a->ratio = ratio;
    a->hits = a->requests = 0;
}

static void tick(experts *p) {
    p->time++;
    if (++p->pace.requests >= p->size && p->cacheus) adapt(p);
}

static void regret(experts *p, int expert, double how_much) {
    p->weight[expert] *= exp(-p->pace.rate * how_much);
    double sum = p->weight[0] + p->weight[1];
    for (int i = 0; i < 2; i++) p->weight[i] = fmin(0.99, fmax(0.01, p->weight[i] / sum));
}

static void set_flag(experts *p, uint32_t slot, int demoted) {
    if (!(p->r.node[slot].mark & DEMOTED) == !demoted) return;
    p->r.node[slot].mark ^= DEMOTED;
    p->demoted += demoted ? residents_weight(&p->r, slot) : -residents_weight(&p->r, slot);
}

static void demote_one(experts *p) {
    uint32_t slot = p->r.queue[S].back;
    residents_unlink(&p->r, slot);
    residents_push(&p->r, Q, slot);
    set_flag(p, slot, 1);
    residents_tell(&p->r, 'd', p->r.key[slot], slot);
}

static void limit_s(experts *p) {
    while (p->r.queue[S].count && p->r.queue[S].weight >= p->s_most) demote_one(p);
}

/* Moves the border between S and Q by what one side owes the other, times the weight of the request. */
static void move_border(experts *p, int to_s, uint64_t weight) {
    double against = (double)(to_s ? p->demoted : p->fresh), in_favour = (double)(to_s ? p->fresh : p->demoted), w = (double)weight;
    double by = floor(w * in_favour / (against < w ? w : against) + 0.5);
    uint64_t all = p->r.capacity, most = all - (all > 0), *grows = to_s ? &p->s_most : &p->q_most;
    by = fmax(by, w);
    *grows = (double)*grows + by < (double)most ? *grows + (uint64_t)by : most;
    if (to_s)
        p->q_most = all - p->s_most;
    else
        p->s_most = all - p->q_most;
}

static void hit(void *policy, uint32_t slot) {
    experts *p = policy;
    residents_tell(&p->r, 'h', p->r.key[slot], slot);
    tick(p);
    p->pace.hits++;
    heap_change(&p->heap, slot, (double)++p->r.node[slot].extra, p->cacheus ? UINT64_MAX - p->time : p->time);
    if (!p->cacheus || p->r.node[slot].tag == S + 1) {
        residents_touch(&p->r, slot);
        return;
    }
    if (p->r.node[slot].mark & DEMOTED) {
        move_border(p, 1, residents_weight(&p->r, slot));
        set_flag(p, slot, 0);
    }
    residents_unlink(&p->r, slot);
    if (p->r.queue[S].weight >= p->s_most && p->r.queue[S].count) demote_one(p);
    residents_push(&p->r, S, slot);
    residents_tell(&p->r, 'p', p->r.key[slot], slot);
}

static void forget(experts *p, uint32_t ghost) {
    if (p->h.g.node[ghost].mark & NEW && p->h.g.node[ghost].tag == RECENCY + 1) p->fresh -= residents_weight(&p->h.g, ghost);
    ghosts_drop(&p->h, ghost);
}

static int miss(void *policy, uint64_t key, uint64_t weight) {
    experts *p = policy;
    tick(p);
    if (!policy_miss(policy, key, weight)) return 0;
    const evi_queue *s = &p->r.queue[S], *q = &p->r.queue[Q];
    uint32_t ghost = ghosts_find(&p->h, key);
    p->from_history = ghost != EVI_NONE;
    p->to_s = p->cacheus && (p->from_history || (s->weight < p->s_most && !q->weight));
    p->is_new = p->cacheus && !p->to_s && !(s->weight + q->weight < p->r.capacity && q->weight < p->q_most);
    p->coming = 1;
    if (!p->from_history) return 1;
    int expert = p->h.g.node[ghost].tag - 1, was_new = p->h.g.node[ghost].mark & NEW;
    p->coming = p->h.g.node[ghost].extra + !p->cacheus;
    p->r.ghost_hits++;
    residents_tell(&p->r, 'g', key, EVI_NONE);
    double how_much = p->cacheus ? 1 : pow(p->discount, (double)(p->time - p->gone[ghost]) / (double)p->size);
    forget(p, ghost);
    if (p->cacheus && expert == RECENCY && was_new) move_border(p, 0, weight + !weight);
    regret(p, expert, how_much);
    return 1;
}

static void remember(experts *p, uint32_t slot, int expert) {
    uint64_t weight = residents_weight(&p->r, slot);
    if (expert == NEITHER || weight > p->history) return;
    const evi_queue *q = &p->h.g.queue[expert];
    while (q->count && (q->weight + weight > p->history || q->count >= p->h.g.slots / 2)) forget(p, q->back);
    uint32_t ghost = ghosts_add(&p->h, expert, p->r.key[slot], weight);
    p->h.g.node[ghost].extra = p->r.node[slot].extra;
    p->h.g.node[ghost].mark = p->r.node[slot].mark & NEW;
    p->gone[ghost] = p->time;
    if (expert == RECENCY && p->r.node[slot].mark & NEW) p->fresh += weight;
}

static uint32_t evict(void *policy) {
    experts *p = policy;
    if (!p->heap.count) return EVI_NONE;
    p->size = p->heap.count;
    uint32_t old = p->r.queue[Q].count ? p->r.queue[Q].back : p->r.queue[S].back, rare = heap_top(&p->heap);
    int expert = drawn(p) < p->weight[0] ? RECENCY : FREQUENCY;
    uint32_t slot = expert == RECENCY ? old : rare;
    set_flag(p, slot, 0);
    residents_unlink(&p->r, slot);
    heap_remove(&p->heap, slot);
    remember(p, slot, old == rare ? NEITHER : expert);
    residents_tell(&p->r, 'e', p->r.key[slot], slot);
    return slot;
}

static void insert(void *policy, uint32_t slot, uint64_t key, uint64_t weight) {
    experts *p = policy;
    residents_place(&p->r, p->to_s ? S : Q, slot, key, weight);
    p->r.node[slot].extra = p->coming;
    p->r.node[slot].mark = p->is_new ? NEW : 0;
    heap_add(&p->heap, slot, (double)p->coming, p->cacheus ? UINT64_MAX - p->time : p->time);
    residents_tell(&p->r, 'a', key, slot);
    if (p->cacheus && (p->from_history || p->is_new)) limit_s(p);
}

static void removed(void *policy, uint32_t slot) {
    experts *p = policy;
    set_flag(p, slot, 0);
    residents_unlink(&p->r, slot);
    heap_remove(&p->heap, slot);
    residents_tell(&p->r, 'r', p->r.key[slot], slot);
}

static int resize(void *policy, uint64_t capacity) {
    experts *p = policy;
    uint64_t was = p->r.capacity;
    p->r.capacity = capacity;
    shares(p, was ? (double)p->q_most / (double)was : p->q_share);
    for (int i = RECENCY; i <= FREQUENCY; i++)
        while (p->h.g.queue[i].weight > p->history) forget(p, p->h.g.queue[i].back);
    return 0;
}

static size_t dump(void *policy, char *out, size_t n) {
    experts *p = policy;
    static const char *const names[] = {"Q", "S"}, *const histories[] = {"history of recency", "history of frequency"};
    evi_text text = {out, n, 0};
    text_add(&text, "%s: weights=%.4f,%.4f rate=%.4f\n", p->cacheus ? "cacheus" : "lecar", p->weight[0], p->weight[1], p->pace.rate);
    for (int i = Q; i <= p->cacheus; i++) {
        text_add(&text, "%s:", names[i]);
        for (uint32_t s = p->r.queue[i].front; s != EVI_NONE; s = p->r.node[s].older)
            text_add(&text, " %llu/%u%s%s", (unsigned long long)p->r.key[s], p->r.node[s].extra, p->r.node[s].mark & DEMOTED ? "d" : "",
                     p->r.node[s].mark & NEW ? "n" : "");
        text_add(&text, "\n");
    }
    for (int i = RECENCY; i <= FREQUENCY; i++) {
        text_add(&text, "%s:", histories[i]);
        residents_text(&p->h.g, i, &text, "");
    }
    return text.used;
}

static int check(void *policy, char *why, size_t n) {
    experts *p = policy;
    if (!residents_check(&p->r, why, n) || !ghosts_check(&p->h, why, n)) return 0;
    if (p->heap.count != p->r.queue[Q].count + p->r.queue[S].count || !heap_check(&p->heap))
        return snprintf(why, n, "the heap is broken"), 0;
    for (int i = RECENCY; i <= FREQUENCY; i++)
        if (p->h.g.queue[i].weight > p->history) return snprintf(why, n, "history %d is over its bound", i), 0;
    uint64_t demoted = 0, fresh = 0;
    for (uint32_t s = 0; s < p->r.slots; s++) {
        if (!p->r.node[s].tag) continue;
        if (p->r.node[s].mark & DEMOTED) demoted += residents_weight(&p->r, s);
        if (ghosts_find(&p->h, p->r.key[s]) != EVI_NONE) return snprintf(why, n, "slot %u has a ghost too", s), 0;
    }
    for (uint32_t g = p->h.g.queue[RECENCY].front; g != EVI_NONE; g = p->h.g.node[g].older)
        if (p->h.g.node[g].mark & NEW) fresh += residents_weight(&p->h.g, g);
    if (demoted != p->demoted || fresh != p->fresh) return snprintf(why, n, "demoted or new are counted wrongly"), 0;
    if (!(p->weight[0] >= 0.0099 && p->weight[1] >= 0.0099)) return snprintf(why, n, "a weight is %g", fmin(p->weight[0], p->weight[1])), 0;
    return 1;
}

static void layout(void *policy, evi_layout *out) {
    experts *p = policy;
    policy_layout(policy, out);
    ghosts_layout(&p->h, out);
    out->bytes += sizeof(experts) + heap_bytes(p->r.slots) + ((size_t)p->h.g.slots + 1) * sizeof *p->gone;
}

const evi_ops evi_lecar = POLICY_OPS("lecar", create_lecar);
const evi_ops evi_cacheus = POLICY_OPS("cacheus", create_cacheus);
