"""Assertions: what was measured, what is allowed, whether it holds; and the verdict that follows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True)
class Check:
    """One assertion of a figure. `ok` None: said for information, nothing is asserted."""

    what: str
    measured: str
    allowed: str
    ok: bool | None


@dataclass(frozen=True)
class Verdict:
    """What came of a figure: PASS, DIFFERS, FAILED (a cell could not be measured), MISSING (a part is not there)."""

    id: str
    word: str
    checks: tuple[Check, ...] = ()
    problem: str = ""
    seconds: float = 0.0
    files: dict[str, str] = field(default_factory=dict)


def verdict_of(figure: str, checks: Sequence[Check], seconds: float = 0.0) -> Verdict:
    """PASS when every assertion holds and there is at least one."""
    asserted = [c for c in checks if c.ok is not None]
    word = "PASS" if asserted and all(c.ok for c in asserted) else "DIFFERS"
    return Verdict(figure, word, tuple(checks), seconds=seconds)


def shown(value: float) -> str:
    """A number in as many figures as help."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def within(what: str, measured: float, expected: float, share: float) -> Check:
    """Measured = expected, give or take a share of it."""
    off = abs(measured - expected) / abs(expected) if expected else math.inf if measured else 0.0
    signed = f" ({(measured - expected) / expected:+.1%})" if expected else ""
    return Check(what, f"{shown(measured)}{signed}", f"{shown(expected)} ± {share:.3%}".replace(".000%", "%"), off <= share)


def worst_within(what: str, pairs: Iterable[tuple[str, float, float]], share: float) -> Check:
    """Every (name, measured, expected) within a share; the farthest one is told."""
    all_pairs = list(pairs)
    if not all_pairs:
        return Check(what, "nothing", "at least one measurement", False)
    name, got, want = max(all_pairs, key=lambda p: abs(p[1] - p[2]) / abs(p[2]) if p[2] else math.inf if p[1] else 0.0)
    one = within(what, got, want, share)
    return Check(what, f"{len(all_pairs)} points, farthest {name}: {one.measured}", f"{one.allowed}", one.ok)


def at_most(what: str, measured: float, bound: float) -> Check:
    """Measured <= bound."""
    return Check(what, shown(measured), f"≤ {shown(bound)}", measured <= bound)


def at_least(what: str, measured: float, bound: float) -> Check:
    """Measured >= bound."""
    return Check(what, shown(measured), f"≥ {shown(bound)}", measured >= bound)


def below(what: str, measured: float, bound: float) -> Check:
    """Measured < bound."""
    return Check(what, shown(measured), f"< {shown(bound)}", measured < bound)


def above(what: str, measured: float, bound: float) -> Check:
    """Measured > bound."""
    return Check(what, shown(measured), f"> {shown(bound)}", measured > bound)


def between(what: str, measured: float, low: float, high: float) -> Check:
    """low <= measured <= high."""
    return Check(what, shown(measured), f"{shown(low)} to {shown(high)}", low <= measured <= high)


def equal(what: str, measured: float | str, expected: float | str) -> Check:
    """Exactly the same."""
    both = [v if isinstance(v, str) else shown(v) for v in (measured, expected)]
    return Check(what, both[0], f"= {both[1]}", measured == expected)


def rising(what: str, values: Sequence[float], *, falling: bool = False, slack: float = 0.0) -> Check:
    """Each value at least the one before it (at most, when falling), less a slack share of it."""
    pairs = list(pairwise(values))
    ok = bool(pairs) and all((b <= a * (1 + slack)) if falling else (b >= a * (1 - slack)) for a, b in pairs)
    return Check(what, ", ".join(map(shown, values)), "falling" if falling else "rising", ok)


def told(what: str, measured: str, published: str) -> Check:
    """For information: what was published beside what was measured, nothing asserted."""
    return Check(what, measured, published, None)
