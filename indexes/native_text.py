"""The door to the full-text kernels: token scans, memory components, segments, merging, searching.

Everything here takes and returns bytes and numpy arrays; analysis, queries and scoring by name are in `indexes.text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ._native import ffi, lib

Rows: TypeAlias = "npt.NDArray[np.uint64]"
Numbers: TypeAlias = "npt.NDArray[np.uint32]"

TERM_MOST: int = lib.IDX_TERM_MOST
QUERY_DEPTH: int = lib.IDX_QUERY_DEPTH
BLOCK: int = lib.IDX_BLOCK
SCORE_BITS: int = lib.IDX_SCORE_BITS
TERM, PREFIX, FUZZY, GLOB, NEAR, AND, OR, NOT, ALL = (
    int(getattr(lib, f"IDX_NODE_{name}")) for name in ("TERM", "PREFIX", "FUZZY", "GLOB", "NEAR", "AND", "OR", "NOT", "ALL")
)
_TOKENIZERS = {"unicode": lib.IDX_TOKENS_UNICODE, "whitespace": lib.IDX_TOKENS_WHITESPACE, "ngram": lib.IDX_TOKENS_NGRAM}
_HOLE = 1 << 63
_MESSAGES = {
    lib.IDX_TEXT_DAMAGED: "the text segment is damaged",
    lib.IDX_TEXT_LIMIT: "the text index cannot hold that: more documents, tokens, bytes or score than its numbers are made for",
    lib.IDX_TEXT_QUERY: "the query program is malformed",
}


def _check(status: int) -> None:
    if status == lib.IDX_TEXT_MEMORY:
        raise MemoryError("full-text index")
    if status < 0:
        raise ValueError(_MESSAGES[status])


def _u64(array: npt.NDArray[np.uint64]) -> Any:
    """The array as C takes it; what is returned keeps it alive, which matters for arrays that only a call holds."""
    return ffi.from_buffer("uint64_t[]", array)


def _u32(array: npt.NDArray[np.uint32]) -> Any:
    return ffi.from_buffer("uint32_t[]", array)


def _u8(array: npt.NDArray[np.uint8]) -> Any:
    return ffi.from_buffer("uint8_t[]", array)


def row_ids(rows: Any) -> Rows:
    """Return the row ids as an array of uint64. ValueError on ids that are no such numbers or not in one dimension."""
    if not isinstance(rows, np.ndarray):
        try:
            return np.fromiter(map(index, rows), np.uint64, len(rows))
        except (TypeError, OverflowError) as bad:
            raise ValueError(f"row ids: {bad}; allowed: whole numbers from 0 to 2**64 - 1") from None
    array = rows
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"row ids are {array.dtype} with {array.ndim} dimensions; allowed: whole numbers, one dimension")
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise ValueError(f"row id {int(array.min())} is negative; allowed: 0 to 2**64 - 1")
    return np.ascontiguousarray(array, np.uint64)


def ascending(rows: Any) -> Rows:
    """Return row ids that must ascend, each once. ValueError when they do not."""
    array = row_ids(rows)
    if array.size > 1 and not bool((array[1:] > array[:-1]).all()):
        raise ValueError("row ids do not ascend; allowed: sorted, each once")
    return array


def _pack(parts: Sequence[bytes]) -> tuple[bytes, npt.NDArray[np.uint64]]:
    offsets = np.zeros(len(parts) + 1, np.uint64)
    np.cumsum(np.fromiter(map(len, parts), np.uint64, len(parts)), out=offsets[1:])
    return b"".join(parts), offsets


def _unpack(text: bytes, offsets: npt.NDArray[np.uint64]) -> list[bytes]:
    at = offsets.tolist()
    return [text[at[i] : at[i + 1]] for i in range(len(at) - 1)]


@dataclass(frozen=True)
class Rules:
    """A built-in tokeniser: its kind, characters of an n-gram, whether case is folded, whether ideographs come one by one."""

    kind: str = "unicode"
    ngram: int = 3
    fold: bool = True
    singles: bool = False

    def native(self) -> Any:
        """The rules as the C code takes them."""
        return ffi.new("idx_text_rules *", [_TOKENIZERS[self.kind], self.ngram, int(self.fold), int(self.singles)])


class Scan(NamedTuple):
    """A text taken apart: token i is terms[ids[i]] and covers the UTF-8 bytes starts[i] to ends[i]."""

    terms: list[bytes]
    ids: Numbers
    starts: Rows
    ends: Rows


def scan(rules: Rules, text: bytes) -> Scan:
    """Take one text apart. O(bytes)."""
    out = ffi.new("idx_text_scan **")
    _check(lib.idx_scan_text(rules.native(), text, len(text), out))
    handle = ffi.gc(out[0], lib.idx_scan_free)
    sizes = ffi.new("size_t[3]")
    lib.idx_scan_sizes(handle, sizes, sizes + 1, sizes + 2)
    n, n_terms, n_bytes = sizes[0], sizes[1], sizes[2]
    ids, spans, offsets, packed = (
        np.empty(n, np.uint32),
        np.empty(n, np.uint64),
        np.empty(n_terms + 1, np.uint64),
        np.empty(n_bytes, np.uint8),
    )
    lib.idx_scan_get(handle, _u32(ids), _u64(spans), _u8(packed), _u64(offsets))
    return Scan(_unpack(packed.tobytes(), offsets), ids, spans >> np.uint64(32), spans & np.uint64(0xFFFFFFFF))


def _take_bytes(out: Any, size: Any) -> bytes:
    try:
        return bytes(ffi.buffer(out[0], size[0]))
    finally:
        lib.idx_text_free_bytes(out[0])


class Memory:
    """Documents in memory. Changes by one thread at a time, with no query running."""

    def __init__(self, *, searchable: bool, mapped: bool) -> None:
        handle = lib.idx_text_memory_new(int(searchable), int(mapped))
        if handle == ffi.NULL:
            raise MemoryError("full-text index")
        self.handle = ffi.gc(handle, lib.idx_text_memory_free)
        self._facts = ffi.new("idx_text_memory_facts *")

    def facts(self) -> dict[str, int]:
        """Live documents and their tokens, terms ever seen, touched rows, bytes."""
        lib.idx_text_memory_facts_of(self.handle, self._facts)
        return {name: int(getattr(self._facts, name)) for name in ("documents", "terms", "tokens", "touched", "bytes")}

    def tokenise(self, rules: Any, texts: Sequence[bytes]) -> None:
        """Take the texts apart; they are pending until `commit`. `rules` is what Rules.native gave."""
        packed, offsets = _pack(texts)
        _check(lib.idx_text_memory_tokenise(self.handle, rules, ffi.from_buffer("uint8_t[]", packed), _u64(offsets), len(texts)))

    def terms(self, documents: Iterable[Sequence[bytes | None]]) -> None:
        """The same with terms made elsewhere; None is a place without a term."""
        terms: list[bytes | None] = []
        counts: list[int] = []
        for document in documents:
            terms.extend(document)
            counts.append(len(document))
        packed, offsets = _pack([term or b"" for term in terms])
        offsets[:-1][np.fromiter((term is None for term in terms), bool, len(terms))] |= np.uint64(_HOLE)
        _check(lib.idx_text_memory_terms(self.handle, packed, _u64(offsets), _u32(np.array(counts, np.uint32)), len(counts)))

    def unmapped(self) -> list[bytes]:
        """The distinct terms that came up and are not mapped yet."""
        size = ffi.new("size_t *")
        n = lib.idx_text_memory_unmapped(self.handle, size)
        if n == 0:
            return []
        packed, offsets = np.empty(size[0], np.uint8), np.empty(n + 1, np.uint64)
        lib.idx_text_memory_unmapped_terms(self.handle, _u8(packed), _u64(offsets))
        return _unpack(packed.tobytes(), offsets)

    def map(self, terms: Sequence[bytes | None]) -> None:
        """What the unmapped terms become, in their order; None drops a term and keeps its place."""
        packed, offsets = _pack([term or b"" for term in terms])
        drop = np.fromiter((term is None for term in terms), np.uint8, len(terms))
        _check(lib.idx_text_memory_map(self.handle, packed, _u64(offsets), _u8(drop), len(terms)))

    def commit(self, rows: Rows) -> None:
        """Make the pending texts the documents of these rows."""
        _check(lib.idx_text_memory_commit(self.handle, _u64(rows), len(rows)))

    def delete(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Void these rows, here and in older components; which were here."""
        found = np.zeros(len(rows), np.uint8)
        _check(lib.idx_text_memory_delete(self.handle, _u64(rows), len(rows), _u8(found)))
        return found.astype(bool)

    def touched(self) -> Rows:
        """Every row ever changed here, in the order of the first change."""
        out = np.empty(self.facts()["touched"], np.uint64)
        lib.idx_text_memory_touched(self.handle, _u64(out))
        return out

    def has(self, row: int) -> bool:
        """Whether the row has a document here."""
        return bool(lib.idx_text_memory_has(self.handle, row))

    def freeze(self, signature: bytes) -> bytes:
        """The live documents as a segment. O(tokens + terms log terms)."""
        out, size = ffi.new("uint8_t **"), ffi.new("size_t *")
        _check(lib.idx_text_memory_freeze(self.handle, signature, len(signature), out, size))
        return _take_bytes(out, size)


class Segment:
    """A segment over any buffer, which it keeps alive. ValueError when the bytes are not a segment."""

    def __init__(self, buffer: Any, *, verify: bool) -> None:
        self._bytes = ffi.from_buffer("uint8_t[]", buffer)
        out = ffi.new("idx_text_segment **")
        _check(lib.idx_text_open(self._bytes, len(self._bytes), int(verify), out))
        self.handle = ffi.gc(out[0], lib.idx_text_close)
        facts = ffi.new("idx_text_facts *")
        lib.idx_text_facts_of(self.handle, facts)
        self.signature = bytes(ffi.buffer(facts.signature, facts.signature_n)) if facts.signature_n else b""
        self.facts = {n: int(getattr(facts, n)) for n in ("documents", "terms", "tokens", "bytes", "dictionary", "postings", "positions")}

    def rows(self) -> Rows:
        """Row ids, ascending."""
        out = np.empty(self.facts["documents"], np.uint64)
        lib.idx_text_rows(self.handle, _u64(out))
        return out

    def lengths(self) -> Numbers:
        """Tokens of each document, in the order of rows."""
        out = np.empty(self.facts["documents"], np.uint32)
        lib.idx_text_lengths(self.handle, _u32(out))
        return out

    def check(self) -> None:
        """Read everything. ValueError when anything does not fit together."""
        _check(lib.idx_text_check(self.handle))

    def terms(self) -> tuple[list[bytes], Numbers]:
        """All terms ascending, and in how many documents each is."""
        size = lib.idx_text_terms_size(self.handle)
        _check(min(size, 0))
        n = self.facts["terms"]
        packed, offsets, documents = np.empty(size, np.uint8), np.zeros(n + 1, np.uint64), np.empty(n, np.uint32)
        _check(lib.idx_text_terms(self.handle, _u8(packed), _u64(offsets), _u32(documents)))
        return _unpack(packed.tobytes(), offsets), documents

    def occurrences(self) -> tuple[Numbers, Numbers, Numbers]:
        """Term ordinal, document ordinal and position of every token, in this order."""
        n = self.facts["tokens"]
        terms, docs, positions = (np.empty(n, np.uint32) for _ in range(3))
        _check(lib.idx_text_occurrences(self.handle, _u32(terms), _u32(docs), _u32(positions)))
        return terms, docs, positions


class _Views:
    """Arrays of pointers to segments and to the rows hidden in each."""

    def __init__(self, segments: Sequence[Segment], hide: Sequence[Any]) -> None:
        if len(hide) != len(segments):
            raise ValueError(f"hide has {len(hide)} sets for {len(segments)} views; allowed: one a view, None where nothing is hidden")
        self.kept = [ascending(rows if rows is not None else ()) for rows in hide], list(segments)
        self.segments = ffi.new("idx_text_segment *[]", [s.handle for s in segments])
        self.hide = ffi.new("uint64_t *[]", [_u64(rows) for rows in self.kept[0]])
        self.sizes = ffi.new("size_t[]", [len(rows) for rows in self.kept[0]])


def merge(segments: Sequence[Segment], hide: Sequence[Any], signature: bytes) -> bytes:
    """Return the documents of the segments that are not hidden as one. ValueError when a row is live in two of them."""
    views = _Views(segments, hide)
    out, size, row = ffi.new("uint8_t **"), ffi.new("size_t *"), ffi.new("uint64_t *")
    status = lib.idx_text_merge(views.segments, len(segments), views.hide, views.sizes, signature, len(signature), out, size, row)
    if status == lib.IDX_TEXT_QUERY:
        raise ValueError(f"row {row[0]} is in two of the views and hidden in neither")
    _check(status)
    return _take_bytes(out, size)


class Program:
    """A query as the C code takes it: nodes in post-order and the bytes of their terms."""

    def __init__(self, nodes: Sequence[tuple[int, bytes, int, int, int, int, float]]) -> None:
        """Each node: kind, bytes, children, number, unit, place, boost."""
        taken, at = list[tuple[float, ...]](), 0
        for kind, text, children, number, unit, place, boost in nodes:
            taken.append((kind, at, len(text), children, number, unit, place, boost))
            at += len(text)
        self._text = b"".join(node[1] for node in nodes)
        self.arguments = ffi.new("idx_text_node[]", taken), len(nodes), ffi.from_buffer("uint8_t[]", self._text), at


class Searcher:
    """Segments newest first, rows hidden in each, and a memory component that is newer than all."""

    def __init__(self, segments: Sequence[Segment], hide: Sequence[Any], memory: Memory | None) -> None:
        views = _Views(segments, hide)
        out = ffi.new("idx_text_searcher **")
        self._alive = (list(segments), memory)
        _check(lib.idx_searcher_new(views.segments, len(segments), memory.handle if memory else ffi.NULL, views.hide, views.sizes, out))
        self._handle = ffi.gc(out[0], lib.idx_searcher_free)

    def stats(self) -> tuple[int, int]:
        """Live documents and their tokens."""
        out = ffi.new("uint64_t[2]")
        lib.idx_searcher_stats(self._handle, out, out + 1)
        return int(out[0]), int(out[1])

    def match(self, program: Program, within: Rows | None) -> Rows:
        """Row ids of the documents that match, ascending."""
        rows, n = ffi.new("uint64_t **"), ffi.new("size_t *")
        only, n_only = (ffi.NULL, 0) if within is None else (_u64(within), len(within))
        _check(lib.idx_searcher_match(self._handle, *program.arguments, only, n_only, rows, n))
        try:
            return np.frombuffer(ffi.buffer(rows[0], n[0] * 8), np.uint64).copy() if n[0] else np.empty(0, np.uint64)
        finally:
            lib.idx_text_free_rows(rows[0])

    def count(self, program: Program) -> int:
        """How many documents match."""
        n = ffi.new("uint64_t *")
        _check(lib.idx_searcher_count(self._handle, *program.arguments, n))
        return int(n[0])

    def rank(self, program: Program, scoring: Any, k: int, within: Rows | None, exhaustive: bool) -> tuple[Rows, npt.NDArray[np.float64]]:
        """The k best by score descending, row id ascending. `scoring` is what `native_scoring` gave."""
        both = np.empty(2 * k, np.uint64)  # one allocation and one address: they are a good part of a small query
        to, n = ffi.from_buffer("uint64_t[]", both), ffi.new("size_t *")
        only, n_only = (ffi.NULL, 0) if within is None else (_u64(within), len(within))
        scores = ffi.cast("double *", to + k)
        _check(lib.idx_searcher_rank(self._handle, *program.arguments, only, n_only, scoring, k, exhaustive, to, scores, n))
        found = n[0]
        return both[:found], both[k : k + found].view(np.float64)

    def df(self, program: Program) -> list[int]:
        """Live documents of each scored leaf, in the program's order."""
        out, n = np.empty(program.arguments[1], np.uint64), ffi.new("size_t *")
        _check(lib.idx_searcher_df(self._handle, *program.arguments, _u64(out), n))
        return [int(df) for df in out[: n[0]]]


def native_scoring(tf: str, idf: str, k1: float, b: float, delta: float) -> Any:
    """A scoring as the C code takes it; tf and idf name its constants."""
    return ffi.new("idx_text_scoring *", [getattr(lib, f"IDX_TF_{tf}"), getattr(lib, f"IDX_IDF_{idf}"), k1, b, delta])


class Bits:
    """The packing of numbers and the impacts of postings, for tests against their twins."""

    @staticmethod
    def pack(values: Numbers) -> tuple[int, bytes]:
        """The width of the largest number, and the numbers packed to it."""
        width = int(lib.idx_bits_width(_u32(values), len(values)))
        out = np.zeros(lib.idx_bits_size(len(values), width), np.uint8)
        lib.idx_bits_pack(_u32(values), len(values), width, _u8(out))
        return width, out.tobytes()

    @staticmethod
    def unpack(packed: bytes, n: int, width: int, *, portable: bool) -> Numbers:
        """The numbers again, from exactly these bytes."""
        out = np.zeros(-(-n // 8) * 8, np.uint32)
        (lib.idx_bits_unpack_portable if portable else lib.idx_bits_unpack)(packed, len(packed), n, width, _u32(out))
        return out[:n]

    @staticmethod
    def gaps_sum(gaps: Numbers, previous: int, *, portable: bool) -> tuple[Numbers, int]:
        """Documents of gaps, and the largest."""
        out = gaps.copy()
        most = (lib.idx_gaps_sum_portable if portable else lib.idx_gaps_sum)(_u32(out), len(out), previous)
        return out, int(most)

    @staticmethod
    def impacts(frequencies: Numbers, lengths: Numbers) -> list[tuple[int, int]]:
        """The bounds (frequency, length) of these postings."""
        out = ffi.new("uint16_t[]", lib.IDX_IMPACTS)
        lib.idx_impacts(_u32(frequencies), _u32(lengths), len(frequencies), out)
        return [(int(lib.idx_impact_value(code & 255)), int(lib.idx_impact_value(code >> 8))) for code in out if code]
