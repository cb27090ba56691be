"""Every file system and the log, while each file call, each allocation and each call of libcrypto fails: an error or the right answer.

Nothing that was promised is lost, and no block is leaked. The cases are in tests/harness/sweeps.py.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import recovery

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers bring an allocator of their own")

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

static __thread int nth, kind, sticky, asked; /* kind: CryptoFaults.KINDS of tests/harness/sweeps.py */
void crypto_fault_arm(int n, int k, int again) { nth = n, kind = k, sticky = again, asked = 0; }
int crypto_fault_asked(void) { return asked; }

static int turn(void) {
    asked++;
    return nth && (asked == nth || (sticky && asked > nth));
}
static int refuse(void) { return turn() && kind == 0; }

ssize_t getrandom(void *p, size_t n, unsigned flags) {
    if (turn()) {
        errno = kind == 2 ? EINTR : EIO;
        return kind == 1 ? 0 : -1;
    }
    return ((ssize_t(*)(void *, size_t, unsigned))dlsym(RTLD_NEXT, "getrandom"))(p, n > 5 ? n - 1 : n, flags); /* less than asked for */
}

static void *real(const char *name) {
    static void *lib;
    if (!lib) lib = dlopen("libcrypto.so.3", RTLD_LAZY);
    if (!lib) lib = dlopen("libcrypto.so.1.1", RTLD_LAZY);
    return lib ? dlsym(lib, name) : NULL;
}
#define PASS(type, name, params, args, no)                                                                                                 \
    type name params { return no ? 0 : ((type(*) params)real(#name)) args; }
PASS(const void *, EVP_aes_256_gcm, (void), (), 0)
PASS(void *, EVP_CIPHER_CTX_new, (void), (), refuse())
PASS(int, EVP_CipherInit_ex, (void *c, const void *t, void *e, const uint8_t *k, const uint8_t *v, int s), (c, t, e, k, v, s), refuse())
PASS(int, EVP_CipherUpdate, (void *c, uint8_t *o, int *on, const uint8_t *i, int n), (c, o, on, i, n), refuse())
PASS(int, EVP_CipherFinal_ex, (void *c, uint8_t *o, int *on), (c, o, on), refuse())
PASS(int, EVP_CIPHER_CTX_ctrl, (void *c, int what, int n, void *arg), (c, what, n, arg), refuse())
PASS(const char *, OpenSSL_version, (int what), (what), 0)
void EVP_CIPHER_CTX_free(void *c) { ((void (*)(void *))real("EVP_CIPHER_CTX_free"))(c); }
"""
LOGS = [f"log {mode}" for mode in recovery.SYNC_MODES]
CASES = [
    *(("memory", script) for script in ("framed", "names", "log group")),
    *(("fault", script) for script in ("framed", "names")),
    *(("record", script) for script in ("framed", "names", "log every")),
    *(("crypt", script) for script in ("framed", "paged", "names", "log group")),
    *(("plain", script) for script in LOGS),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("shims")
    source, made = folder / "crypto.c", folder / "crypto.so"
    source.write_text(SHIM)
    try:
        library = recovery.build_alloc_fault(folder)
        subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    except (RuntimeError, OSError) as e:
        pytest.skip(str(e))
    env = {**os.environ, **recovery.alloc_fault_environment(library), "LSM_LIBCRYPTO": str(made)}
    return {**env, "LD_PRELOAD": f"{env['LD_PRELOAD']}:{made}"}


@pytest.mark.parametrize(("stack", "script"), CASES)
def test_sweep(stack: str, script: str, environment: dict[str, str], root: Path) -> None:
    order = [sys.executable, str(root / "tests/harness/sweeps.py"), stack, script]
    env = {**environment, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run(order, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["wrong"] == []
    assert said["cases"] >= 40
