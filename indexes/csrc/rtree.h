/* rtree.h: R-trees over boxes of two or three dimensions: packed ones over stored bytes, and growing ones in memory; the same queries on both.
 *
 *    boxes, rows --idx_rtree_order, idx_rtree_pack--> bytes --idx_rtree_open--> packed tree --+
 *    idx_rtree_new, idx_rtree_insert, idx_rtree_delete ---------------> growing tree --------+--> find, nearest, radius, join, entries
 *
 * A box is its least corner, then its greatest: (x0, y0, x1, y1) or (x0, y0, z0, x1, y1, z1); boxes are closed. A row id may have several
 * boxes. No bound is NaN and none of an axis is above the other; bounds of stored boxes may be infinite.
 *
 * Ownership: a packed tree reads the caller's bytes, which outlive it; a growing tree owns its pages. idx_hits is a reusable place for answers.
 * Threads: every function may be called by any thread at any time, except that an idx_hits belongs to one call at a time and
 * close to nobody else. A growing tree has a reader-writer lock inside; a packed one never changes.
 * Invariants: whatever the bytes are, nothing outside of them is read once open has taken them: refs are computed, never stored.
 */
#ifndef IDX_RTREE_H
#define IDX_RTREE_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
typedef struct idx_rtree idx_rtree;
typedef struct idx_hits idx_hits;

enum { IDX_RTREE_SMALL = 512 }; /* that many rows are also copied to the place given to idx_hits_new */
enum { IDX_RTREE_INTERSECTS, IDX_RTREE_WITHIN, IDX_RTREE_CONTAINS, IDX_RTREE_NEAR };
/* What functions return below zero, or idx_rtree_open in *error. */
enum {
    IDX_RTREE_NO_MEMORY = -1,
    IDX_RTREE_NAN = -2,
    IDX_RTREE_INVERTED = -3,
    IDX_RTREE_INFINITE = -4,
    IDX_RTREE_FULL = -5,
    IDX_RTREE_MAGIC = -6,
    IDX_RTREE_VERSION = -7,
    IDX_RTREE_HEADER = -8,
    IDX_RTREE_LENGTH = -9,
    IDX_RTREE_CHECKSUM = -10,
    IDX_RTREE_CHANGED = -11,
};

/* Answers: rows (and distances), sorted and without repeats, or in the order of distance. */
idx_hits *idx_hits_new(uint64_t *small, double *small_distances);
void idx_hits_free(idx_hits *hits);
void idx_hits_take(const idx_hits *hits, uint64_t *rows);
void idx_hits_take_distances(const idx_hits *hits, double *distances);
void idx_hits_take_pairs(const idx_hits *hits, uint64_t *left, uint64_t *right);

/* Check n boxes of 2 * dims numbers (0, or what is wrong with box *bad) and tell whether all are points. */
int idx_rtree_check(int dims, const double *boxes, size_t n, size_t *bad, int *points);
/* order[i] is the place in boxes of the i-th along the Hilbert curve; the same with and without `portable`, which does without AVX2. */
int idx_rtree_order(int dims, const double *boxes, size_t n, int portable, uint64_t *order);
/* The bytes of a packed tree: their number, and themselves. order may be NULL: the boxes stand in order. */
uint64_t idx_rtree_size(int dims, int points, const uint64_t *rows, size_t n);
int idx_rtree_pack(int dims, int points, const double *boxes, const uint64_t *rows, const uint64_t *order, size_t n, uint8_t *out);
idx_rtree *idx_rtree_open(const uint8_t *data, uint64_t size, int verify, int *error);

idx_rtree *idx_rtree_new(int dims);
int idx_rtree_insert(idx_rtree *tree, uint64_t row, const double *box);
/* Take the row's boxes away and give it this one. */
int idx_rtree_update(idx_rtree *tree, uint64_t row, const double *box);
int idx_rtree_insert_many(idx_rtree *tree, const uint64_t *rows, const double *boxes, size_t n);
/* Take a row's boxes away (with box: those equal to it) and return how many there were. */
int64_t idx_rtree_delete(idx_rtree *tree, uint64_t row, const double *box);
int64_t idx_rtree_delete_many(idx_rtree *tree, const uint64_t *rows, size_t n);
int idx_rtree_holds(idx_rtree *tree, uint64_t row);
void idx_rtree_clear(idx_rtree *tree);
int idx_rtree_repack(idx_rtree *tree); /* as if all had come at once */
uint64_t idx_rtree_changes(idx_rtree *tree);
const char *idx_rtree_audit(idx_rtree *tree); /* NULL, or which invariant of a growing tree is broken */

void idx_rtree_close(idx_rtree *tree);
uint64_t idx_rtree_count(idx_rtree *tree);
uint64_t idx_rtree_memory(idx_rtree *tree);
int idx_rtree_dims(const idx_rtree *tree);
void idx_rtree_portable(idx_rtree *tree); /* before its first query: do without AVX2, as other machines do; for tests */
int idx_rtree_repeats(idx_rtree *tree); /* whether a row has several boxes */
int idx_rtree_bounds(idx_rtree *tree, double *box); /* 0, or -1 when the tree is empty */
/* A tree of several that are asked as one, of which the rows of the sorted list `hide` do not count. */
typedef struct idx_rtree_part {
    idx_rtree *tree;
    const uint64_t *hide;
    size_t n_hide;
} idx_rtree_part;

/* The entries of all parts that do not hide; how many, or CHANGED when they could be more than cap. */
int64_t idx_rtree_gather(const idx_rtree_part *parts, size_t n_parts, uint64_t *rows, double *boxes, uint64_t cap);

/* Without `ordered` the rows come as the tree holds them, unless a row has several boxes: a sort alone makes each come once. */
int64_t idx_rtree_find(idx_rtree *tree, int what, const double *box, int ordered, idx_hits *out);
int64_t idx_rtree_count_in(idx_rtree *tree, int what, const double *box, idx_hits *out);
/* Many boxes: offsets (n + 1) into the rows. */
int64_t idx_rtree_find_many(idx_rtree *tree, int what, const double *boxes, size_t n, uint64_t *offsets, idx_hits *out, size_t *bad);
/* The parts have equal dimensions; radius is for IDX_RTREE_NEAR. */
int64_t idx_rtree_find_over(const idx_rtree_part *parts, size_t n_parts, int what, const double *box, double radius, idx_hits *out);
/* The k nearest rows by (distance, row) within `most`. */
int64_t idx_rtree_nearest(const idx_rtree_part *parts, size_t n_parts, const double *box, uint64_t k, double most, idx_hits *out);
int64_t idx_rtree_nearest_many(idx_rtree *tree, const double *boxes, size_t n, uint64_t k, double most, uint64_t *offsets, idx_hits *out,
                               size_t *bad);
/* All pairs of entries that are at most `distance` apart. */
int64_t idx_rtree_join(idx_rtree *left, idx_rtree *right, double distance, idx_hits *out);

/* A walk in steps: about `chunk` rows a step, unsorted, repeats kept; 0 at the end. */
typedef struct idx_rtree_walk idx_rtree_walk;
idx_rtree_walk *idx_rtree_walk_new(idx_rtree *tree, int what, const double *box, int *error);
int64_t idx_rtree_walk_next(idx_rtree_walk *walk, uint64_t chunk, idx_hits *out);
void idx_rtree_walk_free(idx_rtree_walk *walk);
/* cdef:end */
#endif
