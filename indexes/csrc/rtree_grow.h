/* rtree_grow.h: the pages of a growing R-tree.
 *
 *    row --table--> item --next--> item (same row) ...     item --page--> leaf --parent--> page ... --> root
 *
 * Ownership: the tree owns chunks of pages, items and table; pages and items that are free wait in lists.
 * Threads: the caller holds the tree's lock for writing.
 * Invariants: an entry above the leaves is exactly the box of its page; every page but the root of an empty tree has an entry; a page's
 * parent and an item's page are right at all times. rt_reserve_* first: then nothing in the middle of a change can fail.
 */
#ifndef IDX_RTREE_GROW_H
#define IDX_RTREE_GROW_H
#include "indexes/csrc/rtree_node.h"

typedef struct rt_slot { /* an entry on its way between pages */
    rt_box box;
    uint32_t kid; /* item or page */
    uint64_t row;
} rt_slot;

static inline uint8_t *rt_lo(rt_page *p, int a) { return p->columns + a * RT_COLUMN; }
static inline uint8_t *rt_hi(const idx_rtree *t, rt_page *p, int a) { return p->columns + (t->dims + a) * RT_COLUMN; }

void rt_get(const idx_rtree *t, uint32_t page, unsigned i, rt_slot *out);
void rt_put(const idx_rtree *t, uint32_t page, const rt_slot *s); /* the page has room */
void rt_drop(const idx_rtree *t, uint32_t page, unsigned i);
void rt_set_box(const idx_rtree *t, rt_page *p, unsigned i, const rt_box *box);
void rt_cover(const idx_rtree *t, uint32_t page, rt_box *out);
int rt_is_point(const idx_rtree *t, const rt_box *box);
int rt_same_box(int dims, const rt_box *a, const rt_box *b);
unsigned rt_place_in(const rt_page *p, uint32_t kid);

int rt_insert(idx_rtree *t, uint64_t row, const rt_box *box); /* 0, or why nothing has changed */

int rt_reserve_pages(rt_growth *g, uint32_t wanted);
uint32_t rt_new_page(rt_growth *g, int level);
void rt_free_page(rt_growth *g, uint32_t at);

int rt_reserve_items(rt_growth *g, uint64_t wanted);
uint32_t rt_new_item(rt_growth *g, uint64_t row);
uint32_t rt_find_place(const rt_growth *g, uint64_t row); /* in the table: of the row, or where it would go */
void rt_close_gap(rt_growth *g, uint32_t at);
void rt_reset(idx_rtree *t); /* no entries; memory is kept */

static inline void rt_lock_write(idx_rtree *t) { pthread_rwlock_wrlock(&t->growth->lock); }
#endif
