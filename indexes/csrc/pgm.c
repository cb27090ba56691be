/* pgm.c: reading a PGM-index: windows and searches. pgm_build.c makes it. */
#include "indexes/csrc/bytes.h"
#include "indexes/csrc/pgm_format.h"
#include <stdlib.h>

enum { GROUP = 16 };

static inline const uint8_t *line_at(const idx_pgm *p, uint32_t level, size_t i) { return p->level[level] + i * PGM_LINE; }
static inline uint64_t line_key(const uint8_t *line) { return idx_load64(line); }

/* Where the line says that x is; at most where the next line begins. x >= its key. */
static inline size_t place(const uint8_t *line, int is_last, uint64_t x, size_t n) {
    const unsigned __int128 far = (unsigned __int128)(x - line_key(line)) * idx_load32(line + 16) >> idx_load32(line + 20);
    int64_t at = (int64_t)idx_load64(line + 8) + (far > PGM_FAR ? PGM_FAR : (int64_t)far);
    if (!is_last && at > (int64_t)idx_load64(line + PGM_LINE + 8)) at = (int64_t)idx_load64(line + PGM_LINE + 8);
    return at < 0 ? 0 : (uint64_t)at > n ? n : (size_t)at;
}

void idx_pgm_window(const idx_pgm *p, uint64_t key, size_t *from, size_t *to) {
    *from = *to = 0;
    if (!p->n || key < line_key(p->level[0])) return;
    size_t i = 0;
    for (uint32_t level = p->levels; level-- > 1;) { /* the last line below that begins at or before key */
        const size_t below = p->lines[level - 1], at = place(line_at(p, level, i), i + 1 == p->lines[level], key, below);
        const size_t end = at + p->level_error + 1 < below ? at + p->level_error + 1 : below - 1;
        for (i = at > p->level_error + 1 ? at - p->level_error - 1 : 0; i < end && line_key(line_at(p, level - 1, i + 1)) <= key;) i++;
    }
    const size_t at = place(line_at(p, 0, i), i + 1 == p->lines[0], key, p->n);
    *from = at > p->error ? at - p->error : 0;
    *to = p->n - at > p->error ? at + p->error + 1 : p->n;
}

/* First place in [from, to) with an element >= key, else to: a binary search without a branch on the data. */
static inline size_t search_window(const uint64_t *keys, size_t from, size_t to, uint64_t key) {
    const uint64_t *base = keys + from;
    size_t left = to - from;
    for (; left > 1; left -= left / 2) base += (size_t)(base[left / 2 - 1] < key) * (left / 2);
    return (size_t)(base - keys) + (left && *base < key);
}

size_t idx_pgm_search(const idx_pgm *p, const uint64_t *keys, uint64_t key) {
    size_t from, to;
    idx_pgm_window(p, key, &from, &to);
    return search_window(keys, from, to, key);
}

/* A group's windows first, so that the cache misses of its searches overlap. */
void idx_pgm_search_many(const idx_pgm *p, const uint64_t *keys, const uint64_t *wanted, size_t n, uint64_t *out) {
    size_t from[GROUP], to[GROUP];
    for (size_t at = 0; at < n; at += GROUP) {
        const size_t some = n - at < GROUP ? n - at : GROUP;
        for (size_t i = 0; i < some; i++) {
            idx_pgm_window(p, wanted[at + i], &from[i], &to[i]);
            for (size_t k = from[i]; k < to[i]; k += 8) __builtin_prefetch(keys + k);
        }
        for (size_t i = 0; i < some; i++) out[at + i] = search_window(keys, from[i], to[i], wanted[at + i]);
    }
}

void idx_pgm_window_many(const idx_pgm *p, const uint64_t *wanted, size_t n, uint64_t *from, uint64_t *to) {
    for (size_t i = 0; i < n; i++) {
        size_t a, b;
        idx_pgm_window(p, wanted[i], &a, &b);
        from[i] = a, to[i] = b;
    }
}

int idx_pgm_header(idx_pgm *p, const uint8_t *bytes, size_t len) {
    if (len < PGM_HEADER || bytes[0] != PGM_KIND || bytes[1] != PGM_VERSION || bytes[2] > PGM_LEVELS || bytes[3]) return -1;
    *p = (idx_pgm){.levels = bytes[2],
                   .epsilon = idx_load32(bytes + 4),
                   .error = idx_load32(bytes + 8),
                   .level_error = idx_load32(bytes + 12),
                   .n = idx_load64(bytes + 16),
                   .bytes = bytes,
                   .len = len};
    const uint64_t lines = idx_load64(bytes + 24);
    const size_t head = PGM_HEADER + 8 * (size_t)p->levels;
    uint64_t sum = 0;
    if (p->n > PGM_MOST || lines > p->n * 2 + PGM_LEVELS || len < head || (len - head) / PGM_LINE != lines || (len - head) % PGM_LINE)
        return -1;
    if (!p->levels != !p->n) return -1;
    for (uint32_t i = 0; i < p->levels; i++) {
        p->lines[i] = idx_load64(bytes + PGM_HEADER + 8 * i);
        if (!p->lines[i] || p->lines[i] > lines - sum || (i && p->lines[i] >= p->lines[i - 1])) return -1;
        p->level[i] = bytes + head + sum * PGM_LINE;
        sum += p->lines[i];
    }
    return sum == lines && (!p->levels || p->lines[p->levels - 1] == 1) ? 0 : -1;
}

int idx_pgm_check(const uint8_t *bytes, size_t len) {
    idx_pgm p;
    if (idx_pgm_header(&p, bytes, len)) return -1;
    for (uint32_t level = 0; level < p.levels; level++)
        for (size_t i = 0; i < p.lines[level]; i++) {
            const uint8_t *line = line_at(&p, level, i);
            const int64_t at = (int64_t)idx_load64(line + 8);
            if (idx_load32(line + 20) > PGM_MAX_SHIFT || at > PGM_FAR || at < -PGM_FAR) return -1;
            if (i ? line_key(line) <= line_key(line - PGM_LINE) : level && line_key(line) != line_key(p.level[0])) return -1;
        }
    return 0;
}

idx_pgm *idx_pgm_open(const uint8_t *bytes, size_t len) {
    idx_pgm *p = malloc(sizeof *p);
    if (p) idx_pgm_header(p, bytes, len);
    return p;
}

void idx_pgm_free(idx_pgm *p) {
    if (p) free(p->own);
    free(p);
}

const uint8_t *idx_pgm_bytes(const idx_pgm *p, size_t *len) {
    *len = p->len;
    return p->bytes;
}

size_t idx_pgm_count(const idx_pgm *p) { return p->n; }
size_t idx_pgm_lines(const idx_pgm *p, uint32_t level) { return level < p->levels ? p->lines[level] : 0; }
uint32_t idx_pgm_epsilon(const idx_pgm *p) { return p->epsilon; }
uint32_t idx_pgm_error(const idx_pgm *p) { return p->error; }
