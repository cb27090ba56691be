"""The query string: a scanner by one regular expression and a parser by recursive descent. Grammar in `indexes.text.query`."""

from __future__ import annotations

import re
from typing import NamedTuple

from .query import MOST_LEAVES, All, And, Fuzzy, Glob, Near, Not, Or, Phrase, Prefix, Query, QueryError, Word, weighted

MOST_NESTING = 100
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<open>\() | (?P<close>\)) | (?P<phrase>"(?:[^"\\]|\\.)*") | (?P<quote>")
    | (?P<boost>\^(?P<weight>\d+(?:\.\d*)?|\.\d+)?)
    | (?P<sign>[+-])(?=[^\s)])
    | (?P<near>NEAR/(?P<distance>\d+))(?=[\s(")]|$) | (?P<operator>AND|OR|NOT|NEAR)(?=[\s(")]|$)
    | (?P<word>(?:[^\s()"^\\]|\\.)+) | (?P<end>$) | (?P<bad>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_FUZZY = re.compile(r"(?P<text>(?:[^\\~]|\\.)+)~(?P<distance>\d*)$", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    number: float


def _scan(text: str) -> list[_Token]:
    tokens, at = [], 0
    while True:
        found = _TOKEN.match(text, at)
        assert found and found.lastgroup
        kind = next(
            name
            for name in ("open", "close", "phrase", "quote", "boost", "sign", "near", "operator", "word", "end", "bad")
            if found[name] is not None
        )
        start = found.start(kind)
        number = float(found["weight"] or 0) if kind == "boost" else float(found["distance"]) if kind == "near" else 0.0
        if kind == "quote":
            raise QueryError(f"the quote at character {start} of {text[:80]!r} is not closed")
        if kind == "bad":
            raise QueryError(f"{found['bad']!r} at character {start} of {text[:80]!r} is not understood")
        if kind == "boost" and not number:
            raise QueryError(f"the ^ at character {start} of {text[:80]!r} needs a number above 0")
        tokens.append(_Token(kind, found[kind], start, number))
        if len(tokens) > 4 * MOST_LEAVES:
            raise QueryError(f"the query has too many terms; allowed: at most {MOST_LEAVES}")
        if kind == "end":
            return tokens
        at = found.end()


def _plain(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)


def _word(text: str) -> Query:
    if fuzzy := _FUZZY.match(text):
        return Fuzzy(_plain(fuzzy["text"]), int(fuzzy["distance"] or 1))
    bare = re.sub(r"\\.", "..", text, flags=re.DOTALL)  # what is escaped is no wildcard; lengths stay
    if bare.endswith("*") and not re.search(r"[*?]", bare[:-1]):
        return Prefix(_plain(text[:-1])) if len(text) > 1 else All()
    if re.search(r"[*?]", bare) and re.search(r"[^*?]", bare):
        return Glob(_plain(text))
    return Word(_plain(text))


class _Parser:
    def __init__(self, text: str, default: str) -> None:
        self.text, self.default = text, default
        self.tokens, self.i, self.nesting = _scan(text), 0, 0

    def error(self, what: str) -> QueryError:
        token = self.tokens[self.i]
        shown = f"{token.text!r} at character {token.at}" if token.kind != "end" else "the end"
        return QueryError(f"{what} before {shown} of the query {self.text[:80]!r}")

    def take(self, kind: str, text: str | None = None) -> _Token | None:
        token = self.tokens[self.i]
        if token.kind != kind or (text is not None and token.text != text):
            return None
        self.i += 1
        return token

    def alternatives(self) -> Query:
        parts = [self.clauses()]
        while self.take("operator", "OR"):
            parts.append(self.clauses())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def clauses(self) -> Query:
        """A list of clauses up to OR, a closing parenthesis or the end."""
        must: list[Query] = []
        should: list[Query] = []
        no: list[Query] = []
        while self.tokens[self.i].kind not in ("close", "end") and self.tokens[self.i].text != "OR":
            sign = self.take("sign")
            if sign is None and self.take("operator", "NOT"):
                no.append(self.primary())
                continue
            part = self.conjunction()
            (no if sign and sign.text == "-" else must if sign or self.default == "and" else should).append(part)
        if not (must or should or no):
            raise self.error("a term is missing")
        found: Query
        if must:
            found = And((*must, Or((*should, All())))) if should else must[0] if len(must) == 1 else And(tuple(must))
        elif should:
            found = should[0] if len(should) == 1 else Or(tuple(should))
        else:
            found = All()
        return Not(found, no[0] if len(no) == 1 else Or(tuple(no))) if no else found

    def conjunction(self) -> Query:
        """Primaries joined by AND, AND NOT."""
        keep: list[Query] = [self.primary()]
        drop: list[Query] = []
        while self.take("operator", "AND"):
            (drop if self.take("operator", "NOT") else keep).append(self.primary())
        found: Query = keep[0] if len(keep) == 1 else And(tuple(keep))
        return Not(found, drop[0] if len(drop) == 1 else Or(tuple(drop))) if drop else found

    def primary(self) -> Query:
        found = self.operand()
        texts: list[str] = []
        distance = 0
        while near := self.take("near") or self.take("operator", "NEAR"):
            if not texts:
                texts.append(self.near_text(found))
            distance = max(distance, int(near.number) if near.kind == "near" else 10)
            texts.append(self.near_text(self.operand()))
        if texts:
            if distance >= 1 << 31:
                raise QueryError(f"NEAR distance is {distance}; allowed: 0 to {(1 << 31) - 1}")
            found = Near(tuple(texts), distance)
        boost = self.take("boost")
        return weighted(found, boost.number) if boost else found

    def near_text(self, operand: Query) -> str:
        if isinstance(operand, Word | Phrase):
            return operand.text
        raise self.error("NEAR takes words and phrases, not what stands")

    def operand(self) -> Query:
        if word := self.take("word"):
            return _word(word.text)
        if phrase := self.take("phrase"):
            return Phrase(_plain(phrase.text[1:-1]))
        if self.take("open"):
            self.nesting += 1
            if self.nesting > MOST_NESTING:
                raise QueryError(f"parentheses are nested deeper than {MOST_NESTING}")
            found = self.alternatives()
            if not self.take("close"):
                raise self.error("a closing parenthesis is missing")
            self.nesting -= 1
            return found
        raise self.error("a term is missing")


def parse(text: str, *, default: str = "or") -> Query:
    """Return the query that a string means. `default` joins clauses without an operator: "or", "and".

    QueryError (a ValueError) names what is wrong and where. O(length).
    """
    if default not in ("or", "and"):
        raise ValueError(f"default is {default!r}; allowed: or, and")
    if not isinstance(text, str):
        raise TypeError(f"a query is a str or a query tree, not {type(text).__name__}")
    parser = _Parser(text, default)
    if parser.tokens[0].kind == "end":
        raise QueryError("the query is empty; allowed: at least one term")
    found = parser.alternatives()
    if parser.tokens[parser.i].kind != "end":
        raise parser.error("an operator is missing")
    return found
