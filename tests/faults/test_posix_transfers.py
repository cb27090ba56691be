"""The real file system goes on after EINTR and short transfers of the kernel: a library between it and the C library makes them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers put their own calls in between")

SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static unsigned long calls;
unsigned long shim_calls(void) { return calls; }

static int interrupted(void) {
    if (++calls % 2) return 0;
    errno = EINTR;
    return 1;
}

static size_t some(size_t n) { return n > 7 ? n / 3 : n; }

ssize_t pread(int fd, void *p, size_t n, off_t at) { return interrupted() ? -1 : syscall(SYS_pread64, fd, p, some(n), at); }
ssize_t pread64(int fd, void *p, size_t n, off_t at) { return pread(fd, p, n, at); }
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return interrupted() ? -1 : syscall(SYS_pwrite64, fd, p, some(n), at); }
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) { return pwrite(fd, p, n, at); }
int fdatasync(int fd) { return interrupted() ? -1 : (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return interrupted() ? -1 : (int)syscall(SYS_fsync, fd); }
int ftruncate(int fd, off_t n) { return interrupted() ? -1 : (int)syscall(SYS_ftruncate, fd, n); }
"""

PROGRAM = """
import ctypes, sys
import lsm, recovery
shim = ctypes.CDLL(None)
data = bytes(range(251)) * 400
fs = recovery.posix()
top = sys.argv[1]
with fs.open(top + "/a", "w") as f:
    f.append(data)
    f.pwrite(b"x" * 5000, 100)
    f.truncate(len(data) - 9)
    f.sync()
fs.sync_dir(top)
want = data[:100] + b"x" * 5000 + data[5100:-9]
assert fs.read_all(top + "/a") == want
assert fs.open(top + "/a").pread(10**6, 50) == want[50:]
assert shim.shim_calls() > 40, "the calls do not pass through the shim"
for half in range(2):
    with lsm.open(top + "/db", threads=0, write_buffer=32768, cache={"capacity": 0}, wal={"sync": "os"}) as db:
        for i in range(200):
            db.put(b"%d" % i, b"%d" % half * 40)
        assert dict(db.scan()) == {b"%d" % i: b"%d" % half * 40 for i in range(200)}
        assert db.verify() == []
print("all right")
"""


def test_posix_goes_on_after_interruptions_and_short_transfers(tmp_path: Path) -> None:
    source, library = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        subprocess.run([*compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    except OSError:
        pytest.skip("no C compiler")
    env = {**os.environ, "LD_PRELOAD": str(library)}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stderr
