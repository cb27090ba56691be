/* The query tree: made from a program, leaves found, boolean matching by candidates. */
#include "indexes/csrc/text_query.h"

static int leaf_fits(const idx_text_node *node, size_t text_n) {
    if (node->text > text_n || node->n > text_n - node->text || !(node->boost > 0)) return 0;
    if (node->kind == IDX_NODE_FUZZY) return node->number <= IDX_FUZZY_MOST && node->n <= IDX_TERM_MOST;
    return 1;
}

/* Links the last `children` trees of the stack below the node. */
static int adopt(idx_tree *t, uint32_t at, uint32_t *stack, uint32_t *depths, uint32_t *top) {
    const idx_text_node *node = t->branches[at].node;
    if (node->children > *top) return IDX_TEXT_QUERY;
    uint32_t deepest = 0, unit = 0;
    *top -= node->children;
    for (uint32_t i = node->children; i-- > 0;) {
        idx_branch *child = &t->branches[stack[*top + i]];
        child->next = t->branches[at].first;
        t->branches[at].first = stack[*top + i];
        if (depths[*top + i] > deepest) deepest = depths[*top + i];
        if (node->kind == IDX_NODE_NEAR && child->node->kind != IDX_NODE_TERM) return IDX_TEXT_QUERY;
    }
    for (uint32_t child = t->branches[at].first; node->kind == IDX_NODE_NEAR && child != IDX_TERM_NONE; child = t->branches[child].next) {
        const uint32_t u = t->branches[child].node->unit; /* 0, 0, 1, 2, 2: in order, none left out */
        if (u != unit && u != unit + 1) return IDX_TEXT_QUERY;
        if (child == t->branches[at].first && u != 0) return IDX_TEXT_QUERY;
        unit = u;
    }
    stack[*top] = at, depths[*top] = deepest + 1;
    ++*top;
    return deepest < IDX_QUERY_DEPTH ? IDX_TEXT_OK : IDX_TEXT_QUERY;
}

static void mark_scored(idx_tree *t, uint32_t at) {
    idx_branch *b = &t->branches[at];
    if (b->node->kind <= IDX_NODE_NEAR) {
        b->scored = 1;
        return;
    }
    for (uint32_t child = b->first; child != IDX_TERM_NONE; child = t->branches[child].next) {
        mark_scored(t, child);
        if (b->node->kind == IDX_NODE_NOT) return;
    }
}

int idx_tree_init(idx_tree *t, const idx_text_node *nodes, uint32_t n, const uint8_t *text, size_t text_n, size_t n_parts) {
    *t = (idx_tree){.n = n, .text = text, .n_parts = n_parts};
    if (n == 0 || n_parts > UINT16_MAX || n > INT32_MAX / 2) return IDX_TEXT_QUERY;
    uint32_t *stack = malloc(2 * (size_t)n * sizeof *stack), *depths = stack + n, top = 0;
    t->branches = malloc((size_t)n * sizeof *t->branches);
    int failed = stack && t->branches ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
    for (uint32_t i = 0; i < n && !failed; i++) {
        const idx_text_node *node = &nodes[i];
        t->branches[i] = (idx_branch){node, IDX_TERM_NONE, IDX_TERM_NONE, t->n_slots, 0};
        if (node->kind < IDX_NODE_AND) t->n_slots++;
        if (node->kind > IDX_NODE_ALL || (node->kind < IDX_NODE_AND && !leaf_fits(node, text_n)))
            failed = IDX_TEXT_QUERY;
        else if (node->kind == IDX_NODE_NOT && node->children != 2)
            failed = IDX_TEXT_QUERY;
        else if (node->children && (node->kind < IDX_NODE_NEAR || node->kind == IDX_NODE_ALL))
            failed = IDX_TEXT_QUERY;
        else
            failed = adopt(t, i, stack, depths, &top);
    }
    if (!failed && top != 1) failed = IDX_TEXT_QUERY;
    free(stack);
    t->root = n - 1;
    if (failed) return failed;
    mark_scored(t, t->root);
    t->all_found = calloc(n_parts * t->n_slots + 1, sizeof *t->all_found);
    t->all_made = calloc(n_parts * t->n_slots + 1, sizeof *t->all_made);
    return t->all_found && t->all_made ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
}

void idx_tree_enter(idx_tree *t, size_t i, const idx_part *part) {
    t->part = *part;
    t->found = t->all_found + i * t->n_slots;
    t->made = t->all_made + i * t->n_slots;
}

void idx_tree_free(idx_tree *t) {
    for (size_t i = 0; t->all_made && i < t->n_parts * t->n_slots; i++) free(t->all_made[i].at);
    free(t->branches);
    free(t->all_found);
    free(t->all_made);
}

int idx_tree_find(idx_tree *t, uint32_t leaf) {
    const idx_text_node *node = t->branches[leaf].node;
    idx_found *f = &t->found[t->branches[leaf].slot];
    if (f->state) return f->state == 1;
    const size_t n = idx_term_cut(t->text + node->text, node->n);
    int got;
    if (t->part.segment) {
        got = idx_segment_find(t->part.segment, t->text + node->text, n, &f->term);
    } else {
        f->id = idx_vocab_find(&t->part.memory->terms, t->text + node->text, n);
        got = f->id != IDX_TERM_NONE && f->id < t->part.memory->n_lists && t->part.memory->lists[f->id].live > 0;
    }
    if (got >= 0) f->state = got ? 1 : 2;
    return got;
}

int idx_tree_cursor(idx_tree *t, uint32_t leaf, idx_text_cursor *c) {
    const idx_branch *b = &t->branches[leaf];
    if (b->node->kind == IDX_NODE_TERM) {
        const int got = idx_tree_find(t, leaf);
        if (got != 1) return got;
        const idx_found *f = &t->found[b->slot];
        if (t->part.segment)
            idx_text_cursor_packed(c, t->part.segment, &f->term);
        else
            idx_text_cursor_memory(c, t->part.memory, f->id);
        return c->failed ? c->failed : 1;
    }
    idx_made *made = &t->made[b->slot];
    if (!made->made) {
        const int failed = b->node->kind == IDX_NODE_NEAR ? idx_near_make(t, leaf, NULL, made) : idx_expand_make(t, leaf, made);
        if (failed) return failed;
        made->made = 1;
    }
    idx_text_cursor_pairs(c, made->at, (uint32_t)made->n, made->most, t->part.n_docs);
    return made->n > 0;
}

/* An upper bound of the documents that match, to put the rarest first; a negative one is an error. */
static int64_t estimate(idx_tree *t, uint32_t at) {
    const idx_branch *b = &t->branches[at];
    if (b->node->kind == IDX_NODE_TERM) {
        const int got = idx_tree_find(t, at);
        const idx_found *f = &t->found[b->slot];
        if (got != 1) return got;
        return t->part.segment ? f->term.documents : t->part.memory->lists[f->id].n;
    }
    const int all = b->node->kind == IDX_NODE_AND || b->node->kind == IDX_NODE_NEAR || b->node->kind == IDX_NODE_NOT;
    int64_t most = all || b->first == IDX_TERM_NONE ? t->part.n_docs : 0;
    for (uint32_t child = b->first; child != IDX_TERM_NONE; child = t->branches[child].next) {
        const int64_t one = estimate(t, child);
        if (one < 0) return one;
        if (!all)
            most += one;
        else if (one < most)
            most = one;
        if (b->node->kind == IDX_NODE_NOT) break;
    }
    return most;
}

static int match_leaf(idx_tree *t, uint32_t at, const idx_docs *within, idx_docs *out) {
    idx_text_cursor c;
    const int got = idx_tree_cursor(t, at, &c);
    if (got != 1) return got;
    if (within) {
        for (size_t i = 0; i < within->n; i++)
            if (idx_text_cursor_seek(&c, within->at[i]) == within->at[i] && idx_docs_push(out, within->at[i])) return IDX_TEXT_MEMORY;
        return c.failed;
    }
    uint32_t *room = idx_grow(out->at, out->n, &out->cap, (size_t)c.n_postings + 1, sizeof *room);
    if (!room) return IDX_TEXT_MEMORY;
    out->at = room;
    for (uint32_t block = 0; block < c.n_blocks && idx_text_cursor_load(&c, block) == 0; block++, out->n += c.n)
        memcpy(out->at + out->n, c.docs, c.n * sizeof *c.docs);
    return c.failed;
}

typedef struct {
    int64_t cost;
    uint32_t at;
} costed;

static int by_cost(const void *a, const void *b) {
    const costed *x = a, *y = b;
    return x->cost != y->cost ? (x->cost > y->cost ? 1 : -1) : (x->at > y->at) - (x->at < y->at);
}

static int match_all_of(idx_tree *t, uint32_t at, const idx_docs *within, idx_docs *out) {
    const uint32_t n = t->branches[at].node->children;
    costed *order = malloc(n * sizeof *order);
    if (!order) return IDX_TEXT_MEMORY;
    uint32_t i = 0;
    int failed = IDX_TEXT_OK;
    for (uint32_t child = t->branches[at].first; child != IDX_TERM_NONE && !failed; child = t->branches[child].next, i++) {
        order[i] = (costed){estimate(t, child), child};
        if (order[i].cost < 0) failed = (int)order[i].cost;
    }
    if (!failed) qsort(order, n, sizeof *order, by_cost);
    idx_docs held = {0};
    for (i = 0; i < n && !failed; i++) {
        idx_docs next = {0};
        failed = idx_tree_match(t, order[i].at, i ? &held : within, &next);
        free(held.at);
        held = next;
        if (!failed && held.n == 0) break;
    }
    free(order);
    *out = held;
    return failed;
}

/* The union of the children by a bit for each document. */
static int match_any_of(idx_tree *t, uint32_t at, const idx_docs *within, idx_docs *out) {
    const size_t words = ((size_t)t->part.n_docs + 63) / 64;
    uint64_t *bits = calloc(words + 1, sizeof *bits);
    int failed = bits ? IDX_TEXT_OK : IDX_TEXT_MEMORY;
    idx_docs one = {0};
    size_t n = 0;
    for (uint32_t child = t->branches[at].first; child != IDX_TERM_NONE && !failed; child = t->branches[child].next) {
        one.n = 0;
        failed = idx_tree_match(t, child, within, &one);
        for (size_t i = 0; i < one.n; i++) bits[one.at[i] / 64] |= (uint64_t)1 << one.at[i] % 64;
    }
    free(one.at);
    for (size_t w = 0; w < words && !failed; w++) n += (size_t)__builtin_popcountll(bits[w]);
    uint32_t *docs = failed ? NULL : malloc((n + 1) * sizeof *docs);
    if (!failed && !docs) failed = IDX_TEXT_MEMORY;
    if (!failed) {
        *out = (idx_docs){docs, 0, n + 1};
        for (size_t w = 0; w < words; w++)
            for (uint64_t rest = bits[w]; rest; rest &= rest - 1) docs[out->n++] = (uint32_t)(w * 64 + (size_t)__builtin_ctzll(rest));
    }
    free(bits);
    return failed;
}

static int match_difference(idx_tree *t, uint32_t at, const idx_docs *within, idx_docs *out) {
    const uint32_t left = t->branches[at].first, right = t->branches[left].next;
    idx_docs away = {0};
    int failed = idx_tree_match(t, left, within, out);
    if (!failed && out->n) failed = idx_tree_match(t, right, out, &away);
    if (!failed) {
        size_t kept = 0;
        for (size_t i = 0, j = 0; i < out->n; i++) {
            while (j < away.n && away.at[j] < out->at[i]) j++;
            if (j == away.n || away.at[j] != out->at[i]) out->at[kept++] = out->at[i];
        }
        out->n = kept;
    }
    free(away.at);
    return failed;
}

static int match_every(const idx_tree *t, const idx_docs *within, idx_docs *out) {
    const size_t n = within ? within->n : t->part.n_docs;
    uint32_t *docs = malloc((n + 1) * sizeof *docs);
    if (!docs) return IDX_TEXT_MEMORY;
    for (size_t i = 0; i < n; i++) docs[i] = within ? within->at[i] : (uint32_t)i;
    *out = (idx_docs){docs, n, n + 1};
    return IDX_TEXT_OK;
}

static int match_near(idx_tree *t, uint32_t at, const idx_docs *within, idx_docs *out) {
    idx_made made = {0};
    int failed = idx_near_make(t, at, within, &made);
    for (size_t i = 0; i < made.n && !failed; i++) failed = idx_docs_push(out, made.at[i].doc);
    free(made.at);
    return failed;
}

/* `out` is empty but may hold room; children of AND, OR, NOT and ALL replace it. */
int idx_tree_match(idx_tree *t, uint32_t at, const idx_docs *within, idx_docs *out) {
    const idx_branch *b = &t->branches[at];
    if (b->node->kind == IDX_NODE_NEAR && !t->made[b->slot].made) return match_near(t, at, within, out);
    if (b->node->kind < IDX_NODE_AND) return match_leaf(t, at, within, out);
    idx_docs got = {0};
    int failed;
    if (b->node->kind == IDX_NODE_ALL)
        failed = match_every(t, within, &got);
    else if (b->node->kind == IDX_NODE_NOT)
        failed = match_difference(t, at, within, &got);
    else if (b->node->kind == IDX_NODE_OR)
        failed = match_any_of(t, at, within, &got);
    else
        failed = b->first == IDX_TERM_NONE ? match_every(t, within, &got) : match_all_of(t, at, within, &got);
    free(out->at);
    *out = got;
    return failed;
}
