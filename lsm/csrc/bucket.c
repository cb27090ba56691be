/* bucket.c: a token bucket (Turner 1986) that may go into debt: a taker takes at once and then waits until its debt is paid.
 *
 * Bytes are handed out on a line of time: "paid until" moves forward by bytes / rate with every take; a taker sleeps until that moment,
 * less the burst. One atomic word, no lock; takers that come together queue up behind each other.
 */
#include "lsm/csrc/merge.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct lsm_bucket {
    _Atomic uint64_t rate; /* bytes a second, 0: unlimited */
    _Atomic uint64_t paid_until; /* ns */
    uint64_t burst; /* bytes */
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t ns_for(uint64_t bytes, uint64_t rate) { return (uint64_t)((double)bytes / (double)rate * 1e9); }

lsm_bucket *lsm_bucket_new(uint64_t bytes_per_second, uint64_t burst) {
    lsm_bucket *b = calloc(1, sizeof(*b));
    if (!b) return NULL;
    atomic_init(&b->rate, bytes_per_second);
    atomic_init(&b->paid_until, 0);
    b->burst = burst;
    return b;
}

void lsm_bucket_set(lsm_bucket *b, uint64_t bytes_per_second) { atomic_store_explicit(&b->rate, bytes_per_second, memory_order_relaxed); }
void lsm_bucket_free(lsm_bucket *b) { free(b); }

uint64_t lsm_bucket_take(lsm_bucket *b, uint64_t bytes) {
    uint64_t rate = b ? atomic_load_explicit(&b->rate, memory_order_relaxed) : 0;
    if (!rate || !bytes) return 0;
    uint64_t now = now_ns(), burst = ns_for(b->burst, rate), cost = ns_for(bytes, rate), old, paid;
    old = atomic_load_explicit(&b->paid_until, memory_order_relaxed);
    do { /* time that nobody used is worth at most the burst */
        paid = (old + burst > now ? old : now - burst) + cost;
        /* uncovered (race): two threads pay at one moment */
    } while (!atomic_compare_exchange_weak_explicit(&b->paid_until, &old, paid, memory_order_relaxed, memory_order_relaxed));
    if (paid <= now) return 0;
    struct timespec until = {(time_t)(paid / 1000000000), (long)(paid % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
    return paid - now;
}
