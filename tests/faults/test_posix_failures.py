"""Every system call of the real file system fails, in every way that it tells apart: the errno comes out, and nothing is left open."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="the sanitizers put their own calls in between")

SHIM = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MOST = 4 };
static __thread struct { const char *name; int skip, error; } armed[MOST];
static __thread int last, hits;
static __thread long type;

/* The call of that name behind `after` others fails with err (0: returns 0). */
void shim_arm(int slot, const char *name, int after, int err) {
    armed[slot].name = *name ? strdup(name) : NULL, armed[slot].skip = after, armed[slot].error = err;
    hits = 0;
}
void shim_type(long fs_type) { type = fs_type; } /* what fstatfs answers */
int shim_hits(void) { return hits; }

static int hit(const char *name) {
    for (int i = 0; i < MOST; i++) {
        if (!armed[i].name || strcmp(name, armed[i].name) || armed[i].skip-- > 0) continue;
        armed[i].name = NULL, hits++;
        errno = last = armed[i].error;
        return 1;
    }
    return 0;
}
#define RESULT (last ? -1 : 0)
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CALL(name, params, args) int name params { return hit(#name) ? RESULT : NEXT(name) args; }
#define CALL64(name, to, params, args) int to params { return hit(#name) ? RESULT : NEXT(to) args; }

CALL(fstat, (int f, struct stat *s), (f, s))
CALL64(fstat, fstat64, (int f, struct stat64 *s), (f, s))
CALL(stat, (const char *p, struct stat *s), (p, s))
CALL64(stat, stat64, (const char *p, struct stat64 *s), (p, s))
CALL(fchmod, (int f, mode_t m), (f, m))
CALL(chmod, (const char *p, mode_t m), (p, m))
CALL(fsync, (int f), (f))
CALL(ftruncate, (int f, off_t n), (f, n))
CALL64(ftruncate, ftruncate64, (int f, off64_t n), (f, n))
CALL(fallocate, (int f, int m, off_t at, off_t n), (f, m, at, n))
CALL64(fallocate, fallocate64, (int f, int m, off64_t at, off64_t n), (f, m, at, n))
CALL(madvise, (void *p, size_t n, int a), (p, n, a))
CALL(munmap, (void *p, size_t n), (p, n))
CALL(flock, (int f, int op), (f, op))

int close(int f) {
    int bad = hit("close"), err = NEXT(close)(f);
    if (bad) errno = last;
    return bad ? -1 : err;
}
ssize_t pread(int f, void *p, size_t n, off_t at) { return hit("pread") ? RESULT : NEXT(pread)(f, p, n, at); }
ssize_t pread64(int f, void *p, size_t n, off64_t at) { return hit("pread") ? RESULT : NEXT(pread64)(f, p, n, at); }
int fdatasync(int f) { return hit("fdatasync") ? RESULT : NEXT(fdatasync)(f); }
ssize_t pwrite(int f, const void *p, size_t n, off_t at) { return hit("pwrite") ? RESULT : NEXT(pwrite)(f, p, n, at); }
ssize_t pwrite64(int f, const void *p, size_t n, off64_t at) { return hit("pwrite") ? RESULT : NEXT(pwrite64)(f, p, n, at); }
void *mmap(void *a, size_t n, int p, int fl, int f, off_t at) { return hit("mmap") ? MAP_FAILED : NEXT(mmap)(a, n, p, fl, f, at); }
void *mmap64(void *a, size_t n, int p, int fl, int f, off64_t at) { return hit("mmap") ? MAP_FAILED : NEXT(mmap64)(a, n, p, fl, f, at); }
struct dirent *readdir(DIR *d) { return hit("readdir") ? NULL : NEXT(readdir)(d); }
struct dirent64 *readdir64(DIR *d) { return hit("readdir") ? NULL : NEXT(readdir64)(d); }

#define ARG(last)                                                                                                                          \
    va_list l;                                                                                                                             \
    va_start(l, last);                                                                                                                     \
    void *arg = va_arg(l, void *);                                                                                                         \
    va_end(l)
int open(const char *p, int how, ...) { ARG(how); return hit("open") ? RESULT : NEXT(open)(p, how, (mode_t)(long)arg); }
int open64(const char *p, int how, ...) { ARG(how); return hit("open") ? RESULT : NEXT(open64)(p, how, (mode_t)(long)arg); }
int __open_2(const char *p, int how) { return hit("open") ? RESULT : NEXT(__open_2)(p, how); } /* what FORTIFY_SOURCE makes of it */
int fcntl(int f, int op, ...) { ARG(op); return hit("fcntl") ? RESULT : NEXT(fcntl)(f, op, arg); }
int fcntl64(int f, int op, ...) { ARG(op); return hit("fcntl") ? RESULT : NEXT(fcntl64)(f, op, arg); }

#define FSTATFS(name, st)                                                                                                                  \
    int name(int f, struct st *s) {                                                                                                        \
        if (hit("fstatfs")) return -1;                                                                                                     \
        int err = NEXT(name)(f, s);                                                                                                        \
        if (type) s->f_type = type;                                                                                                        \
        return err;                                                                                                                        \
    }
FSTATFS(fstatfs, statfs)
FSTATFS(fstatfs64, statfs64)
"""

CHILD = r"""
import ctypes, errno, json, os, sys
import recovery

shim = ctypes.CDLL(None)
shim.shim_type.argtypes = [ctypes.c_long]
os.chdir(sys.argv[1])
for line in sys.stdin:
    steps, calls, type = json.loads(line)
    fs = recovery.posix()
    for name in os.listdir("."):
        (os.rmdir if os.path.isdir(name) else os.unlink)(name)
    fs.write_all("a", b"0123456789" * 1000)
    fs.mkdir("d")
    os.mkfifo("pipe")
    f = fs.open("a", "r+")
    before = len(os.listdir("/proc/self/fd"))
    said = None
    shim.shim_type(type)
    for slot, (name, after, error) in enumerate(calls):
        shim.shim_arm(slot, name.encode(), after, getattr(errno, error, 133 if error == "EHWPOISON" else 0))
    try:
        for step in steps:
            exec(step)
    except OSError as e:
        said = errno.errorcode[e.errno]
    hits = shim.shim_hits()
    for slot in range(4):
        shim.shim_arm(slot, b"", 0, 0)
    shim.shim_type(0)
    left = len(os.listdir("/proc/self/fd")) - before
    print(json.dumps([said, hits, left, f.size()]), flush=True)
    f.close()
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    source, made = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    try:
        subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-O1", "-fPIC", "-shared", "-o", made, source, "-ldl"], check=True)
    except OSError:
        pytest.skip("no C compiler")
    return made


SIZE = 10_000
NEW, OLD = "fs.open('new', 'x').close()", "fs.open('a', 'a').close()"
MAP, LOOK = "f.map(0, 4096, writable=True).close()", "f.map(0, 4096).close()"
LOCK = "l = fs.lock('lock', 'me')"
UNLOCK = "l.close()"
AGAIN = ["l = fs.lock('lock', 'me')", "try:\n    fs.lock('lock', 'you')\nfinally:\n    l.close()"]
COPIES = (0x9123683E, 0x2FC12FC1, 0xCA451A4E, 0xF2F52010, 0x6969, 0xFF534D42, 0xFE534D42, 0x01021997, 0x65735546)
"""File systems on which a store into a mapping may raise SIGBUS: fs_posix.c."""

Case = tuple[list[str], list[tuple[str, int, str]], str | None, int]
"""Steps; calls that fail: name, how many go through before, errno; what comes of it; size of file a afterwards."""
CASES: list[Case] = [
    ([NEW], [("fstat", 0, "EIO")], "EIO", SIZE),
    ([NEW], [("fchmod", 0, "EPERM")], "EPERM", SIZE),
    ([NEW], [("open", 0, "EINTR")], None, SIZE),
    ([OLD], [("open", 0, "EINTR")], None, SIZE),
    ([OLD], [("open", 0, "EACCES")], "EACCES", SIZE),
    (["fs.open('new', 'a').close()"], [("open", 1, "EINTR")], None, SIZE),
    (["fs.open('new', 'a').close()"], [("open", 1, "ENOSPC")], "ENOSPC", SIZE),
    (["fs.open('pipe')"], [], "EINVAL", SIZE),
    (["fs.open('d')"], [], "EISDIR", SIZE),
    ([OLD], [("close", 0, "EIO")], "EIO", SIZE),
    ([OLD], [("close", 0, "EINTR")], None, SIZE),
    (["f.append(b'x')"], [("pwrite", 0, "")], "EIO", SIZE),
    (["f.append(b'x')"], [("pwrite", 0, "EINTR")], None, SIZE + 1),
    (["f.pwrite(b'x', 2**63 - 1)"], [], "EFBIG", SIZE),
    (["f.pread(1, 2**63)"], [], "EINVAL", SIZE),
    (["f.pread(1, 0)"], [("pread", 0, "EINTR")], None, SIZE),
    (["f.pread(1, 0)"], [("pread", 0, "EIO")], "EIO", SIZE),
    (["f.pread(1, 0)"], [("pread", 0, "")], "EIO", SIZE),
    (["f.sync()"], [("fdatasync", 0, "EINTR")], None, SIZE),
    (["f.sync()"], [("fdatasync", 0, "EIO")], "EIO", SIZE),
    (["f.truncate(2**63)"], [], "EFBIG", SIZE),
    (["f.truncate(7)"], [("ftruncate", 0, "EINTR")], None, 7),
    (["f.truncate(7)"], [("ftruncate", 0, "EIO")], "EIO", SIZE),
    (["f.allocate(2**63)"], [], "EFBIG", SIZE),
    (["f.allocate(0)"], [], None, SIZE),
    (["f.allocate(5)"], [], None, SIZE),
    (["f.allocate(20000)"], [("fallocate", 0, "EINTR")], None, 20000),
    (["f.allocate(200000)", "assert f.read_all()[10000:] == bytes(190000)"], [("fallocate", 0, "EOPNOTSUPP")], None, 200000),
    (["f.allocate(20000)"], [("fallocate", 0, "ENOSYS")], None, 20000),
    (["f.allocate(200000)"], [("fallocate", 0, "ENOSYS"), ("pwrite", 1, "ENOSPC")], "ENOSPC", SIZE),
    (["f.allocate(20000)"], [("fallocate", 0, "ENOSPC"), ("ftruncate", 0, "EINTR")], "ENOSPC", SIZE),
    (["f.allocate(20000)"], [("fallocate", 0, "ENOSPC"), ("ftruncate", 0, "EIO")], "ENOSPC", SIZE),
    (["f.size()"], [("fstat", 0, "EIO")], "EIO", SIZE),
    ([MAP], [], None, SIZE),
    ([MAP], [("fstatfs", 0, "EIO")], "ENOTSUP", SIZE),
    ([MAP], [("open", 0, "ENOENT")], None, SIZE),
    ([MAP], [("open", 0, "EINTR")], None, SIZE),
    ([MAP], [("mmap", 0, "ENODEV")], "ENOTSUP", SIZE),
    ([MAP], [("mmap", 0, "ENOMEM")], "ENOMEM", SIZE),
    ([MAP], [("madvise", 0, "EINVAL")], None, SIZE),
    ([MAP], [("madvise", 0, "EFAULT")], "EIO", SIZE),
    ([MAP], [("madvise", 0, "EHWPOISON")], "EIO", SIZE),
    ([MAP], [("madvise", 0, "ENOMEM")], "ENOMEM", SIZE),
    ([LOOK], [("mmap", 0, "ENODEV")], "ENOTSUP", SIZE),
    ([LOOK], [("mmap", 0, "ENOMEM")], "ENOMEM", SIZE),
    ([LOOK], [("munmap", 0, "EINVAL")], "EINVAL", SIZE),
    (["f.map(0, 0)"], [], "EINVAL", SIZE),
    (["f.map(5, 4096)"], [], "EINVAL", SIZE),
    (["f.map(2**63 - 4096, 8192)"], [], "EINVAL", SIZE),
    (["fs.rename('none', 'b')"], [], "ENOENT", SIZE),
    (["fs.link('none', 'b')"], [], "ENOENT", SIZE),
    (["fs.unlink('none')"], [], "ENOENT", SIZE),
    (["fs.rmdir('none')"], [], "ENOENT", SIZE),
    (["fs.mkdir('d')"], [], "EEXIST", SIZE),
    (["fs.mkdir('e')"], [("chmod", 0, "EPERM")], "EPERM", SIZE),
    (["fs.stat('a')"], [("stat", 0, "EIO")], "EIO", SIZE),
    (["fs.listdir('none')"], [], "ENOENT", SIZE),
    (["fs.listdir('.')"], [("readdir", 3, "EIO")], "EIO", SIZE),
    (["fs.sync_dir('none')"], [], "ENOENT", SIZE),
    (["fs.sync_dir('d')"], [("open", 0, "EINTR"), ("fsync", 0, "EINTR")], None, SIZE),
    (["fs.sync_dir('d')"], [("fsync", 0, "EIO")], "EIO", SIZE),
    (["fs.lock('d', 'me')"], [], "EISDIR", SIZE),
    ([LOCK, UNLOCK], [("fcntl", 0, "EINTR")], None, SIZE),
    (AGAIN, [], "EAGAIN", SIZE),
    ([LOCK], [("fcntl", 0, "EACCES")], "EAGAIN", SIZE),
    ([LOCK], [("fcntl", 0, "ENOLCK")], "ENOLCK", SIZE),
    ([LOCK, UNLOCK], [("fcntl", 0, "EINVAL"), ("flock", 0, "EINTR")], None, SIZE),
    ([LOCK], [("fcntl", 0, "EINVAL"), ("flock", 0, "EWOULDBLOCK")], "EAGAIN", SIZE),
    (AGAIN, [("pread", 0, "EIO")], "EAGAIN", SIZE),
    ([LOCK], [("ftruncate", 0, "EIO")], "EIO", SIZE),
    ([LOCK], [("pwrite", 0, "ENOSPC")], "ENOSPC", SIZE),
]


def told(shim: Path, folder: Path, lines: list[object]) -> list[object]:
    """Do the steps of each line in one child under the shim; return what it says of each."""
    preload = " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(shim))))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        input="".join(json.dumps(line) + "\n" for line in lines),
        env={**os.environ, "LD_PRELOAD": preload},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_failure_is_told_and_leaves_nothing_open(shim: Path, tmp_path: Path) -> None:
    found = told(shim, tmp_path, [(steps, calls, 0) for steps, calls, _, _ in CASES])
    wrong = [
        f"{steps} {calls}: [errno, failed calls, open files, size] {got}, wanted {wanted}"
        for (steps, calls, error, size), got in zip(CASES, found, strict=True)
        if got != (wanted := [error, len(calls), 0, size])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_writable_mapping_where_a_store_may_fail(shim: Path, tmp_path: Path) -> None:
    found = told(shim, tmp_path, [([MAP], [], kind) for kind in (*COPIES, 0xEF53)])
    assert found == [["ENOTSUP", 0, 0, SIZE]] * len(COPIES) + [[None, 0, 0, SIZE]]
