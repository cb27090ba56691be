#include "lsm/csrc/codec.h"
#include "lsm/csrc/types.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Places in lsm_codec.fn. OTHER: of lz4 the tight search, of zstd the test of a result. */
enum { FN_BOUND, FN_COMPRESS, FN_DECOMPRESS, FN_OTHER, FN_FREE_C, FN_FREE_D, FN_NEW_C, FN_NEW_D };
enum { POOL = 16 };

/* zstd's work spaces are big and slow to make: idle ones wait in slots that threads take and fill with one atomic exchange. */
typedef struct {
    lsm_codec base;
    void *_Atomic compressors[POOL], *_Atomic decompressors[POOL];
} zstd_codec;

static void *take(void *_Atomic *pool, void *make) {
    for (int i = 0; i < POOL; i++) {
        void *idle = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
        if (idle) return idle;
    }
    return ((void *(*)(void))make)();
}

static void give_back(void *_Atomic *pool, void *idle, void *destroy) {
    for (int i = 0; i < POOL; i++) {
        void *empty = NULL;
        if (atomic_compare_exchange_strong_explicit(&pool[i], &empty, idle, memory_order_release, memory_order_relaxed)) return;
    }
    ((size_t (*)(void *))destroy)(idle);
}

static size_t none_bound(const lsm_codec *c, size_t n) {
    (void)c;
    return n;
}

static int64_t none_copy(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap) {
    (void)c;
    if (n > cap) return -1;
    if (n) memcpy(dst, src, n);
    return (int64_t)n;
}

static int64_t none_compress(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap, int level) {
    (void)level;
    return none_copy(c, src, n, dst, cap);
}

static size_t lz4_bound(const lsm_codec *c, size_t n) {
    const int most = n <= INT_MAX ? ((int (*)(int))c->fn[FN_BOUND])((int)n) : 0; /* uncovered (guard): a block is below 2 GiB */
    return most > 0 ? (size_t)most : 0;
}

/* level: above 1 the slow, tight search of that level; 1 and 0 the standard one; below 0 faster still ("acceleration" -level). */
static int64_t lz4_compress(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap, int level) {
    typedef int compress_fn(const char *, char *, int, int, int);
    if (n > INT_MAX) return -1; /* uncovered (guard): a block is below 2 GiB */
    const int room = cap < INT_MAX ? (int)cap : INT_MAX; /* uncovered (guard): a block is below 2 GiB */
    const int best = level > 1 && c->fn[FN_OTHER];
    compress_fn *compress = (compress_fn *)c->fn[best ? FN_OTHER : FN_COMPRESS];
    const int got = compress(src, dst, (int)n, room, best ? level : level >= 0 ? 1 : level > -INT_MAX ? -level : INT_MAX);
    return got > 0 ? got : -1;
}

static int64_t lz4_decompress(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap) {
    if (n > INT_MAX) return -1; /* uncovered (guard): a block is below 2 GiB */
    /* uncovered (guard): a block is below 2 GiB */
    const int got = ((int (*)(const char *, char *, int, int))c->fn[FN_DECOMPRESS])(src, dst, (int)n, cap < INT_MAX ? (int)cap : INT_MAX);
    return got >= 0 ? got : -1;
}

static int is_error(const lsm_codec *c, size_t got) { return ((unsigned (*)(size_t))c->fn[FN_OTHER])(got) != 0; }

static size_t zstd_bound(const lsm_codec *c, size_t n) {
    const size_t most = ((size_t (*)(size_t))c->fn[FN_BOUND])(n);
    return is_error(c, most) ? 0 : most;
}

static int64_t zstd_compress(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap, int level) {
    zstd_codec *z = (zstd_codec *)c; /* only the pool changes, and that atomically */
    void *work = take(z->compressors, c->fn[FN_NEW_C]);
    if (!work) return -1;
    const size_t got = ((size_t (*)(void *, void *, size_t, const void *, size_t, int))c->fn[FN_COMPRESS])(work, dst, cap, src, n, level);
    give_back(z->compressors, work, c->fn[FN_FREE_C]);
    return is_error(c, got) ? -1 : (int64_t)got;
}

static int64_t zstd_decompress(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap) {
    zstd_codec *z = (zstd_codec *)c;
    void *work = n ? take(z->decompressors, c->fn[FN_NEW_D]) : NULL; /* zero frames would decode to nothing */
    if (!work) return -1;
    const size_t got = ((size_t (*)(void *, void *, size_t, const void *, size_t))c->fn[FN_DECOMPRESS])(work, dst, cap, src, n);
    give_back(z->decompressors, work, c->fn[FN_FREE_D]);
    return is_error(c, got) ? -1 : (int64_t)got;
}

static int bind_lz4(lsm_codec *c) {
    const char *const names[8] = {"LZ4_compressBound", "LZ4_compress_fast", "LZ4_decompress_safe", "LZ4_compress_HC"};
    for (int i = 0; i < 4; i++)
        if (!(c->fn[i] = dlsym(c->handle, names[i])) && i != FN_OTHER) return -1;
    void *version = dlsym(c->handle, "LZ4_versionString");
    if (!version) return -1;
    c->version = ((const char *(*)(void))version)();
    c->bound = lz4_bound, c->compress = lz4_compress, c->decompress = lz4_decompress;
    c->name = "lz4", c->id = 1;
    return 0;
}

static int bind_zstd(lsm_codec *c) {
    const char *const names[8] = {"ZSTD_compressBound", "ZSTD_compressCCtx", "ZSTD_decompressDCtx", "ZSTD_isError",
                                  "ZSTD_freeCCtx",      "ZSTD_freeDCtx",     "ZSTD_createCCtx",     "ZSTD_createDCtx"};
    for (int i = 0; i < 8; i++)
        if (!(c->fn[i] = dlsym(c->handle, names[i]))) return -1;
    void *version = dlsym(c->handle, "ZSTD_versionString");
    if (!version) return -1;
    c->version = ((const char *(*)(void))version)();
    c->bound = zstd_bound, c->compress = zstd_compress, c->decompress = zstd_decompress;
    c->name = "zstd", c->id = 2;
    return 0;
}

int lsm_codec_load(const char *name, const char *const *paths, size_t n_paths, lsm_codec **out) {
    *out = NULL;
    int (*bind)(lsm_codec *) = strcmp(name, "lz4") == 0 ? bind_lz4 : strcmp(name, "zstd") == 0 ? bind_zstd : NULL;
    if (!bind && strcmp(name, "none") != 0) return LSM_INVALID;
    zstd_codec *z = calloc(1, sizeof *z);
    if (!z) return LSM_NOMEM;
    lsm_codec *c = &z->base;
    *c = (lsm_codec){.abi = LSM_ABI,
                     .size = sizeof(lsm_codec),
                     .name = "none",
                     .version = "1",
                     .bound = none_bound,
                     .compress = none_compress,
                     .decompress = none_copy};
    for (size_t i = 0; bind && i < n_paths; i++) {
        c->handle = dlopen(paths[i], RTLD_LAZY | RTLD_LOCAL);
        if (!c->handle) continue;
        if (bind(c) == 0) break;
        dlclose(c->handle);
        c->handle = NULL;
    }
    if (bind && !c->handle) {
        free(z);
        return LSM_INVALID;
    }
    *out = c;
    return LSM_OK;
}

void lsm_codec_free(lsm_codec *c) {
    if (!c) return;
    zstd_codec *z = (zstd_codec *)c;
    for (int i = 0; i < POOL; i++) {
        if (z->compressors[i]) ((size_t (*)(void *))c->fn[FN_FREE_C])(z->compressors[i]);
        if (z->decompressors[i]) ((size_t (*)(void *))c->fn[FN_FREE_D])(z->decompressors[i]);
    }
    if (c->handle) dlclose(c->handle);
    free(z);
}
