"""The codecs of the extension as typed Python: load, compress, decompress, and the address that tables take."""

from __future__ import annotations

from collections.abc import Sequence

try:
    from ._native import ffi, lib
except ImportError as problem:
    raise ImportError("lsm/_native is missing or does not load: run make build") from problem

USER_IDS = 128  # ids from here to 255 are for codecs of users; smaller ones are ours


class Codec:
    """A loaded codec. Keep it alive as long as anything holds its address: it keeps its library open. Any thread may use it."""

    def __init__(self, address: int) -> None:
        """Wrap the address of an lsm_codec that stays valid. ValueError when it is null or of another ABI."""
        if address == 0:
            raise ValueError("codec address is 0; allowed: the address of an lsm_codec")
        codec = ffi.cast("const lsm_codec *", address)
        if codec.abi != lib.LSM_ABI or codec.size < ffi.sizeof("lsm_codec"):
            raise ValueError(f"codec has abi {codec.abi}, size {codec.size}; allowed: abi {lib.LSM_ABI}, size {ffi.sizeof('lsm_codec')}")
        self.address = address
        self.name: str = ffi.string(codec.name).decode()
        self.id: int = codec.id
        self.version: str = ffi.string(codec.version).decode()
        self._codec = codec

    @classmethod
    def load(cls, name: str, paths: Sequence[str]) -> Codec | None:
        """Return the codec from the first of these libraries that offers it; None when none does. MemoryError."""
        names = [ffi.new("char[]", path.encode()) for path in paths]
        out = ffi.new("lsm_codec **")
        status = lib.lsm_codec_load(name.encode(), ffi.new("char *[]", names), len(names), out)
        if status == lib.LSM_NOMEM:
            raise MemoryError(f"codec {name}")
        if status != lib.LSM_OK:
            return None
        owned = ffi.gc(out[0], lib.lsm_codec_free)
        codec = cls(int(ffi.cast("uintptr_t", owned)))
        codec._codec = owned
        return codec

    def bound(self, size: int) -> int:
        """Return the bytes that compressing this many can take at most."""
        return int(self._codec.bound(self._codec, size))

    def compress(self, data: bytes, level: int = 0) -> bytes:
        """Return the data compressed. ValueError when it is too long for the codec (lz4: 2 GiB)."""
        room = self.bound(len(data))
        out = ffi.new("uint8_t[]", room)
        got = self._codec.compress(self._codec, ffi.from_buffer(data), len(data), out, room, level)
        if got < 0:
            raise ValueError(f"{self.name} does not compress {len(data)} bytes at level {level}")
        return bytes(ffi.buffer(out, got))

    def decompress(self, data: bytes, size: int) -> bytes:
        """Return the size bytes that were compressed. ValueError when the data is damaged or holds another number of bytes."""
        out = ffi.new("uint8_t[]", size)
        got = self._codec.decompress(self._codec, ffi.from_buffer(data), len(data), out, size)
        if got != size:
            raise ValueError(f"{self.name}: {len(data)} bytes do not decompress to {size}")
        return bytes(ffi.buffer(out, got))
