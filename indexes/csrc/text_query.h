/* text_query.h: a query as a program, and the tree that it becomes. Internal to the search, but for the nodes.
 *
 *    nodes in post-order, e.g. +"lsm tree" -b*  =  TERM lsm (unit 0, place 0), TERM tree (0, 1), NEAR 2 children, PREFIX b, NOT 2 children
 *
 *    leaf      TERM | PREFIX | FUZZY (distance in `number`) | GLOB (* and ?) | NEAR (phrases, `number` tokens between; one phrase: a phrase)
 *    inner     AND, OR: any number of children; NOT: the first child but not the second; ALL: every document
 *
 * A leaf of any kind is one pseudo-term to the scoring: its frequency in a document is the number of its occurrences there.
 * Source of the matching by candidates, rarest first: Culpepper and Moffat, "Efficient set intersection for inverted indexing", TOIS 2010.
 *
 * Ownership: a tree owns what it allocated, its nodes and text stay the caller's. Threads: one a tree.
 * Invariants: a node's children precede it; depth and sizes are checked by idx_tree_init, which refuses what is malformed.
 */
#ifndef IDX_TEXT_QUERY_H
#define IDX_TEXT_QUERY_H
#include "indexes/csrc/text_cursor.h"

/* cdef:begin */
enum {
    IDX_NODE_TERM = 0,
    IDX_NODE_PREFIX = 1,
    IDX_NODE_FUZZY = 2,
    IDX_NODE_GLOB = 3,
    IDX_NODE_NEAR = 4,
    IDX_NODE_AND = 5,
    IDX_NODE_OR = 6,
    IDX_NODE_NOT = 7,
    IDX_NODE_ALL = 8
};

typedef struct {
    uint32_t kind;
    uint32_t text, n; /* of a leaf: where its bytes begin in the program's text, and how many */
    uint32_t children;
    uint32_t number;
    uint32_t unit, place; /* of a TERM in a NEAR: its phrase, counted from 0, and its distance from the phrase's start */
    float boost; /* of a leaf: more than 0 */
} idx_text_node;

#define IDX_QUERY_DEPTH 200
#define IDX_FUZZY_MOST 2
/* cdef:end */

typedef struct {
    uint32_t *at;
    size_t n, cap;
} idx_docs; /* ascending ordinals of a component */

typedef struct {
    idx_posting *at;
    size_t n, cap;
    uint32_t most; /* highest frequency */
    int made;
} idx_made; /* the postings of a leaf that is no term, made for one component */

/* What a query sees of one component. */
typedef struct {
    const idx_text_segment *segment; /* or */
    const idx_text_memory *memory;
    uint32_t n_docs;
    const uint64_t *dead; /* bits; NULL: none */
} idx_part;

typedef struct {
    const idx_text_node *node;
    uint32_t first, next; /* child and sibling, IDX_TERM_NONE: none */
    uint32_t slot; /* of a leaf: which found[] and made[] are its own */
    int scored; /* a leaf that counts: not in a NEAR, not on the right of a NOT */
} idx_branch;

typedef struct {
    int state; /* 0 not looked up, 1 there, 2 not there */
    uint32_t id; /* in memory */
    idx_term term;
} idx_found;

typedef struct {
    idx_branch *branches; /* one a node */
    uint32_t n, root, n_slots;
    const uint8_t *text;
    idx_part part; /* the component at hand */
    idx_found *found; /* by slot, of the component at hand: a slice of all_found */
    idx_made *made;
    idx_found *all_found;
    idx_made *all_made;
    size_t n_parts;
} idx_tree;

int idx_tree_init(idx_tree *t, const idx_text_node *nodes, uint32_t n, const uint8_t *text, size_t text_n, size_t n_parts);
void idx_tree_enter(idx_tree *t, size_t i, const idx_part *part); /* component i < n_parts; what was found in it before is still known */
void idx_tree_free(idx_tree *t);

static inline int idx_is_dead(const idx_part *p, uint32_t doc) { return p->dead && (p->dead[doc / 64] >> doc % 64 & 1); }

static inline uint32_t idx_part_length(const idx_part *p, uint32_t doc) {
    return p->segment ? idx_segment_length(p->segment, doc) : p->memory->docs[doc].length;
}

static inline uint64_t idx_part_row(const idx_part *p, uint32_t doc) {
    return p->segment ? idx_segment_row(p->segment, doc) : p->memory->docs[doc].row;
}

/* Looks the leaf's term up in the component at hand: 1 there, 0 not, or an error. */
int idx_tree_find(idx_tree *t, uint32_t leaf);
/* Puts the cursor on the leaf's postings, made first where it is no term: 1, 0 when there are none, or an error. */
int idx_tree_cursor(idx_tree *t, uint32_t leaf, idx_text_cursor *c);
/* The documents of the branch that are also in `within` (NULL: any). */
int idx_tree_match(idx_tree *t, uint32_t branch, const idx_docs *within, idx_docs *out);
/* The occurrences of a NEAR, of all documents or those in `within`. */
int idx_near_make(idx_tree *t, uint32_t branch, const idx_docs *within, idx_made *out);
/* The terms of a PREFIX, FUZZY or GLOB leaf united. */
int idx_expand_make(idx_tree *t, uint32_t leaf, idx_made *out);

static inline int idx_docs_push(idx_docs *d, uint32_t doc) {
    uint32_t *at = idx_grow(d->at, d->n, &d->cap, 1, sizeof *at);
    if (!at) return IDX_TEXT_MEMORY;
    d->at = at;
    at[d->n++] = doc;
    return IDX_TEXT_OK;
}

static inline int idx_made_push(idx_made *m, uint32_t doc, uint32_t frequency) {
    idx_posting *at = idx_grow(m->at, m->n, &m->cap, 1, sizeof *at);
    if (!at) return IDX_TEXT_MEMORY;
    m->at = at;
    at[m->n++] = (idx_posting){doc, frequency};
    if (frequency > m->most) m->most = frequency;
    return IDX_TEXT_OK;
}
#endif
