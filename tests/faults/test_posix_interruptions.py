"""The real file system under signals and short transfers: a library put before libc interrupts, shortens or fails its calls on request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static __thread int armed, turn;
static __thread char failing[32];
enum { INTERRUPT = 1, SHORTEN = 2, FAIL = 3 };

void shim_set(int mode, const char *name) { armed = mode; turn = 0; strncpy(failing, name ? name : "", sizeof failing - 1); }

/* Every other call is interrupted; the one named fails once. */
static int hit(const char *name) {
    if (armed == INTERRUPT && ++turn % 2) return errno = EINTR;
    if (armed == FAIL && !strcmp(name, failing)) return failing[0] = 0, errno = EIO;
    return 0;
}
static size_t cut(size_t n) { return armed == SHORTEN && n > 3 ? n / 2 : n; }
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pread(int f, void *p, size_t n, off_t at) { return hit("pread") ? -1 : NEXT(pread)(f, p, cut(n), at); }
ssize_t pread64(int f, void *p, size_t n, off64_t at) { return hit("pread") ? -1 : NEXT(pread64)(f, p, cut(n), at); }
ssize_t pwrite(int f, const void *p, size_t n, off_t at) { return hit("pwrite") ? -1 : NEXT(pwrite)(f, p, cut(n), at); }
ssize_t pwrite64(int f, const void *p, size_t n, off64_t at) { return hit("pwrite") ? -1 : NEXT(pwrite64)(f, p, cut(n), at); }
int fdatasync(int f) { return hit("fdatasync") ? -1 : NEXT(fdatasync)(f); }
int fsync(int f) { return hit("fsync") ? -1 : NEXT(fsync)(f); }
int ftruncate(int f, off_t n) { return hit("ftruncate") ? -1 : NEXT(ftruncate)(f, n); }
int ftruncate64(int f, off64_t n) { return hit("ftruncate") ? -1 : NEXT(ftruncate64)(f, n); }
int fallocate(int f, int m, off_t at, off_t n) { return hit("fallocate") ? -1 : NEXT(fallocate)(f, m, at, n); }
int fallocate64(int f, int m, off64_t at, off64_t n) { return hit("fallocate") ? -1 : NEXT(fallocate64)(f, m, at, n); }
"""

CHILD = r"""
import ctypes, os, sys
import recovery

shim = ctypes.CDLL(sys.argv[1])
mode, failing = int(sys.argv[2]), sys.argv[3]
os.chdir(sys.argv[4])
fs = recovery.posix()
data = bytes(range(256)) * 50
problem = None
shim.shim_set(mode, failing.encode())
try:
    fs.mkdir("d")
    with fs.open("d/a", "x") as f:
        f.append(data)
        f.pwrite(b"patch", 7)
        f.sync()
        f.append(b"tail")
        f.truncate(len(data) + 2)
        f.allocate(20000)
        f.sync()
    fs.sync_dir("d")
    read = fs.read_all("d/a")
except OSError as e:
    problem = e.errno
shim.shim_set(0, None)
if problem is None:
    want = data[:7] + b"patch" + data[12:] + b"ta"
    want += bytes(20000 - len(want))
    assert open("d/a", "rb").read() == want, "what is in the file"
    assert read == want, "what was read of it"
print(problem)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    source, made = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O1", "-fPIC", "-shared", "-o", str(made), str(source), "-ldl"], check=True)
    return made


def child(shim: Path, root: Path, folder: Path, mode: int, failing: str = "") -> str:
    """Run the calls under the shim; return what they ended with."""
    preload = " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(shim))))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(shim), str(mode), failing, str(folder)],
        env={**os.environ, "LD_PRELOAD": preload, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_interrupted_calls_are_made_again(shim: Path, root: Path, tmp_path: Path) -> None:
    assert child(shim, root, tmp_path, 1) == "None"


def test_short_transfers_are_continued(shim: Path, root: Path, tmp_path: Path) -> None:
    assert child(shim, root, tmp_path, 2) == "None"


@pytest.mark.parametrize("call", ["pread", "pwrite", "fdatasync", "fsync", "ftruncate", "fallocate"])
def test_a_failed_call_is_told(shim: Path, root: Path, tmp_path: Path, call: str) -> None:
    """It fails once; made again it would not, and a sync that was made again would be believed."""
    assert child(shim, root, tmp_path, 3, call) == "5"
