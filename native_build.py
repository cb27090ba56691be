"""Build the C extensions: one per package, its cdef cut from the package's own headers.

Each package has a ``_build.py`` that is data only::

    HEADERS = ["fs.h", "wal.h"]      # in cdef order, under <package>/csrc/
    SOURCES = ["crc32c.c", "wal.c"]  # under <package>/csrc/
    INCLUDES = ["recovery/csrc/fs.h"]  # other packages' headers whose declarations the cdef leans on

Everything between ``/* cdef:begin */`` and ``/* cdef:end */`` of a header is what Python sees: there is one declaration of each
thing. The extension carries a stamp of its sources; importing a stale one fails with "run make build".

``python native_build.py [PACKAGE ...]`` builds in place (with ``--stale`` only what is out of date or built with other flags);
``LSMLAB_CFLAGS`` adds flags (sanitizers), ``LSMLAB_CHECK=1`` adds
``-Wall -Wextra -Werror``. Without either, extensions are built optimised.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from cffi import FFI
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

HARDENED = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]  # docs/security.md: what is on, what is not, and what it costs
if platform.machine() == "x86_64":
    HARDENED.append("-fcf-protection")
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
    ffi.cdef(f"const char *{package}_build_kind(void);")
    preamble += f"static const char *{package}_build_kind(void) {{ return {json.dumps(kind())}; }}\n"
    extra = shlex.split(os.environ.get("LSMLAB_CFLAGS", ""))
    if "--coverage" in extra:  # a process that may not end in the usual way has to write its counts itself
        ffi.cdef("void __gcov_dump(void); void __gcov_reset(void);")
        preamble += "void __gcov_dump(void);\nvoid __gcov_reset(void);\n"
    flags = ["-std=gnu11", "-O2", "-fno-strict-aliasing", "-fvisibility=hidden", "-pthread"]
    if "LSMLAB_CFLAGS" not in os.environ:  # sanitizers have checks of their own
        flags += HARDENED
    checking = "LSMLAB_CFLAGS" in os.environ or "LSMLAB_CHECK" in os.environ
    flags.append("-UNDEBUG" if checking else "-DNDEBUG")  # Python's own flags carry -DNDEBUG
    if "LSMLAB_CHECK" in os.environ:
        flags += ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"]  # cffi's glue leaves parameters unused
    ffi.set_source(
        f"{package}._native",
        preamble,
        sources=[f"{package}/csrc/{s}" for s in conf["SOURCES"]],
        depends=[str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("*/csrc/*.h"))],
        include_dirs=["."],
        extra_compile_args=flags + extra,
        extra_link_args=["-pthread", "-Wl,-z,relro,-z,now", *extra],
        libraries=["dl", "m"],
        py_limited_api=True,
    )
    return ffi


def main(args: list[str]) -> None:
    """Build the named packages' extensions in place (all when none is named)."""
    os.chdir(ROOT)
    names = [a for a in args if not a.startswith("-")] or list(PACKAGES)
    if "--stale" in args:
        names = [n for n in names if not is_fresh(n)]
    with ProcessPoolExecutor(max_workers=max(1, min(len(names), os.cpu_count() or 1))) as pool:
        for built in pool.map(_compile, names):
            print(f"built {built}")


def kind() -> str:
    """Return how this process builds: "built optimised", or "built with" what its environment adds."""
    asked = [f"{name}={os.environ[name]}" for name in ("LSMLAB_CHECK", "LSMLAB_CFLAGS") if name in os.environ]
    return f"built with {' '.join(asked)}" if asked else "built optimised"


def is_fresh(package: str) -> bool:
    """Tell whether the extension in the tree was built from its sources in the way now asked for (both are literals inside it)."""
    so = ROOT / package / "_native.abi3.so"
    built = so.read_bytes() if so.exists() else b""
    return stamp(package).encode() in built and kind().encode() + b"\0" in built


def _compile(package: str) -> str:
    work = f"build/native/{package}"
    Path(work).mkdir(parents=True, exist_ok=True)
    dist = Distribution({"name": package, "ext_modules": [make(package).distutils_extension(tmpdir=work, verbose=False)]})
    cmd = build_ext(dist)
    cmd.inplace = True
    cmd.build_temp = work
    cmd.force = True
    cmd.ensure_finalized()
    cmd.run()
    return f"{package}/_native.abi3.so"


def recovery() -> FFI:
    """Builder for setup.py's cffi_modules."""
    return make("recovery")


def eviction() -> FFI:
    """Builder for setup.py's cffi_modules."""
    return make("eviction")


def indexes() -> FFI:
    """Builder for setup.py's cffi_modules."""
    return make("indexes")


def lsm() -> FFI:
    """Builder for setup.py's cffi_modules."""
    return make("lsm")


if __name__ == "__main__":
    main(sys.argv[1:])
