/* aead.h: AES-256-GCM (NIST SP 800-38D) by libcrypto, which is found at run time.
 *
 *     rec_crypto (the library) --> rec_cipher (one key) --> idle contexts, keyed once, that threads take and give back
 *
 * Ownership: a rec_crypto outlives its ciphers and file systems; who made one frees it. Keys are copied and wiped at the end.
 * Threads: any, at once. Errors: -ENOENT no library, -ENOMEM, -EBADMSG the tag is not right, -EIO the library refused.
 * Invariants: a failed open leaves zeros in out; the tag is compared in constant time by the library.
 */
#ifndef REC_AEAD_H
#define REC_AEAD_H
#include <stddef.h>
#include <stdint.h>

/* cdef:begin */
enum { REC_KEY = 32, REC_NONCE = 12, REC_TAG = 16 };

typedef struct rec_crypto rec_crypto;

/* The first library of these that has what is needed; its name for dlopen(3). */
int rec_crypto_load(const char *const *paths, size_t n, rec_crypto **out);
void rec_crypto_free(rec_crypto *c);
const char *rec_crypto_version(const rec_crypto *c);
/* One message, for tests and tools: seal writes out and tag, else (open) tag is checked. in and out may be the same. */
int rec_crypto_gcm(const rec_crypto *c, int seal, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_n,
                   const uint8_t *in, size_t n, uint8_t *out, uint8_t *tag);
/* cdef:end */

typedef struct rec_cipher rec_cipher;

int rec_cipher_new(const rec_crypto *c, const uint8_t key[REC_KEY], rec_cipher **out);
void rec_cipher_free(rec_cipher *c);
int rec_cipher_seal(rec_cipher *c, const uint8_t nonce[REC_NONCE], const void *aad, size_t aad_n, const void *in, size_t n, void *out,
                    uint8_t tag[REC_TAG]);
int rec_cipher_open(rec_cipher *c, const uint8_t nonce[REC_NONCE], const void *aad, size_t aad_n, const void *in, size_t n, void *out,
                    const uint8_t tag[REC_TAG]);
void rec_wipe(void *p, size_t n); /* zeros that the compiler does not leave out */
int rec_random(void *out, size_t n); /* from the kernel */
#endif
