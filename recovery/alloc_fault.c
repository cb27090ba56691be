/* alloc_fault.c: makes the n-th allocation fail that certain shared objects ask for. Compiled when it is wanted and put before the
 * allocator with LD_PRELOAD (recovery/alloc_fault.py); no part of the extension.
 *
 *     watched object --malloc()--> this --> glibc's own, or NULL when it is the one's turn
 *     anybody else   --malloc()--> this --> glibc's own
 *
 * Who asks is told by the return address: inside an executable mapping of a watched object. strdup and strndup are here too, since
 * they allocate for their caller from within the C library.
 * A trace tells which requests came the same way, by a hash of the return addresses within watched objects: whoever wants to see each
 * place that allocates fail need not fail each request.
 * An interposer has no handle to keep its state in, so this state is the process's.
 * Threads: any. Blocks of watched objects that live are counted, by a table of their addresses, so that a leak shows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);
extern void __libc_free(void *p);

enum { MOST_RANGES = 64, PLACES = 1 << 20, MOST_TRACED = 1 << 17, DEEPEST = 64 };

static struct { /* of executable mappings; written before counting begins */
    uintptr_t lo, hi;
} ranges[MOST_RANGES];
static int range_n;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* everything below */
static uint64_t asked, nth, failed, live_n;
static int sticky, counting, tracing;
static uint64_t ways[MOST_TRACED]; /* by request */
static uintptr_t live[PLACES]; /* addresses, by open addressing */

static int watched(const void *caller) {
    uintptr_t at = (uintptr_t)caller;
    for (int i = 0; i < range_n; i++)
        if (at >= ranges[i].lo && at < ranges[i].hi) return 1;
    return 0;
}

static uint64_t way(void) {
    void *frames[DEEPEST];
    int n = backtrace(frames, DEEPEST);
    uint64_t h = 0xcbf29ce484222325u;
    for (int i = 0; i < n; i++)
        if (watched(frames[i])) h = (h ^ (uintptr_t)frames[i]) * 0x100000001b3u;
    return h;
}

/* Counts the request; 1: it is to fail. */
static int refuse(const void *caller) {
    if (!counting || !watched(caller)) return 0;
    uint64_t from = tracing ? way() : 0; /* without the lock: it may allocate */
    pthread_mutex_lock(&lock);
    if (tracing && asked < MOST_TRACED) ways[asked] = from;
    asked++;
    int no = nth && (asked == nth || (sticky && asked > nth));
    failed += (uint64_t)no;
    pthread_mutex_unlock(&lock);
    if (no) errno = ENOMEM;
    return no;
}

static size_t place_of(uintptr_t p) { return (size_t)(p >> 4) * 0x9e3779b97f4a7c15u >> 44; }

static void *born(void *p, const void *caller) {
    if (!p || !counting || !watched(caller)) return p;
    pthread_mutex_lock(&lock);
    size_t i = place_of((uintptr_t)p);
    while (live_n < PLACES / 2 && live[i]) i = (i + 1) % PLACES;
    if (live_n < PLACES / 2) live[i] = (uintptr_t)p, live_n++;
    pthread_mutex_unlock(&lock);
    return p;
}

static void take_out(size_t i) { /* what stands behind moves up, unless it is nearer to its own place there */
    for (size_t j = (i + 1) % PLACES; live[j]; j = (j + 1) % PLACES) {
        if ((j - place_of(live[j])) % PLACES < (j - i) % PLACES) continue;
        live[i] = live[j];
        i = j;
    }
    live[i] = 0;
    live_n--;
}

static void gone(void *p) {
    if (!p || !range_n) return;
    pthread_mutex_lock(&lock);
    size_t i = place_of((uintptr_t)p);
    while (live[i] && live[i] != (uintptr_t)p) i = (i + 1) % PLACES;
    if (live[i]) take_out(i);
    pthread_mutex_unlock(&lock);
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t n) { return refuse(CALLER) ? NULL : born(__libc_malloc(n), CALLER); }
void *calloc(size_t n, size_t size) { return refuse(CALLER) ? NULL : born(__libc_calloc(n, size), CALLER); }

void *realloc(void *p, size_t n) {
    if (refuse(CALLER)) return NULL;
    gone(p); /* before: another thread may be given the place as soon as it is free */
    void *q = __libc_realloc(p, n);
    return born(q ? q : p, CALLER) == p && !q ? NULL : q;
}

void *memalign(size_t alignment, size_t n) { return refuse(CALLER) ? NULL : born(__libc_memalign(alignment, n), CALLER); }
void *aligned_alloc(size_t alignment, size_t n) { return refuse(CALLER) ? NULL : born(__libc_memalign(alignment, n), CALLER); }

int posix_memalign(void **out, size_t alignment, size_t n) {
    if (refuse(CALLER)) return ENOMEM;
    void *p = born(__libc_memalign(alignment, n), CALLER);
    if (p) *out = p;
    return p ? 0 : ENOMEM;
}

static char *copy(const char *s, size_t n, const void *caller) {
    char *p = refuse(caller) ? NULL : born(__libc_malloc(n + 1), caller);
    if (p) memcpy(p, s, n), p[n] = 0;
    return p;
}

char *strdup(const char *s) { return copy(s, strlen(s), CALLER); }
char *strndup(const char *s, size_t n) { return copy(s, strnlen(s, n), CALLER); }

void free(void *p) {
    gone(p);
    __libc_free(p);
}

/* Watches the executable mappings of files whose path ends so. Returns how many there are. */
int alloc_fault_watch(const char *end) {
    char line[4096], path[4096], mode[8];
    FILE *maps = fopen("/proc/self/maps", "r");
    int before = range_n;
    while (maps && fgets(line, sizeof line, maps) && range_n < MOST_RANGES) {
        unsigned long long lo, hi;
        if (sscanf(line, "%llx-%llx %7s %*s %*s %*s %4095[^\n]", &lo, &hi, mode, path) != 4 || !strchr(mode, 'x')) continue;
        size_t n = strlen(path), m = strlen(end);
        if (n < m || strcmp(path + n - m, end)) continue;
        ranges[range_n].lo = (uintptr_t)lo, ranges[range_n].hi = (uintptr_t)hi;
        range_n++;
    }
    if (maps) fclose(maps);
    counting = range_n > 0;
    return range_n - before;
}

/* The nth request (from 1) from now on fails, and with again all behind it; 0: none. */
void alloc_fault_arm(uint64_t n, int again) {
    pthread_mutex_lock(&lock);
    asked = failed = 0;
    nth = n, sticky = again, tracing = 0;
    pthread_mutex_unlock(&lock);
}

/* Nothing fails from now on, and the way that each request comes is kept, up to the next arm. */
void alloc_fault_trace(void) {
    alloc_fault_arm(0, 0);
    tracing = 1;
}

/* The way of request n (from 1) of the trace; 0: it was not traced. */
uint64_t alloc_fault_way(uint64_t n) { return n && n <= asked && n <= MOST_TRACED ? ways[n - 1] : 0; }

uint64_t alloc_fault_asked(void) { return asked; }
uint64_t alloc_fault_failed(void) { return failed; }
uint64_t alloc_fault_live(void) { return live_n; }
