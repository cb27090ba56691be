/* targets.c: the readers of everything that stands behind a checksum or not, each fed with bytes; encrypted files: targets_crypt.c. */
#include "experiments/torture/fuzz/fuzz.h"
#include "indexes/csrc/bitmap.h"
#include "indexes/csrc/bitslice.h"
#include "indexes/csrc/hash.h"
#include "indexes/csrc/hashed.h"
#include "indexes/csrc/kinds.h"
#include "indexes/csrc/ordered.h"
#include "indexes/csrc/ranges.h"
#include "indexes/csrc/rtree.h"
#include "indexes/csrc/text_format.h"
#include "indexes/csrc/text_segment.h"
#include "lsm/csrc/block.h"
#include "lsm/csrc/codec.h"
#include "lsm/csrc/engine.h"
#include "lsm/csrc/memtable_kinds.h"
#include "lsm/csrc/table_format.h"
#include "lsm/csrc/table_index.h"
#include "recovery/csrc/crc32c.h"
#include "recovery/csrc/fs_kinds.h"
#include "recovery/csrc/wal_format.h"
#include "recovery/csrc/wal_read.h"
#include <stdlib.h>

enum { DATABASE = 7, NUMBER = 5, BATCHES = 256 };
#define LOG "/d/000005.log"
#define TABLE "/d/000005.sst"

static const uint8_t *const KEYS[] = {(const uint8_t *)"", (const uint8_t *)"key05", (const uint8_t *)"key0500",
                                      (const uint8_t *)"\xff\xff"};
static const size_t SIZES[] = {0, 5, 7, 2};
enum { N_KEYS = 4 };

/* One file system, environment and engine for all runs. */
static struct {
    rec_fs *fs;
    lsm_ledger *ledger;
    lsm_env env;
    lsm_codec *codecs[2];
    const idx_filter_ops *filters[10];
    const idx_range_ops *ranges[3];
    lsm_db *db;
    int batches;
} lab;

static void prepare(void) {
    if (lab.fs) return;
    static const char *const filters[] = {"bloom",        "blocked_bloom", "counting_bloom", "cuckoo", "ribbon", "homogeneous_ribbon",
                                          "binary_fuse8", "binary_fuse16", "xor8",           "xor16"};
    static const char *const ranges[] = {"prefix_bloom", "snarf", "surf"};
    static const char *const paths[][1] = {{"liblz4.so.1"}, {"libzstd.so.1"}};
    lab.fs = rec_fs_memory();
    lab.ledger = lsm_ledger_new();
    lab.fs->ops->mkdir(lab.fs, "/d");
    lab.env = (lsm_env){
        .abi = LSM_ABI, .size = sizeof(lsm_env), .fs = lab.fs, .crc32c = rec_crc32c, .ledger = lab.ledger, .database_id = DATABASE};
    for (int i = 0; i < 10; i++)
        if ((lab.filters[lab.env.n_filters] = idx_filter_find(filters[i]))) lab.env.n_filters++;
    for (int i = 0; i < 3; i++) lab.ranges[lab.env.n_range_filters++] = idx_range_find(ranges[i]);
    for (int i = 0; i < 2; i++)
        if (lsm_codec_load(i ? "zstd" : "lz4", paths[i], 1, &lab.codecs[lab.env.n_codecs]) == LSM_OK) lab.env.n_codecs++;
    lab.env.filters = lab.filters;
    lab.env.range_filters = lab.ranges;
    lab.env.codecs = (const lsm_codec *const *)lab.codecs;
}

static void put_file(const char *path, const uint8_t *data, size_t n) {
    rec_file *file;
    prepare();
    if (lab.fs->ops->open(lab.fs, path, REC_O_READ | REC_O_WRITE | REC_O_CREATE | REC_O_TRUNC, &file)) fuzz_fail("no file");
    file->ops->append(file, data, n);
    file->ops->close(file);
}

/* Logs. */

static void repair_log(uint8_t *p, size_t n) {
    if (n < WAL_HEADER) return;
    put32(p + 28, rec_crc_mask(rec_crc32c(0, p, 28)));
    uint32_t seed = wal_seed(DATABASE, NUMBER);
    for (size_t at = WAL_HEADER; n - at >= WAL_RECORD;) {
        uint8_t *r = p + at;
        uint32_t length = get32(r + 4);
        if (length > n - at - WAL_RECORD) return;
        uint32_t hsum = wal_hsum(seed, at, r), check = wal_check(hsum);
        r[9] = (uint8_t)check, r[10] = (uint8_t)(check >> 8), r[11] = (uint8_t)(check >> 16);
        put32(r, rec_crc_mask(rec_crc32c(hsum, r + WAL_RECORD, length)));
        at += WAL_RECORD + (size_t)length;
    }
}

static void run_log(const uint8_t *p, size_t n) {
    rec_wal_config config = {.salt = DATABASE};
    rec_replay_report report;
    put_file(LOG, p, n);
    for (int mode = REC_RECOVER_ABSOLUTE; mode <= REC_RECOVER_SKIP; mode++) {
        uint8_t *out = NULL;
        size_t size = 0;
        rec_wal_collect(lab.fs, LOG, &config, mode, mode & 1, &out, &size, &report);
        if (size > n * 2 + 64) fuzz_fail("more comes out of a log than went in");
        free(out);
    }
}

/* Tables and what they are made of. */

static void walk_block(const uint8_t *p, size_t n) {
    lsm_block_view v;
    lsm_block_iter it;
    if (lsm_block_view_init(&v, p, n) != LSM_OK) return;
    lsm_block_iter_new(&it);
    lsm_block_iter_init(&it, &v);
    uint64_t turns = 0, sum = 0;
    for (lsm_block_first(&it); it.valid; lsm_block_next(&it)) {
        for (uint64_t i = 0; i < it.e.value_len; i += 64) sum += it.e.value[i];
        for (uint32_t i = 0; i < it.e.key_len; i += 64) sum += it.e.key[i];
        if (++turns > n) fuzz_fail("more entries than bytes");
    }
    lsm_block_iter_init(&it, &v);
    turns = 0;
    for (lsm_block_last(&it); it.valid && turns < 64; lsm_block_prev(&it)) turns++;
    for (int i = 0; i < N_KEYS; i++) {
        lsm_block_iter_init(&it, &v);
        lsm_block_seek(&it, KEYS[i], SIZES[i], UINT64_MAX >> 8);
        if (it.valid) lsm_block_prev(&it);
        lsm_entry found;
        const uint32_t aim = lsm_block_aim(&v, KEYS[i], SIZES[i]);
        if (lsm_block_find(&v, aim, KEYS[i], SIZES[i], 100, &found) != LSM_OK) continue;
        for (uint64_t j = 0; j < found.value_len; j += 64) sum += found.value[j];
    }
    lsm_block_iter_free(&it);
    __asm__ volatile("" : : "r"(sum));
}

static void walk_index(const uint8_t *p, size_t n) {
    static const char *const searches[] = {"fence", "binary", "learned"};
    int status;
    lsm_index_part *part = lsm_index_parse(p, n, (uint64_t)1 << 40, &status);
    if (!part) return;
    for (int s = 0; part->n && s < 3; s++) {
        const idx_search_ops *ops = idx_search_find(searches[s]);
        void *search = ops->open(part->keys, part->offsets, part->n);
        for (int i = 0; search && i < N_KEYS; i++)
            if (ops->find(search, KEYS[i], SIZES[i]) != lsm_index_find(part, KEYS[i], SIZES[i])) fuzz_fail("two searches disagree");
        if (search) ops->close(search);
    }
    free(part);
}

static void run_filter(const uint8_t *p, size_t n) {
    prepare();
    uint8_t *aligned = NULL;
    if (!n || posix_memalign((void **)&aligned, 64, n)) return;
    memcpy(aligned, p, n);
    for (uint32_t f = 0; f < lab.env.n_filters; f++) {
        const idx_filter_ops *ops = lab.filters[f];
        if (ops->check(aligned, n)) continue;
        uint64_t hashes[32];
        uint8_t out[32];
        for (int i = 0; i < 32; i++) hashes[i] = (uint64_t)i * UINT64_C(0x9E3779B97F4A7C15);
        ops->may_contain_many(aligned, n, hashes, 32, out);
        for (int i = 0; i < 32; i++)
            if (!ops->may_contain(aligned, n, hashes[i]) != !out[i]) fuzz_fail("one by one and many disagree");
        if (ops->fpr) ops->fpr(aligned, n);
    }
    free(aligned);
}

static void run_range_filter(const uint8_t *p, size_t n) {
    prepare();
    uint8_t *aligned = NULL;
    if (!n || posix_memalign((void **)&aligned, 64, n)) return;
    memcpy(aligned, p, n);
    for (uint32_t f = 0; f < lab.env.n_range_filters; f++) {
        const idx_range_ops *ops = lab.ranges[f];
        void *opened = ops->check(aligned, n) ? NULL : ops->open(aligned, n);
        if (!opened) continue;
        for (int i = 0; i < N_KEYS; i++) {
            ops->may_contain(opened, KEYS[i], SIZES[i]);
            for (int j = i + 1; j < N_KEYS; j++) ops->may_contain_range(opened, KEYS[i], SIZES[i], KEYS[j], SIZES[j]);
        }
        ops->close(opened);
    }
    free(aligned);
}

static void repair_block(uint8_t *p, size_t n, lsm_handle h) {
    if (h.offset >= n || (uint64_t)h.size + LSM_TRAILER > n - h.offset) return;
    lsm_put32(p + h.offset + h.size + 1, lsm_block_crc(&lab.env, NUMBER, h.offset, p + h.offset, (size_t)h.size + 1));
}

/* The blocks that the footer names, those that the index names, and the footer. */
static void repair_table(uint8_t *p, size_t n) {
    prepare();
    if (n < LSM_FOOTER) return;
    uint8_t *f = p + n - LSM_FOOTER;
    memcpy(f, LSM_TABLE_MAGIC, 8);
    lsm_put32(f + 8, LSM_TABLE_VERSION);
    lsm_put64(f + 16, DATABASE);
    lsm_put64(f + 24, NUMBER);
    for (int i = 0; i < 4; i++) {
        lsm_handle h = {lsm_get64(f + 32 + i * LSM_HANDLE), lsm_get32(f + 40 + i * LSM_HANDLE)};
        int status;
        repair_block(p, n, h);
        if (i != 1 || h.offset >= n || h.size > n - h.offset) continue;
        lsm_index_part *part = lsm_index_parse(p + h.offset, h.size, n, &status);
        for (uint32_t b = 0; part && b < part->n; b++) repair_block(p, n, part->handles[b]);
        free(part);
    }
    lsm_put32(f + LSM_FOOTER - 4, lsm_mask_crc(rec_crc32c(0, f, LSM_FOOTER - 4)));
}

static void run_table(const uint8_t *p, size_t n) {
    lsm_error e = {0};
    lsm_table *t = NULL;
    put_file(TABLE, p, n);
    if (lsm_table_open(&lab.env, NULL, TABLE, NUMBER, 0, 0, &t, &e) != LSM_OK) return;
    lsm_table_verify(t, NULL, NULL, &e);
    lsm_iter *it = lsm_table_iter(t, 0, LSM_BY_SCAN, 0, 4096, &e);
    uint64_t turns = 0;
    if (it) {
        for (it->ops->first(it); it->valid && turns < 4096; it->ops->next(it)) turns++;
        it->ops->close(it);
    }
    it = lsm_table_iter(t, 0, LSM_BY_SCAN, 0, 0, &e);
    if (it) {
        turns = 0;
        for (it->ops->last(it); it->valid && turns < 64; it->ops->prev(it)) turns++;
        it->ops->close(it);
    }
    const idx_filter_ops *filter = lsm_table_filter(t);
    for (int i = 0; i < N_KEYS; i++) {
        lsm_entry found;
        lsm_pin pin = {0};
        uint64_t hash = filter ? filter->hash(KEYS[i], SIZES[i]) : 0;
        if (lsm_table_get(t, KEYS[i], SIZES[i], hash, UINT64_MAX >> 8, 0, &found, &pin, &e) == LSM_OK) lsm_block_release(pin.block);
        lsm_tombs_covering(lsm_table_tombs(t), KEYS[i], SIZES[i], UINT64_MAX >> 8);
    }
    lsm_table_unref(t);
}

/* codec number u8 | raw size u32 | compressed */
static void run_codec(const uint8_t *p, size_t n) {
    prepare();
    if (n < 5 || !lab.env.n_codecs) return;
    const lsm_codec *c = lab.codecs[p[0] % lab.env.n_codecs];
    size_t cap = lsm_get32(p + 1) % 65536;
    uint8_t *out = malloc(cap + 1);
    if (!out) return;
    out[cap] = 0xa5;
    int64_t got = c->decompress(c, p + 5, n - 5, out, cap);
    if (got > (int64_t)cap || out[cap] != 0xa5) fuzz_fail("more came out than was asked for");
    free(out);
}

static void open_engine(void) {
    lsm_error e = {0};
    lsm_db_config config = {
        .abi = LSM_ABI, .size = sizeof config, .env = &lab.env, .wal = rec_wal_default(), .dir = "/d", .disable_wal = 1};
    if (lsm_db_open(&config, &lab.db, &e) != LSM_OK) fuzz_fail("the engine does not open");
    for (uint32_t id = 0; id < 2; id++) {
        lsm_keyspace *ks;
        lsm_keyspace_config space = {
            .abi = LSM_ABI, .size = sizeof space, .id = id, .memtable = &lsm_skiplist_ops, .write_buffer = 1 << 16};
        if (lsm_keyspace_new(lab.db, &space, &ks, &e) != LSM_OK) fuzz_fail("a keyspace is not made");
    }
}

static void run_batch(const uint8_t *p, size_t n) {
    lsm_error e = {0};
    prepare();
    if (!lab.db) open_engine();
    lsm_replay(lab.db, n > 8 ? lsm_get64(p) : 1, n > 8 ? p + 8 : p, n > 8 ? n - 8 : n, &e);
    if (++lab.batches % BATCHES) return;
    lsm_db_close(lab.db, &e);
    lsm_db_free(lab.db);
    lab.db = NULL;
}

/* Segments of indexes. */

static void sum_at(uint8_t *p, size_t n, size_t place, size_t from) {
    if (n >= from) lsm_put64(p + place, idx_xxh3(p + from, n - from));
}
static void repair_64(uint8_t *p, size_t n) { sum_at(p, n, 32, 64); }
static void repair_bitmap(uint8_t *p, size_t n) { sum_at(p, n, 40, 64); }
static void repair_tail(uint8_t *p, size_t n) {
    if (n >= 8) lsm_put64(p + n - 8, idx_xxh3(p, n - 8));
}
static void repair_text(uint8_t *p, size_t n) {
    if (n < TEXT_HEADER) return;
    lsm_put64(p + TEXT_HEADER - 8, idx_xxh3(p, TEXT_HEADER - 8));
    repair_tail(p, n);
}

static void drain(idx_cursor *c, size_t n) {
    uint8_t keys[512];
    uint64_t offsets[33], rows[32], entries = 0;
    size_t need;
    while (c) {
        int64_t got = idx_cursor_batch(c, 32, keys, sizeof keys, offsets, rows, &need);
        if (got <= 0) break;
        if ((entries += (uint64_t)got) > 64 * (uint64_t)n + 65536) break; /* runs of rows take few bytes */
    }
    if (c) idx_cursor_free(c);
}

static void run_ordered(const uint8_t *p, size_t n) {
    int error;
    idx_ordered *v = idx_ordered_open(p, n, &error);
    if (!v) return;
    uint64_t out[16], all[4096], at = 0, count = idx_ordered_count(v);
    idx_ordered_verify(v);
    for (int i = 0; i < N_KEYS; i++) {
        idx_ordered_place(v, KEYS[i], SIZES[i], i & 1, &at);
        idx_ordered_lookup(v, KEYS[i], SIZES[i], out, 16);
        idx_ordered_first(v, KEYS[i], SIZES[i]);
    }
    idx_ordered_range(v, NULL, 0, 0, NULL, 0, 0, all, 4096);
    idx_ordered_range(v, KEYS[0], SIZES[0], 1, KEYS[1], SIZES[1], 1, all, 4096);
    drain(idx_ordered_cursor(v, 0, count < 4096 ? count : 4096, 0), n);
    drain(idx_ordered_cursor(v, 0, count < 64 ? count : 64, 1), n);
    idx_ordered_free(v);
}

static void run_hashed(const uint8_t *p, size_t n) {
    int error;
    idx_hashed *v = idx_hashed_open(p, n, &error);
    if (!v) return;
    uint64_t out[16];
    idx_hashed_verify(v);
    for (int i = 0; i < N_KEYS; i++) {
        idx_hashed_lookup(v, KEYS[i], SIZES[i], out, 16);
        idx_hashed_first(v, KEYS[i], SIZES[i]);
    }
    drain(idx_hashed_cursor(v), n);
    idx_hashed_free(v);
}

static void use_set(idx_rowset *s) {
    uint64_t rows[64], row;
    if (!s) return;
    idx_rowset_rows(s, 0, rows, 64);
    idx_rowset_has(s, 5);
    idx_rowset_rank(s, 1000);
    idx_rowset_select(s, idx_rowset_count(s) / 2, &row);
    idx_rowset *both = idx_rowset_combine(IDX_ANDNOT, s, s);
    if (both && idx_rowset_count(both)) fuzz_fail("a set without itself is not empty");
    idx_rowset_free(both);
    both = idx_rowset_combine(IDX_OR, s, s);
    if (both && idx_rowset_count(both) != idx_rowset_count(s)) fuzz_fail("a set with itself has another size");
    idx_rowset_free(both);
    idx_rowset_free(s);
}

static void run_rowset(const uint8_t *p, size_t n) {
    int error;
    size_t at;
    use_set(idx_rowset_open(p, n, &error, &at));
}

static void run_bitmap(const uint8_t *p, size_t n) {
    int error;
    idx_bitmap *v = idx_bitmap_open(p, n, &error);
    if (!v) return;
    idx_bitmap_verify(v);
    uint64_t values = idx_bitmap_values(v);
    for (int i = 0; i < N_KEYS; i++) {
        idx_bitmap_place(v, KEYS[i], SIZES[i], i & 1);
        idx_bitmap_find(v, KEYS[i], SIZES[i]);
    }
    for (uint64_t i = 0; i <= values && i < 8; i++) use_set(idx_bitmap_set(v, i, &error));
    use_set(idx_bitmap_union(v, NULL, 0, 0, values < 64 ? values : 64, &error));
    drain(idx_bitmap_cursor(v), n);
    idx_bitmap_free(v);
}

static void run_sliced(const uint8_t *p, size_t n) {
    int error;
    idx_slices *v = idx_slices_open(p, n, &error);
    if (!v) return;
    uint64_t rows[16] = {0, 1, 5, 1000, 70000}, values[16], count, high, low;
    uint8_t found[16];
    idx_slices_verify(v);
    idx_rowset_free(idx_slices_all(v));
    idx_rowset_free(idx_slices_range(v, 10, (uint64_t)1 << 63));
    idx_slices_range_count(v, 0, 1000, NULL, &count);
    idx_slices_sum(v, NULL, &count, &high, &low);
    idx_slices_top(v, NULL, 5, 1, rows + 5, values);
    idx_slices_values(v, rows, 5, values, found);
    idx_slices_free(v);
}

static void run_rtree(const uint8_t *p, size_t n) {
    static const double box[] = {0, 0, 5, 5, 9, 9}, box3[] = {0, 0, 0, 5, 5, 5};
    uint64_t small[IDX_RTREE_SMALL];
    double distances[IDX_RTREE_SMALL];
    int error;
    for (int verify = 0; verify < 2; verify++) {
        idx_rtree *t = idx_rtree_open(p, n, verify, &error);
        if (!t) continue;
        idx_hits *hits = idx_hits_new(small, distances);
        const double *asked = idx_rtree_dims(t) == 3 ? box3 : box;
        idx_rtree_part part = {t, NULL, 0};
        idx_rtree_find(t, IDX_RTREE_INTERSECTS, asked, 1, hits);
        idx_rtree_nearest(&part, 1, asked, 3, 1e9, hits);
        idx_hits_free(hits);
        idx_rtree_close(t);
    }
}

static void run_text(const uint8_t *p, size_t n) {
    idx_text_segment *s = NULL;
    if (idx_text_open(p, n, 1, &s) != IDX_TEXT_OK) return;
    idx_text_check(s);
    idx_text_close(s);
}

const fuzz_target fuzz_targets[] = {
    {"log", repair_log, run_log},
    {"block", NULL, walk_block},
    {"index", NULL, walk_index},
    {"filter", NULL, run_filter},
    {"range_filter", NULL, run_range_filter},
    {"table", repair_table, run_table},
    {"codec", NULL, run_codec},
    {"batch", NULL, run_batch},
    {"ordered", repair_64, run_ordered},
    {"hashed", repair_64, run_hashed},
    {"bitmap", repair_bitmap, run_bitmap},
    {"sliced", repair_64, run_sliced},
    {"rowset", NULL, run_rowset},
    {"rtree", repair_tail, run_rtree},
    {"text", repair_text, run_text},
    {"framed", repair_framed, run_framed},
    {"paged", repair_paged, run_paged},
    {NULL, NULL, NULL},
};
