/* driver.c: a small coverage-guided fuzzer for gcc's -fsanitize-coverage=trace-pc; the same targets also serve libFuzzer.
 *
 *     driver TARGET SEEDS --runs N --seed S [--keep DIR]     driver TARGET --repeat FILE     driver --list
 *
 * Deterministic in its arguments. An input that ends the process is kept in DIR (default: here) and named on standard error. With
 * -DFUZZ_TARGET=<name> there is LLVMFuzzerTestOneInput instead of main, for clang -fsanitize=fuzzer.
 */
#include "experiments/torture/fuzz/fuzz.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { LONGEST = 1 << 16, MAP = 1 << 16, MOST_KEPT = 4096, SECONDS = 10 };

static uint8_t seen[MAP], hit[MAP]; /* the driver is a program of its own: these belong to it */
static uint32_t touched[MAP], n_touched;
static uintptr_t before;
static uint8_t input[LONGEST + 16];
static size_t input_n;
static const fuzz_target *target;
static const char *keep = "."; /* NULL: the input is in a file already */
static uint64_t state;

#ifndef FUZZ_TARGET
int main(int argc, char **argv);

/* An abort is a signal, and that is where the input is kept. A small input may not ask for much. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "abort_on_error=1:max_allocation_size_mb=64:allocator_may_return_null=0:handle_segv=1"; }
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) { return "abort_on_error=1:print_stacktrace=1"; }

__attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = ((uintptr_t)__builtin_return_address(0) - (uintptr_t)&main) * UINT64_C(0x9E3779B97F4A7C15) >> 40;
    uint32_t edge = (uint32_t)((here ^ before) & (MAP - 1));
    before = here >> 1;
    if (!hit[edge]) touched[n_touched++] = edge;
    if (hit[edge] < 255) hit[edge]++;
}
#endif

static void save(const char *why) {
    char path[512];
    if (!keep) {
        fprintf(stderr, "FUZZ %s: %s\n", target ? target->name : "none", why);
        return;
    }
    snprintf(path, sizeof path, "%s/%s-%d.bin", keep, target ? target->name : "none", (int)getpid());
    FILE *f = fopen(path, "wb");
    if (f) {
        fwrite(input, 1, input_n, f);
        fclose(f);
    }
    fprintf(stderr, "FUZZ %s: %s; the input of %zu bytes: %s\n", target ? target->name : "none", why, input_n, path);
}

static void on_signal(int sig) {
    save(sig == SIGALRM ? "HANG" : "stopped");
    _exit(sig == SIGALRM ? 70 : 71);
}

void fuzz_fail(const char *what) {
    save(what);
    _exit(72);
}

static uint64_t next(void) { /* splitmix64 */
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static size_t below(size_t n) { return n ? next() % n : 0; }

typedef struct {
    uint8_t *data;
    size_t n;
} kept;

static kept corpus[MOST_KEPT];
static size_t n_corpus;

static void add(const uint8_t *data, size_t n) {
    size_t at = n_corpus < MOST_KEPT ? n_corpus++ : below(MOST_KEPT);
    free(corpus[at].data);
    corpus[at] = (kept){malloc(n + 1), n};
    if (!corpus[at].data) exit(3);
    memcpy(corpus[at].data, data, n);
}

static void set_number(uint8_t *p, size_t width, uint64_t v) {
    for (size_t i = 0; i < width; i++) p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t number(void) {
    static const uint64_t odd[] = {
        0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, INT32_MAX, UINT32_MAX, (uint64_t)1 << 32, INT64_MAX, UINT64_MAX};
    size_t i = below(sizeof odd / sizeof *odd + 4);
    return i < sizeof odd / sizeof *odd ? odd[i] - below(3) : i & 1 ? input_n - below(20) : next() >> below(64);
}

static void cut_or_insert(void) {
    size_t at = below(input_n + 1), n = 1 + below(below(4) ? 8 : 256);
    if (next() & 1) {
        if (n > input_n - at) n = input_n - at;
        memmove(input + at, input + at + n, input_n - at - n);
        input_n -= n;
    } else if (input_n + n <= LONGEST) {
        memmove(input + at + n, input + at, input_n - at);
        for (size_t i = 0; i < n; i++) input[at + i] = (uint8_t)next();
        input_n += n;
    }
}

static void splice(const kept *other) {
    if (!other->n || !input_n) return;
    size_t from = below(other->n), n = 1 + below(other->n - from), to = below(input_n);
    if (n > LONGEST - to) n = LONGEST - to;
    memcpy(input + to, other->data + from, n);
    if (to + n > input_n) input_n = to + n;
}

static void mutate(void) {
    const kept *base = &corpus[below(n_corpus)];
    memcpy(input, base->data, base->n);
    input_n = base->n;
    for (size_t left = 1 + below(below(3) ? 3 : 12); left; left--) {
        size_t at = below(input_n), width = (size_t)1 << below(4);
        switch (below(input_n ? 8 : 1)) {
        case 0:
            cut_or_insert();
            break;
        case 1:
        case 2:
            input[at] ^= (uint8_t)(1 << below(8));
            break;
        case 3:
            input[at] = (uint8_t)next();
            break;
        case 4:
        case 5:
            if (at + width <= input_n) set_number(input + at, width, number());
            break;
        case 6:
            input[at] = (uint8_t)(input[at] + below(9) - 4);
            break;
        default:
            splice(&corpus[below(n_corpus)]);
        }
    }
}

/* Runs the input; tells whether it went where none went before. A count's power of two is part of the place. */
static int once(void) {
    int fresh = 0;
    before = 0;
    target->run(input, input_n);
    for (uint32_t i = 0; i < n_touched; i++) {
        uint8_t count = hit[touched[i]], bucket = (uint8_t)(1u << (31 - __builtin_clz(count) > 7 ? 7 : 31 - __builtin_clz(count)));
        if (!(seen[touched[i]] & bucket)) seen[touched[i]] |= bucket, fresh = 1;
        hit[touched[i]] = 0;
    }
    n_touched = 0;
    return fresh;
}

static size_t read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return SIZE_MAX;
    input_n = fread(input, 1, LONGEST, f);
    fclose(f);
    return input_n;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int load(const char *folder) {
    struct dirent **names;
    int n = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && read_file(path) != SIZE_MAX) {
            add(input, input_n);
            once();
        }
        free(names[i]);
    }
    if (n >= 0) free(names);
    return n_corpus != 0;
}

static const fuzz_target *find(const char *name) {
    for (const fuzz_target *t = fuzz_targets; t->name; t++)
        if (!strcmp(t->name, name)) return t;
    return NULL;
}

#ifdef FUZZ_TARGET
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (!target && !(target = find(TEXT(FUZZ_TARGET)))) abort();
    input_n = n < LONGEST ? n : LONGEST;
    memcpy(input, data, input_n);
    if (target->repair) target->repair(input, input_n);
    target->run(input, input_n);
    return 0;
}
#else
static void watch(int on) {
    struct itimerval limit = {{0, 0}, {on ? SECONDS : 0, 0}};
    setitimer(ITIMER_REAL, &limit, NULL);
}

int main(int argc, char **argv) {
    uint64_t runs = 1000;
    const char *repeat = NULL;
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (const fuzz_target *t = fuzz_targets; t->name; t++) puts(t->name);
        return 0;
    }
    if (argc < 3 || !(target = find(argv[1])))
        return fprintf(stderr, "driver TARGET SEEDS --runs N --seed S | driver TARGET --repeat FILE\n"), 2;
    for (int i = 2; i + 1 < argc; i++) {
        if (!strcmp(argv[i], "--runs")) runs = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--seed")) state = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--keep")) keep = argv[i + 1];
        if (!strcmp(argv[i], "--repeat")) repeat = argv[i + 1];
    }
    signal(SIGALRM, on_signal);
    signal(SIGABRT, on_signal);
    if (repeat) {
        keep = NULL;
        if (read_file(repeat) == SIZE_MAX) return perror(repeat), 2;
        watch(1);
        once();
        return puts("no problem"), 0;
    }
    watch(1);
    if (!load(argv[2])) return fprintf(stderr, "no seeds in %s\n", argv[2]), 2;
    for (uint64_t i = 0; i < runs; i++) {
        if (i % 256 == 0) watch(1);
        mutate();
        if (target->repair && below(16)) target->repair(input, input_n);
        if (once()) add(input, input_n);
    }
    watch(0);
    size_t places = 0;
    for (size_t i = 0; i < MAP; i++) places += seen[i] != 0;
    printf("{\"runs\": %llu, \"corpus\": %zu, \"places\": %zu}\n", (unsigned long long)runs, n_corpus, places);
    for (size_t i = 0; i < MOST_KEPT; i++) free(corpus[i].data);
    return 0;
}
#endif
