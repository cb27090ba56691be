/* text_chars.h: what a character is to the tokenisers: part of a word, of a run of ideographs, or neither; and its folded form.
 *
 *    UTF-8 bytes --idx_utf8_next()--> code point --idx_char_class()--> word | ideograph | other
 *                                               --idx_char_fold()---> code point without case --idx_utf8_put()--> bytes
 *
 * Word characters are the letters, numbers and marks of Unicode 14 (general categories L, N, M); folding is the simple case folding of the
 * same version. Ideographs are Han, kana and Hangul, which are written without spaces or are searched by parts of words.
 *
 * Ownership: the caller's bytes. Threads: pure. Invariants: any bytes may be given; malformed ones are reported, never read past.
 */
#ifndef IDX_TEXT_CHARS_H
#define IDX_TEXT_CHARS_H
#include <stddef.h>
#include <stdint.h>

enum { IDX_CHAR_OTHER = 0, IDX_CHAR_WORD = 1, IDX_CHAR_IDEOGRAPH = 2 };

/* Bytes of the character at p (1 to 4), its code point in *cp; 0 when it is malformed or cut off by end. p < end. */
unsigned idx_utf8_next(const uint8_t *p, const uint8_t *end, uint32_t *cp);
unsigned idx_utf8_put(uint32_t cp, uint8_t *out); /* bytes written, at most 4 */

/* *hint is the table's row found last, 0 at first: neighbours in a text are mostly of one script. */
int idx_char_class(uint32_t cp, uint32_t *hint);
uint32_t idx_char_fold(uint32_t cp);
#endif
