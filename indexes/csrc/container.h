/* container.h: one container of a row set, the rows that share their upper 48 bits, in one of three forms.
 *
 *    ARRAY   sorted list of 16-bit numbers          card of them
 *    BITMAP  1024 words                             any card: a result may stay a bitmap below 4096, its stored form never does
 *    RUN     (first u16, length - 1 u16) * runs     sorted, apart by at least one
 *
 * Ownership: data points into the bytes that were opened, or into the arena of the row set that holds the container.
 * Threads: pure over containers; an arena belongs to one thread. Invariants: card >= 1; content was checked (rowset_form) or made here.
 * Source: Lemire et al., SPE 2018, sections 2 and 4 (see words.h).
 */
#ifndef IDX_CONTAINER_H
#define IDX_CONTAINER_H
#include "indexes/csrc/words.h"

enum { ARRAY = 1, BITMAP = 2, RUN = 3 };
enum { MOST_ARRAY = 4096, FEW = 48, MOST_FOLD = 32 }; /* a bitmap result of at most FEW becomes a list; bitmaps that are folded at once */

typedef struct {
    const void *data;
    uint32_t card; /* 1..65536 */
    uint16_t runs; /* RUN only */
    uint8_t type;
} container;

typedef struct arena_chunk arena_chunk;
typedef struct {
    arena_chunk *head;
    size_t first; /* bytes of the first chunk, when more than usual */
} arena;

/* size bytes, at a cache line's boundary when they are many,, until arena_free; NULL: out of memory. */
void *arena_take(arena *a, size_t size);
/* Give back all but `used` bytes of the last take. */
void arena_trim(arena *a, const void *last, size_t used);
void arena_reset(arena *a); /* forget what was taken, keep the last chunk */
void arena_free(arena *a);
size_t arena_size(const arena *a);

/* Copy into the arena; a bitmap in the form that container_of_words chooses. */
int container_compact(const container *a, container *out, arena *mem);
/* Is the content what the form promises: ascending, apart, within 65,536, as many as card? */
int container_sound(const container *c);
/* a op b into *out (card 0: empty), its data in the arena. 0, or -1: out of memory. */
int container_combine(setop op, const container *a, const container *b, container *out, arena *mem);
uint32_t container_and_count(const container *a, const container *b);
/* Copy into the arena. */
int container_copy(const container *a, container *out, arena *mem);
/* Words in the arena with `card` bits, of which the form is chosen: gives the words back when a list or a run does. */
int container_of_words(word *words, uint32_t card, container *out, arena *mem);
/* Bitmaps (n >= 2) that meet in *out, in one pass. */
int container_and_bitmaps(const container *const *group, size_t n, container *out, arena *mem);
/* dst = dst op c, without counting; op is not AND. */
void container_apply(setop op, word *dst, const container *c);
void container_words(const container *c, word *dst);
int container_has(const container *c, uint16_t x);
/* How many are < x, and the i-th smallest (i < card). */
uint32_t container_below(const container *c, uint32_t x);
uint16_t container_select(const container *c, uint32_t i);
/* All rows, base + number, into room for card of them. */
uint32_t container_rows(const container *c, uint64_t base, uint64_t *out);
/* Equal content, whatever the forms. */
int container_same(const container *a, const container *b);
/* How many maximal runs it has. */
uint32_t container_runs(const container *c);

/* Ask for the first lines of a list: the machine fetches the rest when it sees the stream, but not before. Bitmaps stand in a row.
 * Inlined always: gcc takes a function that only fetches for one that does nothing, and drops the call. */
__attribute__((always_inline)) static inline void container_ahead(const container *c) {
    if (c->type == BITMAP) return;
    const uint32_t size = c->type == RUN ? 4u * c->runs : 2 * c->card;
    for (uint32_t line = 0; line < size && line < 512; line += 64) __builtin_prefetch((const uint8_t *)c->data + line);
}

static inline uint32_t run_first(const container *c, uint32_t i) { return ((const low *)c->data)[2 * i]; }
static inline uint32_t run_last(const container *c, uint32_t i) { return run_first(c, i) + ((const low *)c->data)[2 * i + 1]; }
#endif
