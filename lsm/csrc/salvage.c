/* salvage.c: blocks by their checksums alone. */
#include "lsm/csrc/salvage.h"
#include "lsm/csrc/table_impl.h"
#include <stdlib.h>

static int known_codec(const lsm_env *env, uint8_t id) {
    for (uint32_t i = 0; id && i < env->n_codecs; i++)
        if (env->codecs[i]->id == id) return 1;
    return !id;
}

uint32_t lsm_salvage_size(const lsm_env *env, uint64_t number, const uint8_t *file, uint64_t n, uint64_t at, uint32_t max) {
    uint8_t seed[24];
    lsm_put64(seed, env->database_id);
    lsm_put64(seed + 8, number);
    lsm_put64(seed + 16, at);
    uint32_t crc = env->crc32c(0, seed, sizeof seed);
    if (at >= n || n - at <= LSM_TRAILER) return 0;
    const uint8_t *p = file + at;
    uint64_t last = n - at - LSM_TRAILER;
    if (last > max) last = max;
    for (uint64_t size = 0; size <= last; size++) { /* p[size] is the codec's id, if the block ends before it */
        crc = env->crc32c(crc, p + size, 1);
        if (size && lsm_mask_crc(crc) == lsm_get32(p + size + 1) && known_codec(env, p[size])) return (uint32_t)size;
    }
    return 0;
}

uint64_t lsm_salvage_next(const lsm_env *env, uint64_t number, const uint8_t *file, uint64_t n, uint64_t from, uint64_t to, uint32_t max,
                          uint32_t *size) {
    for (; from < to; from++)
        if ((*size = lsm_salvage_size(env, number, file, n, from, max))) return from;
    return to;
}

int lsm_salvage_block(const lsm_env *env, uint64_t number, const char *path, const uint8_t *file, uint64_t n, uint64_t at, uint32_t size,
                      uint8_t **out, uint64_t *out_n, lsm_error *error) {
    if (at > n || (uint64_t)size + LSM_TRAILER > n - at) return lsm_fail(error, LSM_CORRUPT, path, at, "the file ends early");
    lsm_env plain = *env; /* nothing of this enters a cache */
    plain.cache = NULL;
    char *name = strdup(path);
    lsm_table t = {.env = &plain, .path = name, .number = number, .size = n};
    lsm_block *b = NULL;
    int status =
        name ? lsm_unpack_block(&t, (lsm_handle){at, size}, file + at, &b, error) : lsm_fail(error, LSM_NOMEM, path, at, "out of memory");
    if (status == LSM_OK && !(*out = malloc((size_t)b->size + 1))) status = lsm_fail(error, LSM_NOMEM, path, at, "out of memory");
    if (status == LSM_OK) {
        memcpy(*out, b->data, b->size);
        *out_n = b->size;
    }
    lsm_block_release(b);
    free(name);
    return status;
}

void lsm_salvage_free(uint8_t *content) { free(content); }
