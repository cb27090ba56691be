/* fs_crypt.h: encryption at rest, a file system over another one. All content is AES-256-GCM; names and sizes are not hidden.
 *
 *     crypt(inner): NNNNNN.sst, NNNNNN.idx --> paged file    written once, read at random
 *                   LOCK, KEYS             --> as they are   KEYS: the keys, wrapped by the master key (recovery/keyring.py)
 *                   all others             --> framed file   a journal of writes; what was written before is never touched again
 *
 *   file   = header (88) | body
 *   header = "LSMCRYPT" | version u32 = 1 | form u32 ('PAGE', 'FRAM') | page size u32 (paged: 4096, framed: 0) | key id u64 | nonce 12 |
 *            data key, wrapped 32 | tag 16       sealed by key `key id`, over the bytes before and database id 16 | identity of the name
 *   paged  = (nonce 12 | tag 16 | page, sealed)*  all pages but the last are full; over page number u64 | is the last u64
 *   framed = (frame | 0xff up to a multiple of 8, one byte at least)* | zeros, where space was reserved
 *   frame  = 44 + n u32 | check u32 | offset u56 | kind u8 | nonce 12 | tag 16 | n bytes, sealed
 *            over place of the frame u64 | its first 16 bytes        kind 'W': n bytes at offset; 'S': the size is now offset, n = 0
 *   check  = masked CRC32C, begun with (first 4 bytes of the tag of an empty message with nonce ff * 12), over place u64 | frame
 *            without check, tag and data
 *   nonce  = 8 random bytes of the opened file | counter u32
 *   identity: "NNNNNN.ext", "MANIFEST-NNNNNN" or "CURRENT" where the last part of the path begins so (what follows begins with '.'),
 *            else nothing. So a file under another's name is refused, and CURRENT.tmp may become CURRENT.
 *
 * A frame that a crash tore (8 zero bytes at a multiple of 8, or a zero at its end, where no whole frame has them; or the file ends in
 * it) reads as zeros, as torn plain bytes would; any other that fails its check is damage, -EBADMSG (0xff with REC_O_SALVAGE).
 * So is a page; with REC_O_SALVAGE also the pages of a file that lost its last one are read.
 *
 * Ownership: the inner file system and the library outlive it; keys are copied, kept out of core dumps, wiped by destroy.
 * Threads: as fs.h; a framed file takes a lock for reads. Errors: as inner; -EBADMSG damage, another key or name, or a plain file;
 * -ENOKEY the key that a file names is not here; -ENOTSUP map, and what a form cannot do: a paged file only grows; a name never
 * changes its identity; -EOVERFLOW 2^32 messages by one open file.
 * Invariants: no nonce is used twice with a key. A handle sees other handles' writes to a framed file as they were when it first looked.
 * The header of a framed file is durable before open returns. Before a framed file is written to, what a crash left at its end is cut
 * off, durably.
 */
#ifndef REC_FS_CRYPT_H
#define REC_FS_CRYPT_H
#include "aead.h"
#include "fs.h"

/* cdef:begin */
rec_fs *rec_fs_crypt(rec_fs *inner, const rec_crypto *lib, const uint8_t *database); /* 16 bytes; NULL: out of memory */
/* Adds a key; new files use the one added last with current set. -EEXIST, -ENOSPC over 256 keys, -EINVAL another kind of file system. */
int rec_fs_crypt_add_key(rec_fs *fs, uint64_t id, const uint8_t *key, int current);
/* The id of the key that a file's header names, unchecked. -ENODATA: a file without one (LOCK, KEYS, or torn while it was made). */
int rec_fs_crypt_key_of(rec_fs *fs, const char *path, uint64_t *id);
/* cdef:end */
#endif
