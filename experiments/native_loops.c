/* native_loops.c: look-ups as fast as threads can ask, without an interpreter: what `lsmlab bench native` compiles and runs.
 *
 *    a thread = (draw a number, make its key, ask, look at the answer) * operations        all threads begin together
 *
 * One loop for two stores, so that what is beside the look-up costs both the same. Ours is asked through the functions of engine.h, whose
 * addresses are given; RocksDB through its C interface, where this is compiled with WITH_ROCKSDB.
 * Pair i: key = mix(i), i as big-endian u64; value = i as little-endian u64, then bytes that follow from i. Every answer is checked.
 *
 * Ownership: handles are the caller's. Threads: loop_run makes its own and joins them; the caller may hold no lock that they need.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef WITH_ROCKSDB
#include <rocksdb/c.h>
#endif

enum { KEY = 16, VALUE = 100, MOST_BATCH = 128, MOST_THREADS = 256 };

typedef int64_t (*get_fn)(void *ks, const uint8_t *key, size_t n, uint64_t snapshot, uint8_t *out, size_t cap, size_t *needed);
typedef int64_t (*get_many_fn)(void *ks, uint32_t count, const uint8_t *keys, const uint32_t *lens, uint64_t snapshot, uint8_t *out,
                               size_t cap, int64_t *found, size_t *needed, void *error);

typedef struct loop_job {
    void *store; /* a keyspace of ours, or a rocks */
    get_fn get; /* NULL: RocksDB */
    get_many_fn get_many;
    uint64_t pairs, operations, seed; /* operations: of each thread */
    uint32_t threads, batch; /* batch 0: one key a call */
    uint64_t wrong; /* answers that are not those of the pair; all threads */
    double wall_s, cpu_s; /* from the first thread's begin to the last thread's end; of all threads */
} loop_job;

#ifdef WITH_ROCKSDB
typedef struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *reading;
    rocksdb_column_family_handle_t *family;
} rocks;
#endif

typedef struct worker {
    const loop_job *job;
    const _Atomic int *gate; /* 0: wait; 1: go; -1: some thread could not be had */
    uint64_t seed, wrong;
    struct timespec began, ended;
    double cpu_s;
} worker;

static uint64_t mix(uint64_t h) {
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

static void make_key(uint64_t i, uint8_t *key) {
    const uint64_t parts[2] = {__builtin_bswap64(mix(i)), __builtin_bswap64(i)};
    memcpy(key, parts, KEY);
}

static void make_value(uint64_t i, uint8_t *value) {
    memcpy(value, &i, 8);
    for (int j = 8; j < VALUE; j++) value[j] = (uint8_t)(i * 31 + (uint64_t)j);
}

static uint64_t draw(uint64_t *state, uint64_t n) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return (uint64_t)((unsigned __int128)*state * n >> 64);
}

static uint64_t wrong_answer(const uint8_t *value, int64_t len, uint64_t i) {
    return !value || len != VALUE || memcmp(value, &i, 8) != 0 || value[VALUE - 1] != (uint8_t)(i * 31 + VALUE - 1);
}

static void ours_one(worker *w) {
    const loop_job *job = w->job;
    uint8_t key[KEY], out[256];
    size_t needed;
    for (uint64_t n = 0; n < job->operations; n++) {
        const uint64_t i = draw(&w->seed, job->pairs);
        make_key(i, key);
        const int64_t len = job->get(job->store, key, KEY, UINT64_MAX, out, sizeof out, &needed);
        w->wrong += wrong_answer(out, len, i);
    }
}

static void ours_many(worker *w) {
    const loop_job *job = w->job;
    uint8_t keys[MOST_BATCH * KEY], out[MOST_BATCH * VALUE], error[4096];
    uint64_t drawn[MOST_BATCH];
    int64_t found[MOST_BATCH];
    uint32_t lens[MOST_BATCH];
    size_t needed;
    for (uint32_t j = 0; j < job->batch; j++) lens[j] = KEY;
    for (uint64_t n = 0; n < job->operations; n += job->batch) {
        for (uint32_t j = 0; j < job->batch; j++) make_key(drawn[j] = draw(&w->seed, job->pairs), keys + KEY * j);
        if (job->get_many(job->store, job->batch, keys, lens, UINT64_MAX, out, sizeof out, found, &needed, error) != (int64_t)job->batch) {
            w->wrong += job->batch;
            continue;
        }
        for (uint32_t j = 0; j < job->batch; j++) w->wrong += wrong_answer(out + VALUE * (size_t)j, found[j], drawn[j]);
    }
}

#ifdef WITH_ROCKSDB
static void theirs_one(worker *w) {
    const loop_job *job = w->job;
    const rocks *r = job->store;
    uint8_t key[KEY];
    for (uint64_t n = 0; n < job->operations; n++) {
        const uint64_t i = draw(&w->seed, job->pairs);
        make_key(i, key);
        char *error = NULL;
        size_t len = 0;
        rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(r->db, r->reading, (const char *)key, KEY, &error);
        const char *value = slice ? rocksdb_pinnableslice_value(slice, &len) : NULL;
        w->wrong += error || wrong_answer((const uint8_t *)value, (int64_t)len, i);
        if (slice) rocksdb_pinnableslice_destroy(slice);
        free(error);
    }
}

static void theirs_many(worker *w) {
    const loop_job *job = w->job;
    const rocks *r = job->store;
    uint8_t keys[MOST_BATCH * KEY];
    uint64_t drawn[MOST_BATCH];
    const char *at[MOST_BATCH];
    size_t lens[MOST_BATCH];
    rocksdb_pinnableslice_t *slices[MOST_BATCH];
    char *errors[MOST_BATCH];
    for (uint32_t j = 0; j < job->batch; j++) at[j] = (const char *)keys + KEY * j, lens[j] = KEY;
    for (uint64_t n = 0; n < job->operations; n += job->batch) {
        for (uint32_t j = 0; j < job->batch; j++) make_key(drawn[j] = draw(&w->seed, job->pairs), keys + KEY * j), errors[j] = NULL;
        rocksdb_batched_multi_get_cf(r->db, r->reading, r->family, job->batch, at, lens, slices, errors, 0);
        for (uint32_t j = 0; j < job->batch; j++) {
            size_t len = 0;
            const char *value = slices[j] ? rocksdb_pinnableslice_value(slices[j], &len) : NULL;
            w->wrong += errors[j] || wrong_answer((const uint8_t *)value, (int64_t)len, drawn[j]);
            if (slices[j]) rocksdb_pinnableslice_destroy(slices[j]);
            free(errors[j]);
        }
    }
}
#endif

static void *work(void *arg) {
    worker *w = arg;
    struct timespec before, after;
    int open;
    while (!(open = atomic_load_explicit(w->gate, memory_order_acquire))) sched_yield();
    if (open < 0) return NULL;
    clock_gettime(CLOCK_MONOTONIC, &w->began);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    if (w->job->get) {
        if (w->job->batch)
            ours_many(w);
        else
            ours_one(w);
    }
#ifdef WITH_ROCKSDB
    else if (w->job->batch)
        theirs_many(w);
    else
        theirs_one(w);
#endif
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    clock_gettime(CLOCK_MONOTONIC, &w->ended);
    w->cpu_s = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    return NULL;
}

static double seconds(const struct timespec *t) { return (double)t->tv_sec + (double)t->tv_nsec / 1e9; }

#define PUBLIC __attribute__((visibility("default")))

/* 0, or -1: threads that cannot be had, or numbers that are not allowed. */
PUBLIC int loop_run(loop_job *job) {
    if (job->threads < 1 || job->threads > MOST_THREADS || job->batch > MOST_BATCH || !job->pairs) return -1;
#ifndef WITH_ROCKSDB
    if (!job->get) return -1;
#endif
    worker workers[MOST_THREADS];
    pthread_t threads[MOST_THREADS];
    _Atomic int gate = 0;
    uint32_t made = 0;
    for (; made < job->threads; made++) {
        workers[made] = (worker){.job = job, .gate = &gate, .seed = mix(job->seed + made + 1) | 1};
        if (pthread_create(&threads[made], NULL, work, &workers[made]) != 0) break;
    }
    const int all = made == job->threads;
    atomic_store_explicit(&gate, all ? 1 : -1, memory_order_release);
    double began = 1e300, ended = 0;
    job->wrong = 0, job->cpu_s = 0;
    for (uint32_t t = 0; t < made; t++) {
        pthread_join(threads[t], NULL);
        began = seconds(&workers[t].began) < began ? seconds(&workers[t].began) : began;
        ended = seconds(&workers[t].ended) > ended ? seconds(&workers[t].ended) : ended;
        job->wrong += workers[t].wrong, job->cpu_s += workers[t].cpu_s;
    }
    job->wall_s = ended - began;
    return all ? 0 : -1;
}

/* Pairs [from, from + n), packed: keys of 16 bytes, values of 100. */
PUBLIC void loop_pairs(uint64_t from, uint64_t n, uint8_t *keys, uint8_t *values) {
    for (uint64_t i = 0; i < n; i++) {
        make_key(from + i, keys + KEY * i);
        make_value(from + i, values + VALUE * i);
    }
}

#ifdef WITH_ROCKSDB
/* A database with these pairs, settled; NULL and *error (the caller's to free) where RocksDB refuses. */
PUBLIC rocks *rocks_fill(const char *path, uint64_t pairs, size_t cache, size_t write_buffer, double bits, int hash_index, char **error) {
    rocks *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->options = rocksdb_options_create(), r->reading = rocksdb_readoptions_create();
    rocksdb_options_set_create_if_missing(r->options, 1);
    rocksdb_options_set_compression(r->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(r->options, write_buffer);
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(bits));
    rocksdb_cache_t *lru = rocksdb_cache_create_lru(cache);
    rocksdb_block_based_options_set_block_cache(table, lru);
    if (hash_index)
        rocksdb_block_based_options_set_data_block_index_type(table,
                                                              rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_options_set_block_based_table_factory(r->options, table);
    rocksdb_cache_destroy(lru);
    rocksdb_block_based_options_destroy(table);
    const char *names[1] = {"default"};
    const rocksdb_options_t *of_each[1] = {r->options};
    r->db = rocksdb_open_column_families(r->options, path, 1, names, of_each, &r->family, error);
    if (*error) return NULL;
    rocksdb_writeoptions_t *writing = rocksdb_writeoptions_create();
    uint8_t key[KEY], value[VALUE];
    for (uint64_t i = 0; i < pairs && !*error; i++) {
        make_key(i, key), make_value(i, value);
        rocksdb_put(r->db, writing, (const char *)key, KEY, (const char *)value, VALUE, error);
    }
    rocksdb_writeoptions_destroy(writing);
    rocksdb_compact_range(r->db, NULL, 0, NULL, 0);
    return *error ? NULL : r;
}

PUBLIC void rocks_close(rocks *r) {
    rocksdb_column_family_handle_destroy(r->family);
    rocksdb_close(r->db);
    rocksdb_readoptions_destroy(r->reading);
    rocksdb_options_destroy(r->options);
    free(r);
}
#endif
