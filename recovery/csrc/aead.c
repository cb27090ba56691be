/* aead.c: see aead.h. The types of libcrypto are opaque here, so its headers are not needed to build. */
#define _GNU_SOURCE
#include "aead.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { POOL = 4, GET_TAG = 0x10, SET_TAG = 0x11 };

struct rec_crypto {
    void *handle;
    const void *(*aes_256_gcm)(void);
    void *(*make)(void);
    void (*destroy)(void *);
    int (*begin)(void *ctx, const void *cipher, void *engine, const uint8_t *key, const uint8_t *nonce, int seal);
    int (*update)(void *ctx, uint8_t *out, int *out_n, const uint8_t *in, int n);
    int (*finish)(void *ctx, uint8_t *out, int *out_n);
    int (*ctrl)(void *ctx, int what, int n, void *arg);
    const char *(*version)(int what);
};

struct rec_cipher {
    const rec_crypto *lib;
    void *_Atomic idle[POOL]; /* keyed; the direction is set per message */
    uint8_t key[REC_KEY];
};

void rec_wipe(void *p, size_t n) {
    if (n) memset(p, 0, n);
    __asm__ volatile("" : : "r"(p) : "memory");
}

int rec_random(void *out, size_t n) {
    for (uint8_t *p = out; n;) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? -errno : -EIO;
        p += got, n -= (size_t)got;
    }
    return 0;
}

static int bind(rec_crypto *c) {
    struct {
        const char *name;
        void *to;
    } const want[] = {
        {"EVP_aes_256_gcm", &c->aes_256_gcm}, {"EVP_CIPHER_CTX_new", &c->make}, {"EVP_CIPHER_CTX_free", &c->destroy},
        {"EVP_CipherInit_ex", &c->begin},     {"EVP_CipherUpdate", &c->update}, {"EVP_CipherFinal_ex", &c->finish},
        {"EVP_CIPHER_CTX_ctrl", &c->ctrl},    {"OpenSSL_version", &c->version},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        void *found = dlsym(c->handle, want[i].name);
        if (!found) return -ENOENT;
        memcpy(want[i].to, &found, sizeof found);
    }
    return 0;
}

int rec_crypto_load(const char *const *paths, size_t n, rec_crypto **out) {
    rec_crypto *c = calloc(1, sizeof *c);
    if (!c) return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        c->handle = dlopen(paths[i], RTLD_LAZY | RTLD_LOCAL);
        if (c->handle && !bind(c)) {
            *out = c;
            return 0;
        }
        if (c->handle) dlclose(c->handle);
    }
    free(c);
    return -ENOENT;
}

void rec_crypto_free(rec_crypto *c) {
    dlclose(c->handle);
    free(c);
}

const char *rec_crypto_version(const rec_crypto *c) { return c->version(0); }

int rec_cipher_new(const rec_crypto *lib, const uint8_t key[REC_KEY], rec_cipher **out) {
    rec_cipher *c = calloc(1, sizeof *c);
    if (!c) return -ENOMEM;
    c->lib = lib;
    memcpy(c->key, key, REC_KEY);
    *out = c;
    return 0;
}

void rec_cipher_free(rec_cipher *c) {
    if (!c) return;
    for (int i = 0; i < POOL; i++)
        if (c->idle[i]) c->lib->destroy(c->idle[i]); /* libcrypto wipes what it frees */
    rec_wipe(c->key, sizeof c->key);
    free(c);
}

static void *take(rec_cipher *c) {
    for (int i = 0; i < POOL; i++) {
        void *idle = atomic_exchange_explicit(&c->idle[i], NULL, memory_order_acquire);
        if (idle) return idle;
    }
    void *ctx = c->lib->make();
    if (ctx && c->lib->begin(ctx, c->lib->aes_256_gcm(), NULL, c->key, NULL, 1) == 1) return ctx;
    c->lib->destroy(ctx);
    return NULL;
}

static void give_back(rec_cipher *c, void *ctx) {
    for (int i = 0; i < POOL; i++) { /* uncovered (race): more threads seal at one moment than the pool has room for */
        void *empty = NULL;
        /* uncovered (race): likewise */
        if (atomic_compare_exchange_strong_explicit(&c->idle[i], &empty, ctx, memory_order_release, memory_order_relaxed)) return;
    }
    c->lib->destroy(ctx);
}

static int run(const rec_crypto *lib, void *ctx, int seal, const uint8_t *nonce, const void *aad, size_t aad_n, const uint8_t *in, size_t n,
               uint8_t *out, uint8_t *tag) {
    int done;
    if (n > INT_MAX || aad_n > INT_MAX) return -EINVAL; /* uncovered 2 (guard): messages are frames, pages and keys */
    if (lib->begin(ctx, NULL, NULL, NULL, nonce, seal) != 1) return -EIO;
    if (!seal && lib->ctrl(ctx, SET_TAG, REC_TAG, tag) != 1) return -EIO;
    if (aad_n && lib->update(ctx, NULL, &done, aad, (int)aad_n) != 1) return -EIO;
    /* uncovered (machine): GCM takes every byte at once */
    if (n && (lib->update(ctx, out, &done, in, (int)n) != 1 || (size_t)done != n)) return -EIO;
    uint8_t none[REC_TAG];
    if (lib->finish(ctx, none, &done) != 1) return seal ? -EIO : -EBADMSG;
    return !seal || lib->ctrl(ctx, GET_TAG, REC_TAG, tag) == 1 ? 0 : -EIO;
}

static int message(rec_cipher *c, int seal, const uint8_t *nonce, const void *aad, size_t aad_n, const void *in, size_t n, void *out,
                   uint8_t *tag) {
    void *ctx = take(c);
    if (!ctx) return -ENOMEM;
    int err = run(c->lib, ctx, seal, nonce, aad, aad_n, in, n, out, tag);
    give_back(c, ctx);
    if (err) rec_wipe(out, n);
    return err;
}

int rec_cipher_seal(rec_cipher *c, const uint8_t nonce[REC_NONCE], const void *aad, size_t aad_n, const void *in, size_t n, void *out,
                    uint8_t tag[REC_TAG]) {
    return message(c, 1, nonce, aad, aad_n, in, n, out, tag);
}

int rec_cipher_open(rec_cipher *c, const uint8_t nonce[REC_NONCE], const void *aad, size_t aad_n, const void *in, size_t n, void *out,
                    const uint8_t tag[REC_TAG]) {
    uint8_t copy[REC_TAG];
    memcpy(copy, tag, REC_TAG);
    return message(c, 0, nonce, aad, aad_n, in, n, out, copy);
}

int rec_crypto_gcm(const rec_crypto *lib, int seal, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_n,
                   const uint8_t *in, size_t n, uint8_t *out, uint8_t *tag) {
    rec_cipher *c;
    int err = rec_cipher_new(lib, key, &c);
    if (err) return err;
    err = message(c, seal, nonce, aad, aad_n, in, n, out, tag);
    rec_cipher_free(c);
    return err;
}
