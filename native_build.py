"""Build the C extensions: one per package, its cdef cut from the package's own headers.

Each package has a ``_build.py`` that is data only::

    HEADERS = ["fs.h", "wal.h"]      # in cdef order, under <package>/csrc/
    SOURCES = ["crc32c.c", "wal.c"]  # under <package>/csrc/
    INCLUDES = ["recovery/csrc/fs.h"]  # other packages' headers whose declarations the cdef leans on

Everything between ``/* cdef:begin */`` and ``/* cdef:end */`` of a header is what Python sees: there is one declaration of each
thing. The extension carries a stamp of its sources; importing a stale one fails with "run make build".

``python native_build.py [PACKAGE ...]`` builds in place; ``LSMLAB_CFLAGS`` adds flags (sanitizers), ``LSMLAB_CHECK=1`` adds
``-Wall -Wextra -Werror``. Without either, extensions are built optimised.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from cffi import FFI

ROOT = Path(__file__).resolve().parent
PACKAGES = ("recovery", "eviction", "indexes", "lsm")
_CUT = re.compile(r"/\* cdef:begin \*/\n(.*?)/\* cdef:end \*/", re.S)


def _settings(package: str) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec((ROOT / package / "_build.py").read_text(), scope)  # our own data file
    return scope


def stamp(package: str) -> str:
    """Return the fingerprint of everything an extension is built from (own sources, every header, this file)."""
    digest = hashlib.blake2b(digest_size=8)
    own = sorted((ROOT / package / "csrc").glob("*.[ch]"))
    foreign = sorted(ROOT / name for name in _settings(package).get("INCLUDES", []))
    for path in [*own, *foreign, ROOT / package / "_build.py"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cdef_of(header: Path) -> str:
    """Return the part of a header that Python sees; an error when the header has none."""
    parts = _CUT.findall(header.read_text())
    if not parts:
        raise SystemExit(f"{header}: no cdef:begin / cdef:end region")
    return "\n".join(parts)


def make(package: str) -> FFI:
    """Return the cffi builder of one package's extension ``<package>._native``."""
    conf = _settings(package)
    ffi = FFI()
    for name in conf.get("INCLUDES", []):
        ffi.cdef(cdef_of(ROOT / name), override=True)
    for name in conf["HEADERS"]:
        ffi.cdef(cdef_of(ROOT / package / "csrc" / name), override=True)
    name = f"{package}_build_stamp"
    ffi.cdef(f"const char *{name}(void);")
    headers = [*conf.get("INCLUDES", []), *(f"{package}/csrc/{h}" for h in conf["HEADERS"])]
    preamble = "".join(f'#include "{h}"\n' for h in headers)
    preamble += f'static const char *{name}(void) {{ return "{stamp(package)}"; }}\n'
    flags = ["-std=gnu11", "-O2", "-fno-strict-aliasing", "-fvisibility=hidden", "-pthread", "-UNDEBUG" if "LSMLAB_CFLAGS" in os.environ or os.environ.get("LSMLAB_CHECK") else "-DNDEBUG"]
    if os.environ.get("LSMLAB_CHECK"):
        # cffi's own generated glue passes unused arguments
        flags += ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]
    extra = shlex.split(os.environ.get("LSMLAB_CFLAGS", ""))
    ffi.set_source(
        f"{package}._native",
        preamble,
        sources=[f"{package}/csrc/{s}" for s in conf["SOURCES"]],
        depends=[str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("*/csrc/*.h"))],
        include_dirs=["."],
        extra_compile_args=flags + extra,
        extra_link_args=["-pthread", *extra],
        libraries=["dl", "m"],
        py_limited_api=True,
    )
    return ffi


def main(names: list[str]) -> None:
    """Build the named packages' extensions in place (all when none is named)."""
    os.chdir(ROOT)
    for package in names or PACKAGES:
        print(f"built {_compile(package)}")


def _compile(package: str) -> str:
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    ffi = make(package)
    work = f"build/native/{package}"
    ext = ffi.distutils_extension(tmpdir=work)
    dist = Distribution({"name": package, "ext_modules": [ext]})
    cmd = build_ext(dist)
    cmd.inplace = True
    cmd.build_temp = work
    cmd.force = True
    cmd.ensure_finalized()
    cmd.run()
    return f"{package}/_native.abi3.so"


if __name__ == "__main__":
    main(sys.argv[1:])
