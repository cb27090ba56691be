"""Parameters of components that are chosen by name: `name=value name=value` in an option, declared with their range by the component.

A component has a class attribute `params`, a tuple of `Param`; without it, it takes none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from .errors import InvalidOptions, one_of


@dataclass(frozen=True)
class Param:
    """A parameter: a whole number, a number (`default` a float), or a list of them (`default` a tuple, written 9,3,1)."""

    name: str
    default: int | float | tuple[float, ...]
    low: float
    high: float
    about: str

    @property
    def is_whole(self) -> bool:
        """Whether its values are integers."""
        return all(isinstance(x, int) for x in (self.default if isinstance(self.default, tuple) else (self.default,)))

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        what = "integers" if self.is_whole else "numbers"
        low, high = (f"{x:g}" if not isinstance(x, int) else f"{x}" for x in (self.low, self.high))
        reach = f"from {low} up" if math.isinf(self.high) else f"from {low} to {high}"
        if isinstance(self.default, tuple):
            return f"{what} {reach}, with commas between"
        return f"{'an integer' if self.is_whole else 'a number'} {reach}"

    def parse(self, key: str, text: str) -> int | float | tuple[float, ...]:
        """Return the value that text stands for. InvalidOptions names key, text and what is allowed."""
        try:
            values = tuple(int(x) if self.is_whole else float(x) for x in text.split(","))
        except ValueError:
            raise InvalidOptions(f"{key} ({self.name})", text, self.allowed) from None
        if not all(self.low <= x <= self.high for x in values) or (len(values) > 1 and not isinstance(self.default, tuple)):
            raise InvalidOptions(f"{key} ({self.name})", text, self.allowed)
        return values if isinstance(self.default, tuple) else values[0]


def params_of(component: Any) -> tuple[Param, ...]:
    """Return the parameters that a component declares."""
    declared: tuple[Param, ...] = getattr(component, "params", ())
    return declared


def parse(key: str, text: str, declared: tuple[Param, ...]) -> Mapping[str, Any]:
    """Return the values of all declared parameters, defaults where text names none. InvalidOptions for others and for bad values."""
    if not isinstance(text, str):
        raise InvalidOptions(key, text, "text: name=value name=value")
    return _parsed(key, text, declared)


@cache
def _parsed(key: str, text: str, declared: tuple[Param, ...]) -> Mapping[str, Any]:
    values: dict[str, Any] = {p.name: p.default for p in declared}
    by_name = {p.name: p for p in declared}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not by_name:
            raise InvalidOptions(key, text, "nothing: the one that is chosen takes no parameters")
        one_of(f"{key} (the name of a parameter)", name, by_name)
        if not equals:
            raise InvalidOptions(f"{key} ({name})", word, f"{name}=VALUE, VALUE {by_name[name].allowed}")
        values[name] = by_name[name].parse(key, value)
    return values
