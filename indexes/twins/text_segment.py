"""The bytes of a full-text segment, written the readable way: ``csrc/text_format.h`` says the same in its picture."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import xxhash

from .text import pack, rounded, rounded_up

_BLOCK, _DICTIONARY_BLOCK, _IMPACTS = 128, 16, 4
_ROWS_WIDE, _LENGTHS_WIDE = 1, 2
Document = Sequence[tuple[int, bytes]]  # (position, term), positions ascending


def varint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def code(value: int) -> int:
    """The byte of a value that has four significant bits."""
    spare = max(value.bit_length() - 4, 0)
    return value if value < 16 else 16 + (spare - 1) * 8 + (value >> spare & 7)


def impacts(postings: Sequence[tuple[int, int]]) -> list[int]:
    """Codes of at most four (frequency, length) that bound all of them, by falling frequency."""
    shortest: dict[int, int] = {}
    for frequency, length in postings:
        f = rounded_up(frequency)
        shortest[f] = min(rounded(length), shortest.get(f, length))
    found: list[tuple[int, int]] = []
    for f in sorted(shortest, reverse=True):
        if not found or shortest[f] < found[-1][1]:
            found.append((f, shortest[f]))
    if len(found) > _IMPACTS:
        found[_IMPACTS - 1 :] = [(found[_IMPACTS - 1][0], found[-1][1])]
    return [code(f) | code(length) << 8 for f, length in found] + [0] * (_IMPACTS - len(found))


def _position_block(positions: Sequence[Sequence[int]]) -> bytes:
    gaps = [at - before - 1 for some in positions for before, at in zip((-1, *some), some, strict=False)]
    groups = [pack(gaps[i : i + _BLOCK]) for i in range(0, len(gaps), _BLOCK)]
    return bytes(width for width, _ in groups) + b"".join(packed for _, packed in groups)


def _posting_list(postings: Sequence[tuple[int, Sequence[int]]], lengths: Sequence[int]) -> tuple[bytes, bytes]:
    """The postings and the positions of one term; postings are (document, positions)."""
    if len(postings) == 1:
        return varint(postings[0][0]), _position_block([postings[0][1]])
    skips, blocks, positions, before = b"", b"", b"", -1
    for i in range(0, len(postings), _BLOCK):
        block = postings[i : i + _BLOCK]
        docs = [doc for doc, _ in block]
        gap_bits, gaps = pack([doc - last - 1 for last, doc in zip((before, *docs), docs, strict=False)])
        bits, frequencies = pack([len(at) - 1 for _, at in block])
        blocks += bytes((gap_bits, bits)) + gaps + frequencies
        positions += _position_block([at for _, at in block])
        before = docs[-1]
        skips += struct.pack("<III4H", before, len(blocks), len(positions), *impacts([(len(at), lengths[doc]) for doc, at in block]))
    return (skips if len(postings) > _BLOCK else b"") + blocks, positions


def write(documents: Mapping[int, Document], signature: bytes) -> bytes:
    """Return the segment of documents by row id. O(everything), slowly."""
    rows = sorted(documents)
    lengths = [len(documents[row]) for row in rows]
    index: dict[bytes, dict[int, list[int]]] = {}
    for doc, row in enumerate(rows):
        for position, term in documents[row]:
            index.setdefault(term, {}).setdefault(doc, []).append(position)
    fence, dictionary, postings, positions, before = b"", b"", b"", b"", b""
    for ordinal, term in enumerate(sorted(index)):
        shared = 0
        if ordinal % _DICTIONARY_BLOCK == 0:
            fence += struct.pack("<IQQ", len(dictionary), len(postings), len(positions))
        else:
            shared = next((i for i, (a, b) in enumerate(zip(before, term, strict=False)) if a != b), min(len(before), len(term)))
        packed, places = _posting_list(sorted(index[term].items()), lengths)
        more = sum(map(len, index[term].values())) - len(index[term])
        dictionary += varint(shared) + varint(len(term) - shared) + term[shared:]
        dictionary += b"".join(map(varint, (len(index[term]), more, len(packed), len(places))))
        postings, positions, before = postings + packed, positions + places, term
    first = rows[0] if rows else 0
    wide_rows = bool(rows) and rows[-1] - first >= 1 << 32
    wide_lengths = max(lengths, default=0) >= 1 << 16
    columns = struct.pack(f"<{len(rows)}{'Q' if wide_rows else 'I'}", *(row - first for row in rows))
    sizes = struct.pack(f"<{len(rows)}{'I' if wide_lengths else 'H'}", *lengths)
    sections = [signature, columns, sizes, fence, dictionary, postings, positions]
    ends = [120]
    for section in sections:
        ends.append(ends[-1] + len(section))
    flags = _ROWS_WIDE * wide_rows | _LENGTHS_WIDE * wide_lengths
    header = struct.pack("<8sIIQIIQQ8Q", b"LSMTEXT", 1, flags, ends[-1] + 8, len(rows), len(index), sum(lengths), first, *ends)
    body = header + struct.pack("<Q", xxhash.xxh3_64_intdigest(header)) + b"".join(sections)
    return body + struct.pack("<Q", xxhash.xxh3_64_intdigest(body))
