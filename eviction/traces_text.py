"""Traces that are lines of text: ARC, LIRS, CSV, MSR Cambridge, Twitter. Reading them block by block, and writing them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from . import native_trace
from .native_trace import Form

Keys = NDArray[np.uint64]
Weights = NDArray[np.uint32]
Columns = tuple[Keys, Weights | None]
Blocks = Iterable[bytes]

BLOCK = 4096  # bytes of a block of an MSR trace
KEY_NAMES = ("key", "obj_id", "object", "id", "block", "lbn", "offset")
WEIGHT_NAMES = ("size", "weight", "bytes", "obj_size", "length")
_TWITTER = ("get", "gets", "set", "add", "replace", "cas", "append", "prepend", "delete", "incr", "decr")
_MSR_LINE = "an MSR trace: timestamp, host, disk, Read or Write, offset, size, latency"
_TWITTER_LINE = "a Twitter trace: timestamp, key, key size, value size, client, operation, ttl"
_MAX_RUN = 1 << 24  # keys that one line of an ARC trace may stand for


@dataclass
class Source:
    """Where lines come from: the file's name for what is told, and its blocks, each of whole lines."""

    name: str
    blocks: Blocks
    line: int = 1  # of the first line of the next block, or of the one that was yielded last
    block: bytes = b""

    def rows(self, form: Form, names: Sequence[str], line_is: str = "") -> Iterator[NDArray[np.uint64]]:
        """Return the rows of each block. ValueError with file, line, cell and what is allowed."""
        for block in self.blocks:
            self.block = block
            try:
                yield native_trace.rows(block, form)
            except native_trace.Refused as no:
                where = f"{self.name}:{self.line + no.line}"
                if no.why == "width":
                    wanted = line_is if line_is else f"a line has {form.width}, as the first"
                    raise ValueError(f"{where}: {no.cell} cells; allowed: {wanted}") from None
                hint = " (words=True takes words)" if names[no.column] == "key" and no.why == "number" and form.separator else ""
                raise ValueError(
                    f"{where}: the {names[no.column]} is {no.cell[:40]!r}; allowed: a number from 0 to 2**64 - 1{hint}"
                ) from None
            self.line += block.count(b"\n")

    def refused(self, row: int, what: str) -> ValueError:
        """Return the error for a row of the block that was yielded last: file, line, and what is told."""
        for at, line in enumerate(self.block.split(b"\n")):
            row -= line.strip() not in (b"", b"*")
            if row < 0:
                return ValueError(f"{self.name}:{self.line + at}: {what}")
        return ValueError(f"{self.name}: {what}")


def cells(line: str, separator: str) -> list[str]:
    """The cells of a line."""
    return [cell.strip() for cell in line.split(separator)] if separator else line.split()


def first_lines(blocks: Iterator[bytes]) -> tuple[list[str], Iterator[bytes]]:
    """Return the first two lines that are not empty or a star, and all the blocks again."""
    lines: list[str] = []
    read = []
    for block in blocks:
        read.append(block)
        for found in re.finditer(rb"[^\n]+", block):
            text = found.group().decode("utf-8", "replace").strip()
            if text and text != "*":
                lines.append(text)
                if len(lines) == 2:
                    return lines, chain(read, blocks)
    return lines, iter(read)


def kind_of(line: str) -> str:
    """Which form of text a line is of."""
    if "," not in line:
        return "lirs" if len(line.split()) == 1 else "arc"
    parts = cells(line, ",")
    if len(parts) == 7 and parts[3].lower() in ("read", "write") and parts[0].isdigit() and parts[4].isdigit():
        return "msr"
    return "twitter" if len(parts) == 7 and parts[5].lower() in _TWITTER and parts[2].isdigit() else "csv"


def _gather(parts: list[Keys]) -> Keys:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _spread(starts: Keys, counts: Keys) -> Keys:
    """Every start, start + 1 ... for so many."""
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    spread: Keys = np.repeat(starts - before, counts.astype(np.int64)) + np.arange(total, dtype=np.uint64)  # wraps round, and back
    return spread


def read_lirs(source: Source) -> Columns:
    """One key a line; lines that are a star are left out."""
    form = Form("", 1, [0], [False], stars=True)
    return _gather([rows[:, 0] for rows in source.rows(form, ["key"])]), None


def read_arc(source: Source, width: int) -> Columns:
    """Lines ``start count ...``, each standing for count keys from start on."""
    parts = []
    for rows in source.rows(Form("", max(2, width), [0, 1], [False, False], stars=True), ["start", "count"]):
        starts, counts = rows[:, 0], rows[:, 1]
        bad = np.flatnonzero(counts >= _MAX_RUN)
        if len(bad):
            raise source.refused(int(bad[0]), f"the count is {counts[bad[0]]}; allowed: a number from 0 to 2**24 - 1")
        bad = np.flatnonzero((counts > 0) & (starts + (counts - np.uint64(1)) < starts))
        if len(bad):
            raise source.refused(int(bad[0]), f"the run of {counts[bad[0]]} keys from {starts[bad[0]]} passes 2**64 - 1")
        parts.append(_spread(starts, counts))
    return _gather(parts), None


def _column(source: Source, wanted: int | str | None, header: list[str] | None, usual: Sequence[str], what: str) -> int | None:
    """The number of a column by its name or number; None: not told, and none of the usual names is there."""
    if isinstance(wanted, str):
        if header is None or wanted not in header:
            found = "no header" if header is None else f"columns {', '.join(header)}"
            raise ValueError(f"{source.name}: the {what} is to be column {wanted!r}, but there are {found}")
        return header.index(wanted)
    if wanted is not None:
        if wanted < 0:
            raise ValueError(f"{source.name}: column {wanted}; allowed: 0 and more, or a name")
        return wanted
    lower = [name.lower() for name in header or []]
    return next((lower.index(name) for name in usual if name in lower), None)


def _header(top: list[str], names: bool) -> list[str] | None:
    """The titles in the first line, if it has any: where columns are named, or by what is in the first two lines."""
    titles = cells(top[0], ",")
    if names:
        return titles
    numbers = [any(cell.isdigit() for cell in cells(line, ",")) for line in top]
    usual = {title.lower() for title in titles} & {*KEY_NAMES, *WEIGHT_NAMES}
    return titles if not numbers[0] and (usual or numbers[1:] == [True]) else None


def read_csv(source: Source, top: list[str], key: int | str | None, weight: int | str | None, words: bool | None) -> Columns:
    """Cells with commas between; see ``load`` for which are taken."""
    if not top:
        return np.empty(0, np.uint64), None
    header, width = _header(top, isinstance(key, str) or isinstance(weight, str)), len(cells(top[0], ","))
    at = _column(source, key, header, KEY_NAMES, "key")
    size = _column(source, weight, header, WEIGHT_NAMES, "weight")
    if at is None and size is None and width == 2:
        size = 1
    if at is None and width > 2:
        usual = ", ".join(KEY_NAMES)
        raise ValueError(
            f"{source.name}: {width} columns, and none is named {usual}; allowed: to tell with key= and weight=, by number or name"
        )
    at = at or 0
    for column in (at, size or 0):
        if column >= width:
            raise ValueError(f"{source.name}: there is no column {column}; allowed: 0 to {width - 1}")
    if header is not None:
        _skip_line(source)
    first = cells(top[-1] if header else top[0], ",") if header is None or len(top) > 1 else []
    named = bool(first) and not first[min(at, len(first) - 1)].isdigit() if words is None else words
    if words is None and width == 1 and first and len(parts := first[0].split()) > 1 and all(map(str.isdigit, parts)):
        raise ValueError(f"{source.name}: {first[0][:40]!r} has blanks between its numbers; allowed: commas, or format='arc' or 'lirs'")
    wanted = sorted({at} if size is None else {at, size})
    keys, weights = [], []
    form = Form(",", width, wanted, [named and column == at for column in wanted])
    for rows in source.rows(form, ["key" if column == at else "weight" for column in wanted]):
        keys.append(rows[:, wanted.index(at)])
        if size is not None:
            weights.append(_weights(source, rows[:, wanted.index(size)]))
    return _gather(keys), None if size is None else np.concatenate(weights) if weights else np.empty(0, np.uint32)


def _skip_line(source: Source) -> None:
    """Leave out the first line that is not empty."""
    blocks = iter(source.blocks)
    for block in blocks:
        found = re.search(rb"[^\s][^\n]*\n?", block)
        end = found.end() if found else len(block)
        source.line += block.count(b"\n", 0, end)
        if found:
            source.blocks = chain([block[end:]], blocks)
            return


def _weights(source: Source, sizes: Keys) -> Weights:
    bad = np.flatnonzero(sizes >> np.uint64(32))
    if len(bad):
        raise source.refused(int(bad[0]), f"the weight is {sizes[bad[0]]}; allowed: a number from 0 to 2**32 - 1")
    return sizes.astype(np.uint32)


def _known(source: Source, found: Keys, words: Sequence[str], line: str) -> None:
    """Refuse a cell that is none of these words, in any case of letters."""
    known = [native_trace.word(form) for word in words for form in (word, word.upper(), word.capitalize())]
    bad = np.flatnonzero(~np.isin(found, np.array(known, np.uint64)))
    if len(bad):
        raise source.refused(int(bad[0]), f"not a line of {line}")


def read_msr(source: Source) -> Columns:
    """MSR Cambridge (SNIA IOTTA): a request for each block of 4 KiB touched; the key is disk << 48 | block."""
    parts = []
    form = Form(",", 7, [2, 3, 4, 5], [False, True, False, False])
    for rows in source.rows(form, ["disk", "type", "offset", "size"], _MSR_LINE):
        disk, kind, offset, size = (rows[:, i] for i in range(4))
        _known(source, kind, ("read", "write"), _MSR_LINE)
        for what, values, bits in (("disk", disk, 16), ("offset", offset, 60), ("size", size, 32)):
            bad = np.flatnonzero(values >> np.uint64(bits))
            if len(bad):
                raise source.refused(int(bad[0]), f"the {what} is {str(values[bad[0]])!r}; allowed: 0 to 2**{bits} - 1")
        begin, end = offset // BLOCK, (offset + np.maximum(size, 1) - 1) // BLOCK
        parts.append(_spread(begin | disk << np.uint64(48), end - begin + 1))
    return _gather(parts), None


def read_twitter(source: Source, top: list[str], words: bool | None) -> Columns:
    """Twitter's cluster traces (OSDI 2020): the weight is key size and value size together, at least 1."""
    first_key = cells(top[0], ",")[1:2] if top else []
    named = not (first_key and first_key[0].isdigit()) if words is None else words
    keys, weights = [], []
    for rows in source.rows(
        Form(",", 7, [1, 2, 3, 5], [named, False, False, True]), ["key", "key size", "value size", "operation"], _TWITTER_LINE
    ):
        _known(source, rows[:, 3], _TWITTER, _TWITTER_LINE)
        keys.append(rows[:, 0])
        weights.append(np.maximum(_weights(source, np.maximum(rows[:, 1] + rows[:, 2], np.maximum(rows[:, 1], rows[:, 2]))), 1))
    return _gather(keys), np.concatenate(weights) if weights else np.empty(0, np.uint32)


def _lines(*columns: NDArray[np.uint64] | str) -> bytes:
    """A line of each row, where a string is the same in every one."""
    n = next(len(c) for c in columns if not isinstance(c, str))
    parts: list[Iterable[str]] = [[c] * n if isinstance(c, str) else map(str, c.tolist()) for c in columns]
    return "".join(map("".join, zip(*parts, strict=True))).encode()


def write_lirs(keys: Keys, _weights: Weights | None) -> bytes:
    """One key a line."""
    return _lines(keys, "\n")


def write_arc(keys: Keys, _weights: Weights | None) -> bytes:
    """Runs of keys that follow each other: ``start count 0 request``."""
    if not len(keys):
        return b""
    goes_on = (keys[1:] == keys[:-1] + np.uint64(1)) & (keys[1:] != 0)
    begins = np.flatnonzero(np.concatenate([[True], ~goes_on]))
    ends = np.append(begins[1:], len(keys))
    cuts = [np.arange(b, e, _MAX_RUN - 1) for b, e in zip(begins.tolist(), ends.tolist(), strict=True) if e - b >= _MAX_RUN]
    begins = np.unique(np.concatenate([begins, *cuts]))
    counts = np.diff(np.append(begins, len(keys)))
    return _lines(keys[begins], " ", counts.astype(np.uint64), " 0 ", begins.astype(np.uint64), "\n")


def write_csv(keys: Keys, weights: Weights | None) -> bytes:
    """Key, and weight where there are any; without a header."""
    return _lines(keys, "\n") if weights is None else _lines(keys, ",", weights.astype(np.uint64), "\n")


def write_msr(keys: Keys, _weights: Weights | None) -> bytes:
    """A read of one block a line: the upper 16 bits of a key are its disk."""
    disk, block = keys >> np.uint64(48), keys & np.uint64((1 << 48) - 1)
    return _lines(np.arange(len(keys), dtype=np.uint64), ",trace,", disk, ",Read,", block * np.uint64(BLOCK), f",{BLOCK},0\n")


def write_twitter(keys: Keys, weights: Weights | None) -> bytes:
    """A get a line, with the weight as the value's size."""
    sizes = np.ones(len(keys), np.uint64) if weights is None else weights.astype(np.uint64)
    return _lines(np.arange(len(keys), dtype=np.uint64), ",", keys, ",0,", sizes, ",0,get,0\n")


WRITERS: dict[str, Callable[[Keys, Weights | None], bytes]] = {
    "arc": write_arc,
    "lirs": write_lirs,
    "csv": write_csv,
    "msr": write_msr,
    "twitter": write_twitter,
}
