/* bucket.c: a token bucket (Turner 1986) that may go into debt: a taker takes at once and then waits until its debt is paid.
 *
 * Bytes are handed out on a line of time: "paid until" moves forward by bytes / rate with every take; a taker sleeps until that moment,
 * less the burst, and wakes up when it is told to stop: what it took is paid by those behind it. One atomic word, no lock; takers that come together queue up behind each other.
 */
#include "lsm/csrc/merge.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct lsm_bucket {
    _Atomic uint64_t rate; /* bytes a second, 0: unlimited */
    _Atomic int64_t paid_until; /* ns */
    uint64_t burst; /* bytes */
};

static const int64_t EVER = INT64_C(1) << 61; /* ns: more than anybody waits; sums of a few of them fit */
static const int64_t LOOK = 20000000; /* ns between looks whether to stop */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t ns_for(uint64_t bytes, uint64_t rate) {
    const double ns = (double)bytes / (double)rate * 1e9;
    return ns < (double)EVER ? (int64_t)ns : EVER;
}

/* Sleeps until that moment, or until somebody raises *stop, which may be NULL. */
static void wait_until(int64_t moment, const int *stop) {
    for (int64_t now; !(stop && __atomic_load_n(stop, __ATOMIC_RELAXED)) && (now = now_ns()) < moment;) {
        const int64_t next = stop && moment - now > LOOK ? now + LOOK : moment;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){next / 1000000000, next % 1000000000}, NULL);
    }
}

lsm_bucket *lsm_bucket_new(uint64_t bytes_per_second, uint64_t burst) {
    lsm_bucket *b = calloc(1, sizeof(*b));
    if (!b) return NULL;
    atomic_init(&b->rate, bytes_per_second);
    atomic_init(&b->paid_until, -EVER); /* the burst is there from the beginning */
    b->burst = burst;
    return b;
}

void lsm_bucket_set(lsm_bucket *b, uint64_t bytes_per_second) { atomic_store_explicit(&b->rate, bytes_per_second, memory_order_relaxed); }
void lsm_bucket_free(lsm_bucket *b) { free(b); }

uint64_t lsm_bucket_take(lsm_bucket *b, uint64_t bytes, const int *stop) {
    uint64_t rate = b ? atomic_load_explicit(&b->rate, memory_order_relaxed) : 0;
    if (!rate || !bytes) return 0;
    const int64_t now = now_ns(), idle = now - ns_for(b->burst, rate), cost = ns_for(bytes, rate);
    int64_t old = atomic_load_explicit(&b->paid_until, memory_order_relaxed), paid;
    do { /* time that nobody used is worth at most the burst */
        paid = (old > idle ? old : idle) + cost;
        if (paid > EVER) paid = EVER;
        /* uncovered (race): two threads pay at one moment */
    } while (!atomic_compare_exchange_weak_explicit(&b->paid_until, &old, paid, memory_order_relaxed, memory_order_relaxed));
    if (paid <= now) return 0;
    wait_until(paid, stop);
    return (uint64_t)(paid - now);
}
