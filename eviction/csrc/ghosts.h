/* ghosts.h: keys without data: what a policy remembers of the evicted, in queues, found by key.
 *
 *    open-addressed table: key -> node     nodes are an evi_residents of their own (residents.h): queues, marks, counts, words, weights
 *
 * Ownership: the policy embeds one. Threads: as the policy. Invariants: at most `nodes` ghosts, all memory taken at init and by grow (32 to 40 bytes a node,
 * 8 more with weights); a key is there at most once.
 */
#ifndef EVI_GHOSTS_H
#define EVI_GHOSTS_H
#include "eviction/csrc/residents.h"
#include "eviction/csrc/table.h"

typedef struct {
    evi_residents g; /* its slots are the nodes */
    evi_table table;
    uint32_t free_node;
} evi_ghosts;

int ghosts_init(evi_ghosts *h, uint32_t nodes, uint32_t flags); /* flags of evi_config; 0: out of memory, nothing kept */
/* To more nodes, at most 2^29, when none is free; they keep their numbers. 0: out of memory, as before. What layout told is told anew. */
int ghosts_grow(evi_ghosts *h, uint32_t nodes);
void ghosts_free(evi_ghosts *h);
uint32_t ghosts_find(const evi_ghosts *h, uint64_t key); /* the node, or EVI_NONE */
/* To the front of a queue; the key is not there yet. Without a free node the oldest of that queue goes, or else of another. Returns the node. */
uint32_t ghosts_add(evi_ghosts *h, int queue, uint64_t key, uint64_t weight);
void ghosts_drop(evi_ghosts *h, uint32_t node);
void ghosts_layout(const evi_ghosts *h, evi_layout *out); /* adds its memory, and tells where a miss looks */
int ghosts_check(const evi_ghosts *h, char *why, size_t n);
#endif
