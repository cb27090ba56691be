/* text_status.h: what the functions of the full-text index return.
 *
 * Ownership: none. Threads: none.
 */
#ifndef IDX_TEXT_STATUS_H
#define IDX_TEXT_STATUS_H

/* cdef:begin */
enum {
    IDX_TEXT_OK = 0,
    IDX_TEXT_MEMORY = -1, /* out of memory */
    IDX_TEXT_DAMAGED = -2, /* stored bytes that cannot be */
    IDX_TEXT_LIMIT = -3, /* more documents, terms, tokens or bytes than the format or a score can hold */
    IDX_TEXT_QUERY = -4 /* a malformed query program */
};
/* cdef:end */
#endif
