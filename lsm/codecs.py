"""Block codecs by kind: none, lz4, zstd; the libraries are found at run time.

A library is looked for in the environment variable LSM_CODEC_LZ4 or LSM_CODEC_ZSTD, then as the system's (liblz4.so.1,
libzstd.so.1), then inside the Python packages ``lz4`` and ``backports.zstd``, whose compiled modules export the C functions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from .native_codec import USER_IDS, Codec

_SONAMES = {"lz4": "liblz4.so.1", "zstd": "libzstd.so.1"}
_WHEELS = {"lz4": ("lz4", "block/_block*.so"), "zstd": ("backports.zstd", "_zstd*.so")}


class CodecMissing(LookupError):
    """No library offers the codec; says where it was looked for."""


@dataclass(frozen=True)
class NoCodec:
    """Blocks as they are."""

    kind: ClassVar[str] = "none"
    level: ClassVar[int] = 0

    def build(self) -> Codec:
        """Return the codec that copies."""
        return load_codec(self.kind)


@dataclass(frozen=True)
class Lz4Codec:
    """LZ4 (block format, no frame). level: 0 standard, 2 to 12 smaller and slower (HC), below 0 faster and bigger."""

    kind: ClassVar[str] = "lz4"
    level: int = 0

    def __post_init__(self) -> None:
        _check_level(self.kind, self.level, -65537, 12)

    def build(self) -> Codec:
        """Return the codec. CodecMissing when there is no library."""
        return load_codec(self.kind)


@dataclass(frozen=True)
class ZstdCodec:
    """Zstandard (RFC 8878), a frame a block. level: 1 to 22, below 0 faster; 3 is the library's own choice."""

    kind: ClassVar[str] = "zstd"
    level: int = 3

    def __post_init__(self) -> None:
        _check_level(self.kind, self.level, -131072, 22)

    def build(self) -> Codec:
        """Return the codec. CodecMissing when there is no library."""
        return load_codec(self.kind)


@dataclass(frozen=True)
class CustomCodec:
    """A registered codec; what level means is the codec's."""

    kind: ClassVar[str]
    level: int = 0

    def build(self) -> Codec:
        """Return the registered codec."""
        return load_codec(self.kind)


CodecSettings = NoCodec | Lz4Codec | ZstdCodec | CustomCodec
CODECS: dict[str, type[CodecSettings]] = {"none": NoCodec, "lz4": Lz4Codec, "zstd": ZstdCodec}
_registered: dict[str, Codec] = {}


def _check_level(kind: str, level: object, low: int, high: int) -> None:
    if isinstance(level, bool) or not isinstance(level, int) or not low <= level <= high:
        raise ValueError(f"level of {kind} is {level!r}; allowed: an integer from {low} to {high}")


def library_paths(kind: str) -> list[str]:
    """Return where a codec's library is looked for, in order; nothing for "none"."""
    if kind not in _SONAMES:
        return []
    chosen = os.environ.get(f"LSM_CODEC_{kind.upper()}")
    return [*([chosen] if chosen else []), _SONAMES[kind], *_inside_wheel(*_WHEELS[kind])]


@cache  # looked up at every opening of a database
def _inside_wheel(package: str, pattern: str) -> list[str]:
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:  # the parent package is missing
        return []
    places = (spec.submodule_search_locations if spec else None) or []
    return sorted(str(path) for place in places for path in Path(place).glob(pattern))


def load_codec(kind: str) -> Codec:
    """Return a codec. ValueError names the kinds there are; CodecMissing says where its library was looked for."""
    if kind in _registered:
        return _registered[kind]
    if kind not in CODECS:
        raise ValueError(f"codec kind is {kind!r}; allowed: {', '.join(CODECS)}")
    paths = library_paths(kind)
    codec = Codec.load(kind, paths)
    if codec is None:
        raise CodecMissing(f"no library offers the codec {kind}; looked for {', '.join(paths)}; set LSM_CODEC_{kind.upper()} to one")
    return codec


def available_codecs() -> dict[str, str]:
    """Return kind and library version of every codec that can be loaded here."""
    found = {}
    for kind in CODECS:
        try:
            found[kind] = load_codec(kind).version
        except CodecMissing:
            continue
    return found


def register_codec(kind: str, address: int) -> type[CustomCodec]:
    """Add a user's codec: the address of an lsm_codec that stays valid, its id from 128 to 255 (it goes into the files).

    Returns its settings class. ValueError when the kind or the id is taken or out of range, the name is not the kind, or the
    table is of another ABI.
    """
    codec = Codec(address)
    if kind in CODECS:
        raise ValueError(f"codec kind {kind!r} is taken; registered: {', '.join(CODECS)}")
    if codec.name != kind:
        raise ValueError(f"the codec is named {codec.name!r}; allowed: the kind {kind!r}")
    if not USER_IDS <= codec.id <= 255 or any(codec.id == other.id for other in _registered.values()):
        raise ValueError(f"id of codec {kind!r} is {codec.id}; allowed: an id from {USER_IDS} to 255 that no other codec has")
    settings = type(f"{kind.title()}Codec", (CustomCodec,), {"kind": kind, "__doc__": f"The registered codec {kind}."})
    CODECS[kind], _registered[kind] = settings, codec
    return settings
