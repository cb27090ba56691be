/* reuse.c: LRU stack distances of a whole trace (Mattson et al., 1970), counted in a Fenwick tree over time (Bennett and Kruskal, 1975). */
#include "eviction/csrc/replay.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The tree counts, by time, the last uses so far: those behind a key's last use are the other keys used since. */
int evi_stack_distances(const uint32_t *next, size_t n, uint32_t *distance) {
    uint32_t *tree = calloc(n + 1, sizeof *tree), *before = malloc((n + 1) * sizeof *before), live = 0;
    if (!tree || !before) {
        free(tree);
        free(before);
        return -ENOMEM;
    }
    memset(before, 0xFF, (n + 1) * sizeof *before);
    for (size_t i = 0; i < n; i++)
        if (next[i] != EVI_NONE) before[next[i]] = (uint32_t)i;
    for (size_t i = 0; i < n; i++) {
        distance[i] = 0;
        if (before[i] != EVI_NONE) {
            uint32_t up_to = 0;
            for (size_t k = (size_t)before[i] + 1; k; k &= k - 1) up_to += tree[k];
            distance[i] = live - up_to + 1;
            for (size_t k = (size_t)before[i] + 1; k <= n; k += k & -k) tree[k]--;
            live--;
        }
        for (size_t k = i + 1; k <= n; k += k & -k) tree[k]++;
        live++;
    }
    free(tree);
    free(before);
    return 0;
}
