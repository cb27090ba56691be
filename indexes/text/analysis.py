"""From text to terms: a tokeniser, then per distinct term stop words and stemming.

>>> Analyzer(stem="english", stop=frozenset({"the"})).terms("The running dogs")
[None, b'run', b'dog']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from ..native_filter import xxh3
from ..native_text import TERM_MOST, Rules, scan

Tokenizer: TypeAlias = Callable[[str], Iterable[tuple[str, int, int]]]
BUILT_IN = ("unicode", "whitespace", "trigram")


class InvalidText(ValueError):
    """Bytes that are not UTF-8, or a str with half a surrogate pair; the message names the place."""


@dataclass(frozen=True)
class Analyzer:
    """How text becomes terms; a plain, hashable value whose `signature` is written into every segment.

    tokenizer: "unicode" (runs of letters, digits and marks; ideographs in overlapping pairs), "whitespace", "trigram" or "ngram:2" to
    "ngram:16", or any callable from a str to (term, start, end) with offsets in characters; a callable needs a `name`, which stands for it
    in the signature. fold: case is folded (built-in tokenisers). singles: ideographs one by one instead of in pairs. stop: terms (as the
    tokeniser gives them) that are left out but keep their place in phrases. stem: a Snowball language of PyStemmer, e.g. "english".
    errors: "strict" refuses invalid text with `InvalidText`, "replace" puts U+FFFD. Terms are cut to 255 bytes.

    ValueError on an unknown tokeniser, language or policy. ModuleNotFoundError when stem is asked and PyStemmer is not installed.
    """

    tokenizer: str | Tokenizer = "unicode"
    fold: bool = True
    singles: bool = False
    stop: frozenset[str] = frozenset()
    stem: str | None = None
    errors: str = "strict"
    name: str = ""

    def __post_init__(self) -> None:
        if callable(self.tokenizer):
            if not self.name:
                raise ValueError(f"tokenizer {self.tokenizer!r} needs a name; allowed: a string that stands for it in the segments")
        elif self._ngram() is None and self.tokenizer not in BUILT_IN:
            raise ValueError(f"tokenizer is {self.tokenizer!r}; allowed: {', '.join(BUILT_IN)}, ngram:1 to ngram:16, or a callable")
        if self.errors not in ("strict", "replace"):
            raise ValueError(f"errors is {self.errors!r}; allowed: strict, replace")
        object.__setattr__(self, "stop", frozenset(self.stop))
        if self.stem is not None:
            self._stemmer()

    def _ngram(self) -> int | None:
        if self.tokenizer == "trigram":
            return 3
        if isinstance(self.tokenizer, str) and self.tokenizer.startswith("ngram:") and self.tokenizer[6:].isdecimal():
            return n if 1 <= (n := int(self.tokenizer[6:])) <= 16 else None
        return None

    def _stemmer(self) -> Any:
        """A new stemmer: it keeps state and must not be shared between threads."""
        import Stemmer

        if self.stem not in Stemmer.algorithms():
            raise ValueError(f"stem is {self.stem!r}; allowed: {', '.join(Stemmer.algorithms())}")
        return Stemmer.Stemmer(self.stem, 0)

    @cached_property
    def rules(self) -> Rules:
        """The built-in tokeniser as the native code takes it; for a callable, one that is never run."""
        ngram = self._ngram()
        kind = "ngram" if ngram else "whitespace" if self.tokenizer == "whitespace" else "unicode"
        return Rules(kind, ngram or 3, self.fold, self.singles)

    @cached_property
    def native_rules(self) -> Any:
        """The same as an object of the native code."""
        return self.rules.native()

    @cached_property
    def maps(self) -> bool:
        """Whether terms change after the tokeniser."""
        return bool(self.stop) or self.stem is not None

    @cached_property
    def signature(self) -> bytes:
        """What tells apart analyzers that give different terms."""
        tokenizer = f"python:{self.name}" if callable(self.tokenizer) else self.tokenizer
        stop = f"{xxh3(chr(0).join(sorted(self.stop)).encode()):016x}" if self.stop else "-"
        return f"1 {tokenizer} fold={int(self.fold)} singles={int(self.singles)} stem={self.stem or '-'} stop={stop}".encode()

    def encode(self, text: str | bytes) -> bytes:
        """Return the text as UTF-8. `InvalidText` (strict) names the first bad offset. TypeError on anything else."""
        if isinstance(text, str):
            try:
                return text.encode()
            except UnicodeEncodeError as bad:
                if self.errors == "replace":
                    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
                raise InvalidText(
                    f"text has half a surrogate pair at character {bad.start}; allowed: valid text, or errors='replace'"
                ) from None
        if not isinstance(text, bytes):
            raise TypeError(f"text is {type(text).__name__}; allowed: str, bytes")
        try:
            text.decode()
        except UnicodeDecodeError as bad:
            if self.errors == "replace":
                return text.decode(errors="replace").encode()
            raise InvalidText(f"text is not UTF-8 at byte {bad.start} ({bad.reason}); allowed: valid UTF-8, or errors='replace'") from None
        return text

    def map_terms(self, terms: Sequence[bytes]) -> list[bytes | None]:
        """What distinct terms of the tokeniser become: None for a stop word, the stem, or themselves. One call of the stemmer."""
        words = [term.decode(errors="replace") for term in terms]
        if self.stem is not None:
            stems: list[str] = self._stemmer().stemWords(words)
        else:
            stems = words
        return [None if word in self.stop else stem.encode() for word, stem in zip(words, stems, strict=True)]

    def raw(self, text: str) -> list[tuple[bytes, int, int]]:
        """Tokens before stop words and stemming, with offsets in characters."""
        if callable(self.tokenizer):
            return [(term.encode(), start, end) for term, start, end in self.tokenizer(text)]
        if self.tokenizer == "unicode" and text.isascii() and text.isalnum():  # a word of a query: no need to ask
            return [((text.lower() if self.fold else text)[:TERM_MOST].encode(), 0, len(text))]
        data = self.encode(text)
        found = scan(self.rules, data)
        spans = zip(found.ids.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)
        if len(data) == len(text):
            return [(found.terms[i], start, end) for i, start, end in spans]
        at, chars = 0, 0
        out = []
        for i, start, end in spans:  # starts ascend: decode only what lies between them
            chars += len(data[at:start].decode())
            at = start
            out.append((found.terms[i], chars, chars + len(data[start:end].decode())))
        return out

    def tokens(self, text: str) -> list[tuple[bytes | None, int, int]]:
        """Tokens with offsets in characters; None where a stop word stood."""
        raw = self.raw(text)
        if not self.maps:
            return list(raw)
        distinct = list(dict.fromkeys(term for term, _, _ in raw))
        become = dict(zip(distinct, self.map_terms(distinct), strict=True))
        return [(become[term], start, end) for term, start, end in raw]

    def terms(self, text: str) -> list[bytes | None]:
        """The terms of a text by position; None where a stop word stood."""
        return [term for term, _, _ in self.tokens(text)]
