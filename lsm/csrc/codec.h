/* codec.h: block compression behind an ops table; lz4 and zstd are loaded at run time.
 *
 * Ownership: lsm_codec_load gives an object that holds its library open until lsm_codec_free. Threads: compress and decompress from any
 * thread. Invariants: decompress never writes more than cap and fails unless the whole input was used.
 */
#ifndef LSM_CODEC_H
#define LSM_CODEC_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
typedef struct lsm_codec lsm_codec;
struct lsm_codec {
    uint32_t abi, size; /* LSM_ABI, sizeof(lsm_codec) */
    const char *name;
    uint32_t id; /* stored per block: 0 none, 1 lz4, 2 zstd; user codecs from 128 */
    size_t (*bound)(const lsm_codec *c, size_t n);
    int64_t (*compress)(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap, int level); /* bytes, or -1 */
    int64_t (*decompress)(const lsm_codec *c, const void *src, size_t n, void *dst, size_t cap); /* bytes, or -1 */
    const char *version;
    void *handle;
    void *fn[8];
};
/* paths: libraries to try in order (system soname or file). LSM_OK, or LSM_INVALID when none of them offers the codec. */
int lsm_codec_load(const char *name, const char *const *paths, size_t n_paths, lsm_codec **out);
void lsm_codec_free(lsm_codec *c);
/* cdef:end */
#endif
