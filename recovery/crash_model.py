"""What a disk may hold after power loss: files with durable and pending parts, and directory changes that were not synced.

    file:  what the last good sync kept | for each 512-byte sector written since: its contents, oldest first | for each size since: likewise
    names: directory changes that no sync_dir covers, oldest first

After power loss each sector is any one of its contents, whatever became of the others; the size is any one of the sizes; what a grown
size reaches and no sector brought reads as zeros, or as garbage where no sync and no `allocate` ever covered it. Two models of names.
"journal": directory changes survive in the order they were made, and a sync_dir keeps all before it (ext4, XFS). "posix": any subset
survives, and a sync_dir keeps those of its directory; a rename is lost or done as a whole in both. After a failed sync nothing pending
becomes durable any more (Rebello et al., ATC 2020).

Source: Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014), which calls these abstract persistence models.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from random import Random

from .recording import Event

SECTOR = 512
_CREATE, _EXCL, _TRUNC = 4, 8, 16
_ZEROS = bytes(SECTOR)
_OUTCOMES = 64  # of one file, at most, that are all taken; more are sampled


class Inode:
    """A file or directory: what is durable and what is pending."""

    def __init__(self, data: bytes = b"", *, is_dir: bool = False) -> None:
        self.is_dir = is_dir
        self.names: dict[str, Inode] = {}  # of a directory, as calls see it
        self.safe_names: dict[str, Inode] = {}
        self.safe, self.now = data, bytearray(data)
        self.settled = len(data)  # bytes that were ever part of the file in a sync, or reserved: no stale block shows there
        self.step = 0  # of what is pending
        self.sizes: list[tuple[int, int]] = []  # (step, size)
        self.sectors: dict[int, list[tuple[int, bytes]]] = {}  # number -> (step, content)
        self.broken = False  # a sync has failed

    @property
    def dirty(self) -> bool:
        """Whether anything is pending."""
        return bool(self.sizes or self.sectors)

    def write(self, data: bytes, offset: int) -> None:
        """Data at an offset, pending."""
        if not data:
            return
        end = offset + len(data)
        self.step += 1
        if end > len(self.now):
            self.now.extend(bytes(end - len(self.now)))
            self.sizes.append((self.step, end))
        self.now[offset:end] = data
        self._touch(offset, end)

    def resize(self, size: int) -> None:
        """Another size, pending; growing fills with zeros."""
        before = len(self.now)
        if size == before:
            return
        self.step += 1
        self.sizes.append((self.step, size))
        if size > before:
            self.now.extend(bytes(size - before))
        else:
            del self.now[size:]
            self._touch(size, before)

    def _touch(self, lo: int, hi: int) -> None:
        for n in range(lo // SECTOR, (hi + SECTOR - 1) // SECTOR):
            content = bytes(self.now[n * SECTOR : n * SECTOR + SECTOR])
            self.sectors.setdefault(n, []).append((self.step, content))

    def sync(self, *, worked: bool) -> None:
        """A sync of the file: what is pending becomes durable, unless one has failed."""
        self.broken = self.broken or not worked
        if not self.broken:
            self.safe = bytes(self.now)
            self.settled = max(self.settled, len(self.safe))
            self.sizes, self.sectors = [], {}

    def outcomes(self, rng: Random, *, garbage: bool) -> list[bytes]:
        """Return the distinct contents after power loss; all of them when they are few, else the telling ones and some at random.

        The first is that nothing pending came to the disk, the last that all of it did.
        """
        if not self.dirty:
            return [self.safe]
        sizes = [len(self.safe), *(size for _, size in self.sizes)]
        places = sorted(self.sectors)
        choices = [self._choices(n, rng, garbage=garbage) for n in places]
        total = len(sizes)
        for c in choices:
            total *= len(c)
        found: dict[bytes, None] = {self.safe: None}
        if total <= _OUTCOMES:
            for size, picked in product(sizes, product(*choices)):
                found[self._build(size, places, picked)] = None
            return self._ordered(found)
        for _ in range(4):  # all up to some moment
            found[self._until(rng.randint(0, self.step), places)] = None
        most = max(sizes)
        for choice in ([c[0] for c in choices], [c[-1] for c in choices]):  # the size came to the disk, the data did not, or is garbage
            found[self._build(most, places, choice)] = None
        for _ in range(4 * _OUTCOMES):
            if len(found) >= _OUTCOMES:
                break
            found[self._build(rng.choice(sizes), places, [rng.choice(c) for c in choices])] = None
        return self._ordered(found)

    def _ordered(self, found: dict[bytes, None]) -> list[bytes]:
        now = bytes(self.now)
        found.pop(now, None)
        return [*found, now]

    def _choices(self, n: int, rng: Random, *, garbage: bool) -> list[bytes]:
        old = self.safe[n * SECTOR : n * SECTOR + SECTOR]
        seen = dict.fromkeys(x.ljust(SECTOR, b"\0") for x in (old, *(content for _, content in self.sectors[n])))
        if garbage and n * SECTOR >= self.settled:
            seen[rng.randbytes(SECTOR)] = None
        return list(seen)

    def _until(self, step: int, places: list[int]) -> bytes:
        size = next((size for at, size in reversed(self.sizes) if at <= step), len(self.safe))
        picked = []
        for n in places:
            old = self.safe[n * SECTOR : n * SECTOR + SECTOR]
            picked.append(next((content for at, content in reversed(self.sectors[n]) if at <= step), old).ljust(SECTOR, b"\0"))
        return self._build(size, places, picked)

    def _build(self, size: int, places: list[int], picked: Sequence[bytes]) -> bytes:
        out = bytearray(self.safe)
        end = max(size, (places[-1] + 1) * SECTOR if places else 0)
        out.extend(bytes(max(0, end - len(out))))
        for n, content in zip(places, picked, strict=True):
            out[n * SECTOR : n * SECTOR + SECTOR] = content
        return bytes(out[:size])


Change = tuple[tuple[Inode, str, Inode | None], ...]  # directory, name, what it names from then on: one part, of a rename two


class Disk:
    """The model of one file system. Feed it the events of a recording; `trees` and `contents` say what power loss may leave."""

    def __init__(self, base: Mapping[str, bytes], names: str) -> None:
        """Begin with durable files; a path that ends in / is a directory. names: "journal" or "posix"."""
        if names not in ("journal", "posix"):
            raise ValueError(f"names {names!r}; allowed: journal, posix")
        self.journal = names == "journal"
        self.root = Inode(is_dir=True)
        self.open: dict[int, Inode] = {}
        self.pending: list[Change] = []
        for path, data in sorted(base.items()):
            at = self.root
            *folders, leaf = (path.rstrip("/") if path.endswith("/") else path).strip("/").split("/")
            for name in folders + ([leaf] if path.endswith("/") and leaf else []):
                at = at.names.setdefault(name, Inode(is_dir=True))
            if not path.endswith("/"):
                at.names[leaf] = Inode(data)
        self._all_safe(self.root)

    def _all_safe(self, at: Inode) -> None:
        at.safe_names = dict(at.names)
        for below in at.names.values():
            self._all_safe(below)

    def find(self, path: str) -> Inode | None:
        """Return what a path names now."""
        at: Inode | None = self.root
        for name in filter(None, posixpath.normpath(path).split("/")):
            at = at.names.get(name) if at is not None else None
        return at

    def _change(self, *parts: tuple[str, Inode | None]) -> None:
        made = []
        for path, node in parts:
            where = self.find(posixpath.dirname(posixpath.normpath(path)))
            if where is None:
                raise ValueError(f"the recording names {path}, whose directory was not there when it began")
            name = posixpath.basename(posixpath.normpath(path))
            made.append((where, name, node))
        for where, name, node in made:
            if node is None:
                where.names.pop(name, None)
            else:
                where.names[name] = node
        self.pending.append(tuple(made))

    def _opened(self, e: Event) -> None:
        node = self.find(e.path)
        if node is None:
            node = Inode()
            self._change((e.path, node))
        elif e.offset & _TRUNC or e.op == "lock":
            node.resize(0)
        if e.op == "lock":
            node.write(e.data, 0)
        self.open[e.file] = node

    def _file_event(self, e: Event) -> None:
        node = self.open[e.file]
        if e.op in ("append", "pwrite"):
            node.write(e.data, e.offset)  # of one that failed an unknown part may be there: all sectors are pending, so that is so
        elif e.op == "sync":
            node.sync(worked=e.result == 0)
        elif e.result == 0 and (e.op == "truncate" or e.length > len(node.now)):
            node.resize(e.length)
            if e.op == "allocate":
                node.settled = max(node.settled, e.length)

    def feed(self, e: Event) -> None:
        """Apply one event."""
        if e.op in ("append", "pwrite", "sync", "truncate", "allocate"):
            self._file_event(e)
        elif e.result < 0:
            return
        elif e.op in ("open", "lock"):
            self._opened(e)
        elif e.op == "close":
            self.open.pop(e.file, None)
        elif e.op == "rename":
            if (node := self.find(e.path)) is not self.find(e.other):
                self._change((e.path, None), (e.other, node))
        elif e.op == "link":
            self._change((e.other, self.find(e.path)))
        elif e.op in ("unlink", "rmdir"):
            self._change((e.path, None))
        elif e.op == "mkdir":
            self._change((e.path, Inode(is_dir=True)))
        elif e.op == "sync_dir":
            self._sync_dir(e.path)

    def _sync_dir(self, path: str) -> None:
        where = self.find(path)
        kept: list[Change] = []
        for change in self.pending:
            if self.journal or any(d is where for d, _, _ in change):
                _put(change)
            else:
                kept.append(change)
        self.pending = kept

    def tree_count(self) -> int:
        """How many sets of directory changes may survive."""
        return len(self.pending) + 1 if self.journal else int(1 << len(self.pending))

    def tree(self, which: int) -> dict[str, Inode]:
        """Return path to file (directories end in /) when the which-th set survives: 0 nothing, the last all of them."""
        n = len(self.pending)
        survives = range(which) if self.journal else [k for k in range(n) if which >> k & 1]
        made: dict[int, dict[str, Inode]] = {}
        for k in survives:
            for where, name, node in self.pending[k]:
                names = made.setdefault(id(where), dict(where.safe_names))
                if node is None:
                    names.pop(name, None)
                else:
                    names[name] = node
        return dict(_walk(self.root, "/", made))


def _put(change: Change) -> None:
    for where, name, node in change:
        if node is None:
            where.safe_names.pop(name, None)
        else:
            where.safe_names[name] = node


def _walk(at: Inode, path: str, made: Mapping[int, dict[str, Inode]]) -> Iterator[tuple[str, Inode]]:
    for name, node in made.get(id(at), at.safe_names).items():
        if node.is_dir:
            yield f"{path}{name}/", node
            yield from _walk(node, f"{path}{name}/", made)
        else:
            yield f"{path}{name}", node
