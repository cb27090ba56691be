#include "indexes/csrc/bitmap.h"
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/varint.h"
#include <stdlib.h>

enum { SLACK = 8, MOST_LOW = 56 };

int ef_store(idx_buffer *out, const uint64_t *rows, size_t n) {
    const uint64_t span = rows[n - 1] - rows[0];
    uint32_t low = 0;
    while (low < MOST_LOW && span / n >> (low + 1)) low++;
    const uint64_t highs = ((span >> low) + n + 7) / 8,
                   lows = ((uint64_t)n * low + 7) / 8; /* the last one stands at (span >> low) + n - 1 */
    uint8_t head[3 * VARINT_MOST + 1];
    size_t h = varint_put(head, n);
    h += varint_put(head + h, rows[0]);
    head[h++] = (uint8_t)low;
    h += varint_put(head + h, highs);
    uint8_t *p = buffer_more(out, h + highs + lows + SLACK);
    if (!p) return IDX_MEMORY;
    memcpy(p, head, h);
    p += h;
    memset(p, 0, highs + lows + SLACK);
    uint8_t *packed = p + highs;
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = rows[i] - rows[0], one = (v >> low) + i, bit = (uint64_t)i * low;
        p[one / 8] |= (uint8_t)(1u << one % 8);
        idx_store64(packed + bit / 8, idx_load64(packed + bit / 8) | (v & ((UINT64_C(1) << low) - 1)) << bit % 8);
    }
    out->size -= SLACK;
    return 0;
}

/* Read the ones of the highs and the lows beside them. */
static int read_rows(const uint8_t *highs, uint64_t high_bytes, const uint8_t *lows, uint32_t low, uint64_t first, uint64_t *out,
                     uint64_t n) {
    const uint64_t mask = (UINT64_C(1) << low) - 1;
    uint64_t i = 0;
    for (uint64_t at = 0; at < high_bytes && i < n; at += 8) {
        uint64_t v = idx_load64(highs + at);
        if (high_bytes - at < 8) v &= (UINT64_C(1) << 8 * (high_bytes - at)) - 1;
        for (; v && i < n; v &= v - 1, i++) {
            const uint64_t rest = at * 8 + (uint64_t)__builtin_ctzll(v) - i, bit = i * low;
            if (rest > UINT64_MAX >> low) return IDX_MALFORMED;
            out[i] = first + (rest << low | (idx_load64(lows + bit / 8) >> bit % 8 & mask));
            if (out[i] < first || (i && out[i] <= out[i - 1])) return IDX_MALFORMED;
        }
    }
    return i == n ? 0 : IDX_MALFORMED;
}

int ef_rows(const uint8_t *p, const uint8_t *end, uint64_t **rows, size_t *n) {
    uint64_t count, first, high_bytes;
    *rows = NULL, *n = 0;
    p = varint_get(p, end, &count);
    p = p ? varint_get(p, end, &first) : NULL;
    if (!p || p == end || count == 0) return IDX_MALFORMED;
    const uint32_t low = *p++;
    p = varint_get(p, end, &high_bytes);
    if (!p || low > MOST_LOW || high_bytes > (uint64_t)(end - p) || count > high_bytes * 8) return IDX_MALFORMED;
    if ((count * low + 7) / 8 != (uint64_t)(end - p) - high_bytes) return IDX_MALFORMED;
    *rows = malloc(count * sizeof **rows);
    if (!*rows) return IDX_MEMORY;
    *n = count;
    const int failed = read_rows(p, high_bytes, p + high_bytes, low, first, *rows, count);
    if (failed) free(*rows), *rows = NULL;
    return failed;
}
