"""A store of backups in a directory: objects named by the hash of their content, and records that name objects.

    STORE                  format and whether it is encrypted (with a check of the key)
    objects/ab/abcd...     an object: header, then pieces of up to 1 MiB
    records/KIND-NAME      a record: a line of JSON and a line with its checksum; encrypted like an object where there is a key
    LOCK                   held while something is added or removed

    object = "LSMOBJ" | version u8 = 1 | codec u8 | size u64 | salt (32) | (raw length u32 | stored length u32 | bytes)*

An object is written to a temporary name, synced, read back, renamed, its directory synced; a record likewise, after all that it names. So
a record that is there is complete; what a crash leaves are objects that no record names, which the next attempt finds and uses, or a
sweep removes. Files are copied once: the same content is the same object, whoever names it.
Not a log and not a lock-free structure: one writer at a time; readers need no lock.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .backup_crypt import CODECS, OVERHEAD, PIECE, SALT_BYTES, Packer, digester, new_salt
from .keyring import WrongKey
from .native import File, FileSystem, LockHeld, crc32c, mask

FORMAT = 1
MAX_RECORD = 64 << 20
MAX_OBJECT = 1 << 44
_HEAD = struct.Struct("<6sBBQ32s")
_PIECE = struct.Struct("<II")
_MAGIC = b"LSMOBJ"
_DIGEST = re.compile(r"[0-9a-f]{40}")
_RECORD = re.compile(r"([a-z]{1,16})-([A-Za-z0-9._-]{1,100})")
_CHECK = b"lsmlab backup store"
_PATIENCE = 500  # times 10 ms until a store that another makes is there


class StoreDamage(Exception):
    """A file of a backup store is missing, damaged or not what it says. ``path`` names it."""

    def __init__(self, what: str, path: str) -> None:
        self.what, self.path = what, path
        super().__init__(f"{path}: {what}")


@dataclass(frozen=True)
class Stored:
    """An object: its name, the bytes of its content, and the bytes that were written for it now (0: it was there)."""

    digest: str
    size: int
    written: int = 0


class BackupStore:
    """A directory of backups. Any thread may add; `exclusive` is held meanwhile. OSError of files, StoreDamage, WrongKey."""

    def __init__(self, fs: FileSystem, path: str, *, key: bytes | None = None, codec: str = "none", create: bool = True) -> None:
        """Open a store, or make one when the directory is not there or empty. FileNotFoundError, StoreDamage, WrongKey, ValueError."""
        if codec not in CODECS:
            raise ValueError(f"codec is {codec!r}; allowed: {', '.join(CODECS)}")
        self.fs, self.path, self.key, self.codec = fs, path, key, CODECS[codec]
        self._names = itertools.count()
        self._mutex = threading.Lock()
        if fs.exists(f"{path}/STORE"):
            self._check_key()
        elif not create:
            raise FileNotFoundError(2, "there is no backup store", path)
        else:
            self._make()

    def new_salt(self) -> bytes:
        """Return the salt of an object or a record that is to be encrypted; none comes twice."""
        return new_salt()

    def _make(self) -> None:
        fs, path = self.fs, self.path
        ours = ("STORE", "LOCK", "objects", "records")  # STORE: another made it just now
        if fs.exists(path) and (others := [n for n in fs.listdir(path) if n not in ours and ".tmp" not in n]):
            raise StoreDamage(f"not a backup store and not empty: it holds {', '.join(others[:5])}", path)
        Packer("", self.codec, self.key, bytes(SALT_BYTES))  # the package is there, or nothing is made
        for name in (path, f"{path}/objects", f"{path}/records"):
            fs.makedirs(name)
        fs.sync_dir(path.rpartition("/")[0] or "/")
        with self._first():
            if fs.exists(f"{path}/STORE"):
                self._check_key()
                return
            row: dict[str, Any] = {"format": FORMAT, "encrypted": self.key is not None}
            if self.key is not None:
                salt = self.new_salt()
                row["check"] = (salt + Packer("STORE", 0, self.key, salt).pack(0, _CHECK)).hex()
            self._replace(f"{path}/STORE", _line(row))

    @contextmanager
    def _first(self) -> Iterator[None]:
        """Be the one who makes the store; somebody else who is at that needs a moment, and has made it then."""
        for attempt in itertools.count():
            try:
                lock = self.fs.lock(f"{self.path}/LOCK", f"pid {os.getpid()}")
            except LockHeld:
                if self.fs.exists(f"{self.path}/STORE"):
                    yield
                    return
                if attempt == _PATIENCE:
                    raise
                time.sleep(0.01)
            else:
                with lock:
                    yield
                return

    def _check_key(self) -> None:
        path = f"{self.path}/STORE"
        row = _parse(self.fs.read_all(path), path)
        if row.get("format") != FORMAT:
            raise StoreDamage(f"format {row.get('format')!r}; this program knows format {FORMAT}", path)
        if bool(row.get("encrypted")) != (self.key is not None):
            raise WrongKey(
                f"{self.path} is encrypted: it needs its key" if self.key is None else f"{self.path} is not encrypted: it takes no key"
            )
        if self.key is not None:
            try:
                raw = bytes.fromhex(str(row.get("check")))
            except ValueError:
                raise StoreDamage("what the key is checked with is no hexadecimal number", path) from None
            try:
                Packer("STORE", 0, self.key, raw[:SALT_BYTES]).unpack(0, raw[SALT_BYTES:], len(_CHECK))
            except WrongKey:
                raise
            except ValueError:
                raise WrongKey(f"the key is not the one that {self.path} was made with") from None

    @contextmanager
    def exclusive(self, holder: str = "") -> Iterator[None]:
        """Be the only one who changes the store. LockHeld when somebody else is at it."""
        if not self._mutex.acquire(blocking=False):
            raise LockHeld(11, "the store is in use by another thread", self.path)
        try:
            with self.fs.lock(f"{self.path}/LOCK", holder):
                yield
        finally:
            self._mutex.release()

    # Objects

    def _object(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise StoreDamage(f"{digest!r:.60} does not name an object", self.path)
        return f"{self.path}/objects/{digest[:2]}/{digest}"

    def digest_of(self, pieces: Iterator[bytes]) -> tuple[str, int]:
        """Return the name that content has here, and its size."""
        sum_, size = digester(self.key), 0
        for piece in pieces:
            sum_.update(piece)
            size += len(piece)
        return sum_.hexdigest(), size

    def has(self, digest: str, size: int) -> bool:
        """Tell whether an object is there, by its header. O(1)."""
        try:
            with self.fs.open(self._object(digest)) as f:
                return self._header(f.pread(_HEAD.size, 0), digest)[1] == size
        except (FileNotFoundError, NotADirectoryError, StoreDamage):
            return False

    def add(self, source: Callable[[], Iterator[bytes]]) -> Stored:
        """Store content, read twice: for its name, and to be copied. An object that is there and is whole is not written again.

        OSError; StoreDamage when the source changed between, or what was written does not read back.
        """
        digest, size = self.digest_of(source())
        path = self._object(digest)
        if self.has(digest, size):
            with suppress(StoreDamage):
                self.verify(digest, size)
                return Stored(digest, size)
        folder = path.rpartition("/")[0]
        if not self.fs.exists(folder):
            with suppress(FileExistsError):
                self.fs.mkdir(folder)
            self.fs.sync_dir(f"{self.path}/objects")
        written = self._write(path, digest, size, source())
        return Stored(digest, size, written)

    def _write(self, path: str, digest: str, size: int, pieces: Iterator[bytes]) -> int:
        salt = self.new_salt() if self.key is not None else bytes(SALT_BYTES)
        packer = Packer(digest, self.codec, self.key, salt)
        sum_, temporary = digester(self.key), f"{path}.tmp{os.getpid()}-{next(self._names)}"
        try:
            with self.fs.open(temporary, "w") as f:
                f.append(_HEAD.pack(_MAGIC, FORMAT, self.codec, size, salt))
                for number, piece in enumerate(_cut(pieces)):
                    sum_.update(piece)
                    stored = packer.pack(number, piece)
                    f.append(_PIECE.pack(len(piece), len(stored)) + stored)
                f.sync()
                written = f.size()
            if sum_.hexdigest() != digest:
                raise StoreDamage("the source changed while it was copied", path)
            for _ in self._read(temporary, digest, size):
                pass
            self.fs.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                self.fs.unlink(temporary)
            raise
        self.fs.sync_dir(path.rpartition("/")[0])
        return written

    def _header(self, raw: bytes, digest: str) -> tuple[int, int, bytes]:
        path = self._object(digest)
        if len(raw) < _HEAD.size:
            raise StoreDamage("the object is cut", path)
        magic, version, codec, size, salt = _HEAD.unpack(raw)
        if magic != _MAGIC or version != FORMAT or codec not in CODECS.values() or size > MAX_OBJECT or (self.key is None and any(salt)):
            raise StoreDamage("the object's header is damaged", path)
        return codec, size, salt

    def read(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield the content of an object, in pieces. StoreDamage at the latest behind the last piece: use nothing before that is over."""
        path = self._object(digest)
        try:
            yield from self._read(path, digest, size)
        except FileNotFoundError:
            raise StoreDamage("the object is missing", path) from None

    def _read(self, path: str, digest: str, size: int) -> Iterator[bytes]:
        sum_ = digester(self.key)
        with reading(self.fs, path) as f:
            codec, found, salt = self._header(f.pread(_HEAD.size, 0), digest)
            if found != size:
                raise StoreDamage(f"the object has {found} bytes, its record says {size}", path)
            packer, at, end, left, number = Packer(digest, codec, self.key, salt), _HEAD.size, f.size(), size, 0
            while left:
                raw, stored = _PIECE.unpack(f.pread(_PIECE.size, at)) if end - at >= _PIECE.size else (0, 0)
                if raw != min(left, PIECE) or stored > raw + OVERHEAD or stored > end - at - _PIECE.size:
                    raise StoreDamage(f"the object is damaged at byte {at}", path)
                try:
                    piece = packer.unpack(number, f.pread(stored, at + _PIECE.size), raw)
                except ValueError as e:
                    raise StoreDamage(f"the object is damaged at byte {at}: {e}", path) from None
                sum_.update(piece)
                yield piece
                at, left, number = at + _PIECE.size + stored, left - raw, number + 1
            if at != end or sum_.hexdigest() != digest:
                raise StoreDamage("the object is not what its name says", path)

    def verify(self, digest: str, size: int) -> None:
        """Read an object through. StoreDamage, or an OSError."""
        for _ in self.read(digest, size):
            pass

    # Records

    def _record(self, kind: str, name: str) -> str:
        if not _RECORD.fullmatch(f"{kind}-{name}"):
            raise ValueError(f"{kind}-{name!r} does not name a record; allowed: a-z, then A-Z a-z 0-9 . _ -")
        return f"{self.path}/records/{kind}-{name}"

    def put_record(self, kind: str, name: str, row: Mapping[str, Any]) -> None:
        """Write a record, durable on return, in place of one with that name. The objects that it names are there already."""
        path = self._record(kind, name)
        raw = _line({**row, "record": f"{kind}-{name}"})
        if len(raw) > MAX_RECORD:
            raise ValueError(f"a record of {len(raw)} bytes; allowed: {MAX_RECORD}")
        if self.key is not None:
            salt = self.new_salt()
            raw = salt + Packer(f"{kind}-{name}", 0, self.key, salt).pack(0, raw)
        self._replace(path, raw)

    def _replace(self, path: str, raw: bytes) -> None:
        temporary = f"{path}.tmp{os.getpid()}-{next(self._names)}"
        try:
            self.fs.write_all(temporary, raw, sync=True)
            if self.fs.read_all(temporary) != raw:
                raise StoreDamage("what was written does not read back", temporary)
            self.fs.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                self.fs.unlink(temporary)
            raise
        self.fs.sync_dir(path.rpartition("/")[0])

    def names(self, kind: str) -> list[str]:
        """Return the names of the records of a kind, sorted."""
        found = (_RECORD.fullmatch(name) for name in self.fs.listdir(f"{self.path}/records") if ".tmp" not in name)
        return sorted(m[2] for m in found if m and m[1] == kind)

    def record(self, kind: str, name: str) -> dict[str, Any]:
        """Return a record. StoreDamage names the file."""
        path = self._record(kind, name)
        if not self.fs.exists(path):
            raise StoreDamage("there is no such record", path)
        if self.fs.stat(path)[0] > MAX_RECORD + OVERHEAD:
            raise StoreDamage(f"the record is larger than {MAX_RECORD} bytes", path)
        raw = self.fs.read_all(path)
        if self.key is not None:
            packer = Packer(f"{kind}-{name}", 0, self.key, raw[:SALT_BYTES])
            try:
                raw = packer.unpack(0, raw[SALT_BYTES:], len(raw) - SALT_BYTES - 16)
            except ValueError as e:
                raise StoreDamage(f"the record is damaged: {e}", path) from None
        row = _parse(raw, path)
        if (own := row.pop("record", f"{kind}-{name}")) != f"{kind}-{name}":  # records made before they had it do without
            raise StoreDamage(f"this is the record {own!r:.120}", path)
        return row

    def drop_record(self, kind: str, name: str) -> None:
        """Remove a record, durably; its objects stay until the next sweep."""
        self.fs.unlink(self._record(kind, name))
        self.fs.sync_dir(f"{self.path}/records")

    def references(self) -> set[str]:
        """Return the names of all objects that a record names. StoreDamage when a record cannot be read: then nothing may be removed."""
        listed = (_RECORD.fullmatch(n) for n in self.fs.listdir(f"{self.path}/records") if ".tmp" not in n)
        return {name for m in listed if m for name in _named(self.record(m[1], m[2]), self._record(m[1], m[2]))}

    def objects(self) -> Iterator[tuple[str, str]]:
        """Yield (name, path) of all files in the folder of objects, half-written ones included."""
        for folder in self.fs.listdir(f"{self.path}/objects"):
            for name in self.fs.listdir(f"{self.path}/objects/{folder}"):
                yield name, f"{self.path}/objects/{folder}/{name}"

    def sweep(self) -> tuple[int, int]:
        """Remove the objects that no record names, and what crashes left. Returns (objects, bytes). `exclusive` is held."""
        used, removed, freed = self.references(), 0, 0
        for name, path in list(self.objects()):
            if name not in used:
                freed += self.fs.stat(path)[0]
                self.fs.unlink(path)
                removed += 1
        for name in self.fs.listdir(f"{self.path}/records"):
            if ".tmp" in name:
                self.fs.unlink(f"{self.path}/records/{name}")
        return removed, freed


@contextmanager
def reading(fs: FileSystem, path: str) -> Iterator[File]:
    """Open a file to be read. Failing to close it afterwards spoils nothing that was read."""
    f = fs.open(path)
    try:
        yield f
    finally:
        with suppress(OSError):
            f.close()


def file_pieces(fs: FileSystem, path: str, size: int) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a file. StoreDamage when it is shorter."""
    with reading(fs, path) as f:
        for at in range(0, size, PIECE):
            want = min(PIECE, size - at)
            piece = f.pread(want, at)
            if len(piece) != want:
                raise StoreDamage(f"the file ends at byte {at + len(piece)}, not {size}", path)
            yield piece


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces of exactly PIECE bytes, but for the last."""
    held = bytearray()
    for piece in pieces:
        if not held and len(piece) == PIECE:
            yield piece
            continue
        held += piece
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)


def _named(row: Mapping[str, Any], path: str) -> list[str]:
    """The objects that a record names."""
    try:
        return [str(f["object"]) for f in row["files"]]
    except (KeyError, TypeError):
        raise StoreDamage("the record does not say which files it has", path) from None


def _line(row: Mapping[str, Any]) -> bytes:
    line = json.dumps(row, separators=(",", ":"), sort_keys=True)
    return f"{line}\n{mask(crc32c(line.encode())):08x}\n".encode()


def _parse(raw: bytes, path: str) -> dict[str, Any]:
    try:
        line, crc, rest = raw.decode("ascii").split("\n")
        if rest or f"{mask(crc32c(line.encode())):08x}" != crc:
            raise ValueError("its checksum is wrong")
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("it is not a table")
    except (ValueError, RecursionError) as e:
        raise StoreDamage(f"the record is damaged: {e}", path) from None
    return row
