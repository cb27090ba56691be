/* targets_crypt.c: encrypted files, framed and paged. The repair seals what stands there: AES-GCM is a counter mode, so what is sealed twice
 * with a nonce is what it was, and the tag of the second time fits it. */
#include "experiments/torture/fuzz/fuzz.h"
#include "recovery/csrc/crc32c.h"
#include "recovery/csrc/fs_crypt_impl.h"
#include "recovery/csrc/fs_kinds.h"
#include "recovery/csrc/le.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ID = 1, FRAME = 44, MOST = 1 << 17, PAGED = 0x45474150, FRAMED = 0x4D415246 };
#define LOG "/d/000005.log"
#define TABLE "/d/000005.sst"
#define MORE "more of it"

static const uint8_t DATABASE[16] = {7}, KEY[REC_KEY] = {1}, DATA_KEY[REC_KEY] = {2}; /* as in seeds.py */

static struct {
    rec_fs *below, *fs;
    rec_crypto *lib;
    rec_cipher *cipher; /* of DATA_KEY */
    uint32_t seed; /* of the checks of frames */
    uint8_t all[MOST], piece[MOST], spare[MOST];
} lab;

static void prepare(void) {
    if (lab.fs) return;
    const char *paths[] = {getenv("LSM_LIBCRYPTO"), "libcrypto.so.3", "libcrypto.so.1.1"};
    int first = !paths[0];
    uint8_t nonce[REC_NONCE], tag[REC_TAG];
    memset(nonce, 0xff, sizeof nonce);
    if (rec_crypto_load(paths + first, 3 - (size_t)first, &lab.lib) || rec_cipher_new(lab.lib, DATA_KEY, &lab.cipher) ||
        rec_cipher_seal(lab.cipher, nonce, NULL, 0, NULL, 0, NULL, tag))
        fuzz_fail("there is no libcrypto");
    lab.seed = get32(tag);
    lab.below = rec_fs_memory();
    lab.below->ops->mkdir(lab.below, "/d");
    lab.fs = rec_fs_crypt(lab.below, lab.lib, DATABASE);
    rec_fs_crypt_add_key(lab.fs, KEY_ID, KEY, 1);
}

/* Gives the bytes in place the tag that fits them. */
static void seal(const uint8_t *nonce, const void *aad, size_t aad_n, uint8_t *data, size_t n, uint8_t *tag) {
    uint8_t none[REC_TAG];
    if (n > MOST) return;
    if (rec_cipher_seal(lab.cipher, nonce, aad, aad_n, data, n, lab.spare, none) ||
        rec_cipher_seal(lab.cipher, nonce, aad, aad_n, lab.spare, n, data, tag))
        fuzz_fail("nothing is sealed");
}

/* Either form may stand under either name. Returns it; 0: there is no room for a header. */
static uint32_t repair_header(uint8_t *p, size_t n, const char *name, uint32_t form) {
    uint8_t aad[CRYPT_AAD + sizeof DATABASE + 10];
    if (n < CRYPT_HEADER) return 0;
    if (get32(p + 12) == PAGED || get32(p + 12) == FRAMED) form = get32(p + 12);
    memcpy(p, "LSMCRYPT", 8);
    put32(p + 8, 1);
    put32(p + 12, form);
    put32(p + 16, form == PAGED ? CRYPT_PAGE : 0);
    put64(p + 20, KEY_ID);
    memcpy(aad, p, CRYPT_AAD);
    memcpy(aad + CRYPT_AAD, DATABASE, sizeof DATABASE);
    memcpy(aad + CRYPT_AAD + sizeof DATABASE, name, 10);
    if (rec_crypto_gcm(lab.lib, 1, KEY, p + 28, aad, sizeof aad, DATA_KEY, REC_KEY, p + 40, p + 72)) fuzz_fail("nothing is sealed");
    return form;
}

static void repair_pages(uint8_t *p, size_t n) {
    for (size_t at = CRYPT_HEADER, page = 0; n - at >= CRYPT_MARK; page++) {
        size_t body = n - at < CRYPT_SLOT ? n - at - CRYPT_MARK : CRYPT_PAGE, stop = at + CRYPT_MARK + body;
        uint8_t aad[16];
        put64(aad, page);
        put64(aad + 8, stop == n);
        seal(p + at, aad, sizeof aad, p + at + CRYPT_MARK, body, p + at + REC_NONCE);
        at = stop;
    }
}

static void repair_frames(uint8_t *p, size_t n) {
    for (size_t at = CRYPT_HEADER; n - at >= FRAME;) {
        uint8_t *h = p + at, check[32], aad[24];
        size_t length = get32(h), span = (length + 8) / 8 * 8;
        if (length < FRAME || span > n - at) {
            at += 8; /* a hole, or a frame that is cut */
            continue;
        }
        put64(check, at);
        memcpy(check + 8, h, 4);
        memcpy(check + 12, h + 8, 20);
        put32(h + 4, rec_crc_mask(rec_crc32c(lab.seed, check, sizeof check)));
        put64(aad, at);
        memcpy(aad + 8, h, 16);
        seal(h + 16, aad, sizeof aad, h + FRAME, length - FRAME, h + 28);
        memset(h + length, 0xff, span - length);
        at += span;
    }
}

static void repair(uint8_t *p, size_t n, const char *name, uint32_t form) {
    prepare();
    form = repair_header(p, n, name, form);
    if (form == PAGED) repair_pages(p, n);
    if (form == FRAMED) repair_frames(p, n);
}

void repair_framed(uint8_t *p, size_t n) { repair(p, n, "000005.log", FRAMED); }
void repair_paged(uint8_t *p, size_t n) { repair(p, n, "000005.sst", PAGED); }

static void put_file(const char *path, const uint8_t *data, size_t n) {
    rec_file *file;
    prepare();
    if (lab.below->ops->open(lab.below, path, REC_O_READ | REC_O_WRITE | REC_O_CREATE | REC_O_TRUNC, &file)) fuzz_fail("no file");
    file->ops->append(file, data, n);
    file->ops->close(file);
}

/* Reads what the file begins with, as a whole and in pieces. Returns the bytes, in lab.all, or -errno. */
static int64_t read_file(rec_file *f, int salvage) {
    uint64_t size;
    int err = f->ops->size_of(f, &size);
    if (err) return err;
    int64_t got = f->ops->pread(f, lab.all, MOST, 0);
    if (got >= 0 && (uint64_t)got != (size < MOST ? size : MOST)) fuzz_fail("a read that is not as long as the file");
    if (salvage && got == -EBADMSG) fuzz_fail("a salvage that meets damage");
    for (int64_t at = 0, step = 1; at < got; at += step, step = step * 3 + 1) {
        if (step > got - at) step = got - at;
        if (f->ops->pread(f, lab.piece, (size_t)step, (uint64_t)at) != step || memcmp(lab.piece, lab.all + at, (size_t)step))
            fuzz_fail("a part differs");
    }
    if (f->ops->pread(f, lab.piece, 10, size) > 0) fuzz_fail("something behind the end");
    return got;
}

/* What is appended is there afterwards, behind what was there. */
static void append(const char *path, int64_t before) {
    uint64_t size, now;
    rec_file *f;
    if (lab.fs->ops->open(lab.fs, path, REC_O_READ | REC_O_WRITE, &f)) return;
    int err = f->ops->size_of(f, &size);
    if (!err) err = f->ops->append(f, MORE, sizeof MORE);
    if (!err) err = f->ops->sync(f);
    int closed = f->ops->close(f);
    if (err || closed) return;
    memcpy(lab.spare, lab.all, (size_t)before);
    if (lab.fs->ops->open(lab.fs, path, REC_O_READ, &f)) fuzz_fail("what was appended to does not open");
    if (f->ops->size_of(f, &now) || now != size + sizeof MORE) fuzz_fail("another size than what was appended makes");
    if (f->ops->pread(f, lab.piece, sizeof MORE, size) != sizeof MORE || memcmp(lab.piece, MORE, sizeof MORE))
        fuzz_fail("appended and gone");
    if (f->ops->pread(f, lab.all, (size_t)before, 0) != before || memcmp(lab.all, lab.spare, (size_t)before))
        fuzz_fail("appending changed it");
    f->ops->close(f);
}

static void run(const char *path, const uint8_t *p, size_t n) {
    int64_t got[2] = {-1, -1};
    uint64_t key, size;
    put_file(path, p, n);
    int keyed = !rec_fs_crypt_key_of(lab.fs, path, &key);
    for (int salvage = 1; salvage >= 0; salvage--) {
        rec_file *f;
        int err = lab.fs->ops->open(lab.fs, path, REC_O_READ | (salvage ? REC_O_SALVAGE : 0), &f);
        if (err && err != -EBADMSG && err != -ENOKEY) fuzz_fail("an error that is none of damage");
        if (err == -ENOKEY && (!keyed || key == KEY_ID)) fuzz_fail("the key is there");
        if (err) continue;
        got[salvage] = read_file(f, salvage);
        f->ops->close(f);
    }
    if (got[0] >= 0 && got[1] != got[0]) fuzz_fail("a salvage of a whole file differs");
    lab.fs->ops->stat(lab.fs, path, &size, NULL);
    if (got[0] >= 0) append(path, got[0]);
}

void run_framed(const uint8_t *p, size_t n) { run(LOG, p, n); }
void run_paged(const uint8_t *p, size_t n) { run(TABLE, p, n); }
