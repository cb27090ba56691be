/* text_memory.h: documents in memory: what a segment is built from, and (when searchable) the newest component of an index.
 *
 *    texts --tokenise--> raw ids, pending --commit(rows)--> documents
 *                        |                                    tokens: one array, document after document: term ids, holes for dropped ones
 *                        +-- map: raw id -> term id or hole   postings: of each term (document, frequency)*, when searchable
 *
 * A document's position numbers are places in its slice of `tokens`; its length is the number of them that are not holes. Replacing or
 * deleting a row marks its document dead and takes it out of the counts at once; its bytes stay until the component is frozen.
 *
 * Ownership: everything is the component's until it is freed; frozen bytes are the caller's (idx_text_free_bytes). Threads: one that changes
 * it, with readers kept away; any number of readers otherwise. Invariants: live_docs, live_tokens and every term's `live` count exactly the
 * documents that are not dead. After IDX_TEXT_MEMORY out of commit the component is broken and refuses everything.
 */
#ifndef IDX_TEXT_MEMORY_H
#define IDX_TEXT_MEMORY_H
#include "indexes/csrc/text_status.h"
#include "indexes/csrc/text_tokens.h"

/* cdef:begin */
typedef struct idx_text_memory idx_text_memory;

typedef struct {
    uint32_t documents, terms; /* live documents; terms ever seen */
    uint64_t tokens; /* of the live documents */
    uint64_t touched; /* rows ever inserted, replaced or deleted */
    uint64_t bytes; /* of memory */
} idx_text_memory_facts;

idx_text_memory *idx_text_memory_new(int searchable,
                                     int mapped); /* NULL: out of memory; mapped: raw terms go through idx_text_memory_map */
void idx_text_memory_free(idx_text_memory *m);
void idx_text_memory_facts_of(const idx_text_memory *m, idx_text_memory_facts *out);
/* Document i is text[offsets[i] .. offsets[i + 1]). What was pending before and not committed is dropped. */
int idx_text_memory_tokenise(idx_text_memory *m, const idx_text_rules *rules, const uint8_t *text, const uint64_t *offsets, size_t n_docs);
/* The same with the terms made by the caller: term i is text[offsets[i] .. offsets[i + 1]), document j has counts[j] of them; an offset with
 * the top bit set begins a hole. */
int idx_text_memory_terms(idx_text_memory *m, const uint8_t *text, const uint64_t *offsets, const uint32_t *counts, size_t n_docs);
/* Raw terms not mapped so far: how many, and their bytes together. */
size_t idx_text_memory_unmapped(const idx_text_memory *m, size_t *bytes);
void idx_text_memory_unmapped_terms(const idx_text_memory *m, uint8_t *text, uint64_t *offsets);
/* Maps the first n unmapped raw terms: to text[offsets[i] .. offsets[i + 1]), or to a hole where drop[i]. */
int idx_text_memory_map(idx_text_memory *m, const uint8_t *text, const uint64_t *offsets, const uint8_t *drop, size_t n);
/* Makes the pending tokens documents of these rows; a row that is there is replaced. Every raw term must be mapped. */
int idx_text_memory_commit(idx_text_memory *m, const uint64_t *rows, size_t n_docs);
/* The row ids are void from here on; rows that were never here are remembered as touched. found[i] = 1 where a document went. */
int idx_text_memory_delete(idx_text_memory *m, const uint64_t *rows, size_t n, uint8_t *found);
void idx_text_memory_touched(const idx_text_memory *m, uint64_t *out); /* in the order of their first change */
int idx_text_memory_has(const idx_text_memory *m, uint64_t row);
/* The live documents as a segment. */
int idx_text_memory_freeze(const idx_text_memory *m, const uint8_t *signature, size_t n, uint8_t **bytes, size_t *size);
void idx_text_free_bytes(uint8_t *bytes);
/* cdef:end */

typedef struct {
    uint32_t doc, frequency;
} idx_posting;

typedef struct {
    idx_posting *at;
    uint32_t n, cap;
    uint32_t live; /* of documents that are not dead */
    uint32_t most; /* the highest frequency */
    uint64_t mark; /* the document last counted out, + 1 */
} idx_list;

typedef struct {
    uint64_t row, at; /* at: first of its tokens */
    uint32_t tokens, length; /* with holes, without */
} idx_doc;

typedef struct {
    uint64_t row;
    uint32_t doc; /* IDX_TERM_NONE: deleted */
    uint32_t used;
} idx_row_slot;

struct idx_text_memory {
    int searchable, mapped, broken;
    int ascending; /* the row ids came in ascending order, none twice */
    idx_vocab raw, terms; /* raw is unused unless mapped */
    uint32_t *map; /* raw id -> term id or hole */
    size_t n_map, map_cap;
    idx_tokens tokens; /* the committed ones, then the pending ones */
    size_t committed;
    size_t *ends; /* of the pending documents, in tokens */
    size_t n_ends, ends_cap;
    idx_doc *docs;
    size_t n_docs, docs_cap;
    uint64_t *dead; /* a bit for each document */
    size_t dead_cap; /* words */
    uint32_t live_docs;
    uint64_t live_tokens;
    idx_row_slot *slots; /* linear probing, a power of two */
    size_t n_slots;
    uint64_t *touched;
    size_t n_touched, touched_cap;
    idx_list *lists; /* of each term, when searchable */
    size_t n_lists, lists_cap;
    size_t list_bytes;
};

uint32_t idx_text_memory_doc(const idx_text_memory *m, uint64_t row); /* IDX_TERM_NONE: none */

static inline int idx_text_memory_dead(const idx_text_memory *m, uint32_t doc) { return m->dead[doc / 64] >> doc % 64 & 1; }
#endif
