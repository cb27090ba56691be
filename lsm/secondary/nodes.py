"""What predicates are made of: immutable, hashable nodes over terms (columns and calls of functions) and plain constants.

    Predicate = Constant | Not(p) | And(parts) | Or(parts) | leaf on a term
    leaf      = Range | Equal | In | IsNull | StartsWith | Contains | Within | Intersects | Near | Text

Use `predicate` to write them. Planners match on these classes; two nodes are equal when they ask the same (1 and 1.0 are the same constant,
1 and True are not). A term is the name of a column, or a `Call`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, TypeAlias
from uuid import UUID

from .record_twin import plain

NAN = math.nan
_NAN_IDENT = ("nan",)
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    ((int, float), "number"),
    (str, "str"),
    (bytes, "bytes"),
    (datetime, "datetime"),
    (date, "date"),
    (UUID, "uuid"),
    ((list, tuple), "list"),
)


def kind_of(value: Any) -> str:
    """Return the kind of a plain value: null, bool, number, str, bytes, datetime, date, uuid, list. Only one kind has an order."""
    return next((kind for types, kind in _KINDS if isinstance(value, types)), "null")


def ident(value: Any) -> Hashable:
    """Return what is equal for equal values only: True is not 1, NaN is NaN, a list is a tuple."""
    kind = type(value)
    if kind is bool:
        return ("bool", value)
    if kind is float and math.isnan(value):
        return _NAN_IDENT
    if kind is list or kind is tuple:
        return ("list", *map(ident, value))
    return value  # type: ignore[no-any-return]


def is_nan(value: Any) -> bool:
    """Tell whether a value is the float NaN."""
    return isinstance(value, float) and math.isnan(value)


def rank(value: Any) -> tuple[int, Any]:
    """Return what compares as values of one kind do: NaN comes after +inf."""
    return (1, 0) if is_nan(value) else (0, value)


def constant(value: Any, where: str) -> Any:
    """Return a constant as it is kept: plain, lists as tuples. TypeError, ValueError name what it was for."""
    try:
        value = plain(value)
    except (TypeError, ValueError) as e:
        raise type(e)(f"{where}: {value!r:.60}: {e}") from None
    if isinstance(value, list):
        return tuple(value)
    return NAN if is_nan(value) else value


@dataclass(frozen=True, slots=True)
class Call:
    """A term: what a function gives for the values of columns; NULL, without calling it, when one of them is."""

    name: str
    columns: tuple[str, ...]
    function: Callable[..., Any] | None = None  # None: looked up by name when the predicate is compiled

    def __repr__(self) -> str:
        return f"call({self.name if self.function else repr(self.name)}, {', '.join(map(repr, self.columns))})"


Term: TypeAlias = str | Call


def term_repr(term: Term) -> str:
    """Return a term as Python code."""
    return f"col({term!r})" if isinstance(term, str) else repr(term)


class Predicate:
    """A condition on a row: true, false, or unknown (None) where NULL or values that do not compare are concerned."""

    __slots__ = ()
    infix: ClassVar[bool] = False  # whether its code needs parentheses beside & | ~

    def __and__(self, other: Predicate) -> Predicate:
        return And.of((self, other)) if isinstance(other, Predicate) else NotImplemented

    def __or__(self, other: Predicate) -> Predicate:
        return Or.of((self, other)) if isinstance(other, Predicate) else NotImplemented

    def __invert__(self) -> Predicate:
        return self.part if isinstance(self, Not) else Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} is a condition on rows, not a truth value: combine with & | ~ (and parentheses), not with and, or, not, a < b < c"
        )


def _inner(p: Predicate) -> str:
    return f"({p!r})" if p.infix or isinstance(p, Or | And) else repr(p)


@dataclass(frozen=True, slots=True, repr=False)
class Constant(Predicate):
    """True, False, or unknown (None) for every row."""

    value: bool | None

    def __repr__(self) -> str:
        return {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[self.value]


TRUE, FALSE, UNKNOWN = Constant(True), Constant(False), Constant(None)


@dataclass(frozen=True, slots=True, repr=False)
class Not(Predicate):
    """Not p; unknown where p is."""

    part: Predicate

    @property
    def infix(self) -> bool:  # type: ignore[override]
        """Whether it is written with an operator."""
        return isinstance(self.part, Equal)

    def __repr__(self) -> str:
        if isinstance(self.part, Equal):
            return f"{term_repr(self.part.term)} != {self.part.value!r}"
        if isinstance(self.part, IsNull):
            return f"{term_repr(self.part.term)}.not_null()"
        return f"~{_inner(self.part)}"


@dataclass(frozen=True, slots=True, repr=False)
class _Many(Predicate):
    parts: tuple[Predicate, ...]
    sign: ClassVar[str]

    @classmethod
    def of(cls, parts: Iterable[Predicate]) -> Predicate:
        """Return them joined, those of the same class flattened. Of none: what changes nothing; of one: that one."""
        flat: list[Predicate] = []
        for part in parts:
            flat.extend(part.parts if isinstance(part, cls) else (part,))
        if len(flat) > 1:
            return cls(tuple(flat))
        return flat[0] if flat else Constant(cls is And)

    def __repr__(self) -> str:
        return self.sign.join(map(_inner, self.parts))


class And(_Many):
    """All of them: false when one is, else unknown when one is."""

    __slots__ = ()
    sign = " & "


class Or(_Many):
    """One of them: true when one is, else unknown when one is."""

    __slots__ = ()
    sign = " | "


@dataclass(frozen=True, slots=True, repr=False)
class Leaf(Predicate):
    """A condition on one term; unknown where it is NULL, but for IsNull."""

    term: Term

    def __repr__(self) -> str:
        return f"{term_repr(self.term)}{self._code()}"

    def _code(self) -> str:
        raise NotImplementedError

    def _where(self) -> str:
        return f"{type(self).__name__} of {term_repr(self.term)}"


def _set(node: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(node, name, value)


@dataclass(frozen=True, slots=True, repr=False)
class Range(Leaf):
    """low <= value <= high; a bound is None where there is none, and left out where open. Unknown for values of another kind."""

    low: Any = field(default=None, compare=False)
    high: Any = field(default=None, compare=False)
    low_open: bool = False
    high_open: bool = False
    idents: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        low, high = constant(self.low, self._where()), constant(self.high, self._where())
        kinds = {kind_of(v) for v in (low, high) if v is not None}
        if not kinds:
            raise TypeError(f"{self._where()} without a bound; a comparison with None is never true: use .is_null() or .not_null()")
        if len(kinds) > 1:
            raise TypeError(f"{self._where()} from {low!r:.60} to {high!r:.60}: {' and '.join(sorted(kinds))} have no common order")
        if "list" in kinds:
            raise TypeError(f"{self._where()}: {low if low is not None else high!r:.60}: lists have no order; allowed: ==, isin, contains")
        _set(
            self, low=low, high=high, low_open=bool(self.low_open and low is not None), high_open=bool(self.high_open and high is not None)
        )
        _set(self, idents=(ident(low), ident(high)))

    @property
    def kind(self) -> str:
        """The kind of the bounds, see kind_of."""
        return kind_of(self.high if self.low is None else self.low)

    @property
    def infix(self) -> bool:  # type: ignore[override]
        """Whether it is written with an operator."""
        return self.low is None or self.high is None

    def _code(self) -> str:
        if self.high is None:
            return f" {'>' if self.low_open else '>='} {self.low!r}"
        if self.low is None:
            return f" {'<' if self.high_open else '<='} {self.high!r}"
        which = {(False, False): "", (False, True): "left", (True, False): "right", (True, True): "neither"}[self.low_open, self.high_open]
        return f".between({self.low!r}, {self.high!r}{f', {which!r}' if which else ''})"


@dataclass(frozen=True, slots=True, repr=False)
class Equal(Leaf):
    """The value is this one. False, not unknown, for values of another kind."""

    value: Any = field(compare=False)
    ident: Any = field(default=None, init=False)
    infix = True

    def __post_init__(self) -> None:
        value = constant(self.value, self._where())
        if value is None:
            raise TypeError(f"{self._where()}: a comparison with None is never true: use .is_null() or .not_null()")
        _set(self, value=value, ident=ident(value))

    def _code(self) -> str:
        return f" == {self.value!r}"


@dataclass(frozen=True, slots=True, repr=False)
class In(Leaf):
    """The value, or an element of a value that is a list, is one of these. As in SQL: unknown, not false, when `null` is among them."""

    values: tuple[Any, ...] = field(compare=False)
    null: bool = False
    idents: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple):
            raise TypeError(f"{self._where()}: values are a tuple, not {type(self.values).__name__}: {self.values!r:.60}")
        given = [constant(v, self._where()) for v in self.values]
        kept = {ident(v): v for v in given if v is not None}
        _set(self, values=tuple(kept.values()), null=bool(self.null or None in map(ident, given)), idents=frozenset(kept))

    def _code(self) -> str:
        return f".isin({[*self.values, *([None] if self.null else [])]!r})"


@dataclass(frozen=True, slots=True, repr=False)
class IsNull(Leaf):
    """The value is NULL, or the row lacks it. Never unknown."""

    def _code(self) -> str:
        return ".is_null()"


@dataclass(frozen=True, slots=True, repr=False)
class StartsWith(Leaf):
    """A str or bytes that begins so. Unknown for other kinds."""

    prefix: str | bytes

    def __post_init__(self) -> None:
        prefix = constant(self.prefix, self._where())
        if not isinstance(prefix, str | bytes):
            raise TypeError(f"{self._where()}: a prefix is str or bytes, not {type(prefix).__name__}: {prefix!r:.60}")
        _set(self, prefix=prefix)

    def _code(self) -> str:
        return f".startswith({self.prefix!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Contains(Leaf):
    """A list that has this element. False for other kinds."""

    value: Any = field(compare=False)
    ident: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        value = constant(self.value, self._where())
        if value is None or isinstance(value, tuple):
            raise TypeError(f"{self._where()}: an element is a value, not {value!r:.60}")
        _set(self, value=value, ident=ident(value))

    def _code(self) -> str:
        return f".contains({self.value!r})"


def _numbers(values: Any, where: str, sizes: tuple[int, ...]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in sizes or any(map(math.isnan, numbers)):
        raise ValueError(f"{where}: {values!r:.80}; allowed: {' or '.join(map(str, sizes))} numbers, none of them NaN")
    return numbers


def _box(values: Any, where: str) -> tuple[float, ...]:
    box = _numbers(values, where, (4, 6))
    half = len(box) // 2
    if any(low > high for low, high in zip(box[:half], box[half:], strict=True)):
        raise ValueError(
            f"{where}: {values!r:.80} is inverted; allowed: (least x, least y, greatest x, greatest y), in space likewise of 6"
        )
    return box


@dataclass(frozen=True, slots=True, repr=False)
class _Spatial(Leaf):
    box: tuple[float, ...]
    verb: ClassVar[str]

    def __post_init__(self) -> None:
        _set(self, box=_box(self.box, self._where()))

    def __repr__(self) -> str:
        return f"{self.verb}({self.term!r}, {self.box!r})"


class Within(_Spatial):
    """A point (x, y[, z]) or a box (least x, least y[, least z], greatest x, ...) that lies in this box, its border counted.

    Unknown for what is neither, and for points and boxes of other dimensions.
    """

    __slots__ = ()
    verb = "within"


class Intersects(_Spatial):
    """A point or a box that has a point in common with this box. Unknown as for Within."""

    __slots__ = ()
    verb = "intersects"


@dataclass(frozen=True, slots=True, repr=False)
class Near(Leaf):
    """A point, or a box's nearest point, at a Euclidean distance of radius or less. Unknown as for Within."""

    point: tuple[float, ...]
    radius: float

    def __post_init__(self) -> None:
        point, (radius,) = _numbers(self.point, self._where(), (2, 3)), _numbers((self.radius,), self._where(), (1,))
        if radius < 0 or any(map(math.isinf, point)):
            raise ValueError(f"{self._where()}: {self.point!r:.80} within {self.radius!r}; allowed: a finite point, a radius of 0 or more")
        _set(self, point=point, radius=radius)

    def __repr__(self) -> str:
        return f"near({self.term!r}, {self.point!r}, {self.radius!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Text(Leaf):
    """A text that a full-text query matches; what that means is the index's affair."""

    query: str

    def __post_init__(self) -> None:
        if not isinstance(self.query, str):
            raise TypeError(f"{self._where()}: a query is a str, not {type(self.query).__name__}: {self.query!r:.60}")

    def __repr__(self) -> str:
        return f"text({self.term!r}, {self.query!r})"


def leaves(p: Predicate) -> Iterator[Leaf]:
    """Yield the leaves from left to right."""
    if isinstance(p, Leaf):
        yield p
    for part in (p.part,) if isinstance(p, Not) else p.parts if isinstance(p, And | Or) else ():
        yield from leaves(part)


def columns(p: Predicate) -> tuple[str, ...]:
    """Return the names of the columns that a predicate reads, each once, in the order in which they come."""
    terms = (leaf.term for leaf in leaves(p))
    return tuple(dict.fromkeys(name for t in terms for name in ((t,) if isinstance(t, str) else t.columns)))
