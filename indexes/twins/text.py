"""The full-text index, readable: tokeniser, packing, impacts, scores, edit distance, and an index of dicts.

What the native code in ``csrc/text*.c`` and ``csrc/postings*.c`` must agree with.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

_IDEOGRAPHS = (
    (0x3041, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0x20000, 0x3134F),
)
_VOICING = (0x3099, 0x309A)  # combining marks inside the kana block


def is_word(char: str) -> bool:
    """Letters, numbers and marks make words."""
    return unicodedata.category(char)[0] in "LNM"


def is_ideograph(char: str) -> bool:
    """Word characters of Han, kana and Hangul."""
    return is_word(char) and ord(char) not in _VOICING and any(low <= ord(char) <= high for low, high in _IDEOGRAPHS)


def fold(text: str) -> str:
    """Simple case folding: one character stays one."""
    return "".join(folded if len(folded := char.casefold()) == 1 else char for char in text)


def cut(term: str, most: int = 255) -> bytes:
    """The longest prefix of whole characters of at most `most` bytes."""
    return term.encode()[:most].decode(errors="ignore").encode()


def words(text: str, *, folded: bool = True, singles: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Terms with character offsets: runs of word characters; runs of ideographs as overlapping pairs or single characters."""
    at = 0
    while at < len(text):
        if not is_word(text[at]):
            at += 1
            continue
        kind, end = is_ideograph(text[at]), at + 1
        while end < len(text) and is_word(text[end]) and is_ideograph(text[end]) == kind:
            end += 1
        width = (1 if singles else min(2, end - at)) if kind else end - at
        for start in range(at, end - width + 1):
            term = text[start : start + width]
            yield cut(fold(term) if folded and not kind else term), start, start + width
        at = end


def ngrams(text: str, n: int, *, folded: bool = True) -> Iterator[tuple[bytes, int, int]]:
    """Every n characters in a row."""
    for start in range(len(text) - n + 1):
        term = text[start : start + n]
        yield cut(fold(term) if folded else term), start, start + n


def pack(values: Sequence[int]) -> tuple[int, bytes]:
    """The width of the largest, and one little-endian string of bits."""
    width = max(values, default=0).bit_length()
    return width, sum(v << i * width for i, v in enumerate(values)).to_bytes((len(values) * width + 7) // 8, "little")


def unpack(packed: bytes, n: int, width: int) -> list[int]:
    """The values again."""
    bits = int.from_bytes(packed, "little")
    return [bits >> i * width & ((1 << width) - 1) for i in range(n)]


def rounded(value: int) -> int:
    """Down to four significant bits: what an impact keeps of a length."""
    spare = max(value.bit_length() - 4, 0)
    return value >> spare << spare


def rounded_up(value: int) -> int:
    """Up to four significant bits: what an impact keeps of a frequency."""
    spare = max(value.bit_length() - 4, 0)
    return min(-(-value >> spare) << spare if spare else value, (1 << 32) - 1) if rounded(value) != value else value


def idf(kind: str, n: int, df: int) -> float:
    """Inverse document frequency; kinds as in `indexes.text.scoring`."""
    odds = (n - df + 0.5) / (df + 0.5)
    match kind:
        case "ROBERTSON":
            return math.log(max(1.0, odds))
        case "LUCENE":
            return math.log(1 + odds)
        case "ATIRE":
            return math.log(n / df)
        case "BM25L":
            return math.log((n + 1) / (df + 0.5))
        case "BM25_PLUS":
            return math.log((n + 1) / df)
        case "FTS5":
            return math.log(odds) if odds > 1 else 1e-6
        case _:
            return 1.0


def tfc(kind: str, f: int, norm: float, k1: float, delta: float) -> float:
    """The term-frequency part; norm = 1 - b + b * length / average."""
    c = f / norm
    match kind:
        case "BM25":
            return f / (f + k1 * norm)
        case "BM25_K":
            return (k1 + 1) * f / (f + k1 * norm)
        case "BM25_PLUS":
            return (k1 + 1) * f / (f + k1 * norm) + delta
        case "BM25L":
            return (k1 + 1) * (c + delta) / (k1 + c + delta)
        case "LOG":
            return 1 + math.log(f)
        case _:
            return 1 + math.log(1 + math.log(c + delta))


def edit_distance(a: str, b: str, most: int) -> int:
    """Levenshtein distance in characters, or most + 1 when it is greater. Wagner and Fischer, JACM 1974. O(len(a) len(b))."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


class TextTwin:
    """Documents as lists of terms by position (None: a hole); every question is answered by looking at all of them."""

    def __init__(self) -> None:
        self.documents: dict[int, Sequence[bytes | None]] = {}

    def put(self, row: int, terms: Iterable[bytes | None]) -> None:
        """Insert or replace."""
        self.documents[row] = tuple(terms)

    def frequencies(self, row: int) -> Mapping[bytes, int]:
        """How often each term is in the document."""
        return Counter(term for term in self.documents[row] if term is not None)

    def length(self, row: int) -> int:
        """Terms in the document."""
        return sum(term is not None for term in self.documents[row])

    def phrase(self, row: int, unit: Sequence[tuple[bytes, int]]) -> list[int]:
        """Where the terms stand at these distances from a start."""
        document = self.documents[row]
        return [
            start for start in range(len(document)) if all(start + at < len(document) and document[start + at] == term for term, at in unit)
        ]

    def near(self, row: int, units: Sequence[Sequence[tuple[bytes, int]]], distance: int) -> bool:
        """Whether every phrase has an occurrence, such that none ends more than `distance` tokens before the latest start."""
        starts = [self.phrase(row, unit) for unit in units]
        lengths = [max(at for _, at in unit) + 1 for unit in units]
        return any(
            all(any(start <= latest <= start + length + distance for start in mine) for mine, length in zip(starts, lengths, strict=True))
            for mine in starts
            for latest in mine
        )

    def scores(self, terms: Sequence[bytes], tf: str, idf_kind: str, k1: float, b: float, delta: float) -> dict[int, float]:
        """Scores of the documents with any of the terms; a term given twice counts twice."""
        n = len(self.documents)
        counts = {row: self.frequencies(row) for row in self.documents}
        average = sum(map(self.length, self.documents)) / n if n else 0.0
        out: dict[int, float] = {}
        for term in terms:
            df = sum(term in frequencies for frequencies in counts.values())
            for row, frequencies in counts.items():
                if term in frequencies:
                    norm = 1 - b + b * self.length(row) / average
                    out[row] = out.get(row, 0.0) + idf(idf_kind, n, df) * tfc(tf, frequencies[term], norm, k1, delta)
        return out
