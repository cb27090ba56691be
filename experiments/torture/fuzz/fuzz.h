/* fuzz.h: what a fuzz target is, and the driver's view of it.
 *
 *     seeds --mutate (flip, set, copy, cut, insert, splice)--> repair (checksums) --> run --> new coverage? keep it
 *
 * Ownership: a target borrows the input. Threads: one. Errors: a target answers nothing; what is wrong ends the process, by a sanitizer, an
 * abort or the alarm. Invariant: a run leaves nothing behind that makes the next one differ.
 */
#ifndef FUZZ_H
#define FUZZ_H
#include <stddef.h>
#include <stdint.h>

typedef struct fuzz_target {
    const char *name;
    void (*repair)(uint8_t *data, size_t n); /* makes checksums right after a mutation; NULL: there are none */
    void (*run)(const uint8_t *data, size_t n);
} fuzz_target;

extern const fuzz_target fuzz_targets[]; /* ends with a NULL name */

/* Those of targets_crypt.c. */
void repair_framed(uint8_t *data, size_t n);
void repair_paged(uint8_t *data, size_t n);
void run_framed(const uint8_t *data, size_t n);
void run_paged(const uint8_t *data, size_t n);

/* Aborts with the text; the driver keeps the input. */
void fuzz_fail(const char *what);
#endif
