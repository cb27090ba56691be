"""Components in C from a string: compiled with the system's compiler, loaded, checked, registered, in one call."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import eviction
import indexes

from .errors import Error
from .native_plugin import LoadedComponent
from .registry import COMPILED, MEMTABLES

SLOTS = ("memtable", "eviction", "filter", "range_filter", "search")
_INDEXES: dict[str, Callable[[str, int], object]] = {
    "filter": indexes.register_filter,
    "range_filter": indexes.register_range_filter,
    "search": indexes.register_search,
}
_loaded: list[LoadedComponent] = []  # a component stays loaded as long as the process lives


class CompileError(Error):
    """The compiler refused, or the component is not what its slot needs; the message has the compiler's words."""


def get_include() -> str:
    """Return the directory for the compiler's -I: headers are included as "lsm/csrc/memtable.h", "eviction/csrc/policy.h" and so on."""
    return str(Path(__file__).resolve().parent.parent)


def compile_component(source: str, *, slot: str, name: str, compiler: str | None = None, flags: tuple[str, ...] = ("-O2",)) -> int:
    """Compile C that defines `const void *lsmlab_component(void)` and register the ops table it returns under name.

    slot: memtable, eviction, filter, range_filter or search. compiler: default $CC, else cc. Returns the address of the ops table.
    CompileError with the compiler's messages; also when the table has another abi or a smaller size.
    """
    if slot not in SLOTS:
        raise ValueError(f"slot is {slot!r}; allowed: {', '.join(SLOTS)}")
    command = compiler or os.environ.get("CC") or "cc"
    if not shutil.which(command.split()[0]):
        raise CompileError(f"no C compiler: {command!r} is not on the PATH; install gcc or set CC")
    with tempfile.TemporaryDirectory(prefix="lsmlab-") as folder:
        code, library = Path(folder, "component.c"), Path(folder, "component.so")
        code.write_text(source)
        parts = [
            *command.split(),
            "-std=gnu11",
            "-shared",
            "-fPIC",
            "-pthread",
            *flags,
            f"-I{get_include()}",
            str(code),
            "-o",
            str(library),
        ]
        done = subprocess.run(parts, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompileError(f"the component does not compile:\n{done.stderr.replace(str(code), 'component.c')}")
        try:
            component = LoadedComponent(str(library), slot)
        except ValueError as e:
            raise CompileError(f"the component {name!r} cannot be used: {e}") from None
    _loaded.append(component)
    COMPILED.add(component.address)
    if slot == "memtable":
        MEMTABLES[name] = component.address
    elif slot == "eviction":
        eviction.register(name, component.address)
    else:
        _INDEXES[slot](name, component.address)
    return component.address
