"""A cost model: a plain function with a number, a unit, a source, and a mark of how well the transcription was checked."""

from __future__ import annotations

import enum
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any, ParamSpec, TypeVar

from .symbols import SYMBOLS, check

P = ParamSpec("P")
R = TypeVar("R")


class Mark(enum.Enum):
    """How a formula was checked. The value is what it means."""

    PDF = "the full text of the paper was read"
    ABS = "only the abstract was read"
    CODE = "read in the source code or the project's own documents"
    SIM = "also met by a simulation of a tree, or by its own memory constraint"
    CROSS = "checked with an independent tool"


@dataclass(frozen=True)
class Cost:
    """One model. `function` checks its arguments and raises ValueError with the value and what is allowed."""

    number: str
    title: str
    function: Callable[..., Any]
    unit: str
    source: str
    evidence: tuple[Mark, ...]
    example: str

    @property
    def marks(self) -> str:
        """The marks in a few letters."""
        return ", ".join(mark.name.lower() for mark in self.evidence)

    def parameters(self) -> list[inspect.Parameter]:
        """The parameters of the function, in order; each name is in SYMBOLS."""
        return list(inspect.signature(self.function, eval_str=True).parameters.values())


COSTS: dict[str, Cost] = {}


def cost(
    number: str, title: str, unit: str, source: str, evidence: tuple[Mark, ...], example: str
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function as model `number`. Its parameters are checked by their names (SYMBOLS) at each call. `example`: options of the
    command `lsmlab model NUMBER`."""

    def registered(function: Callable[P, R]) -> Callable[P, R]:
        made = checked(function)
        COSTS[number] = Cost(number, title, made, unit, source, evidence, example)
        return made

    return registered


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function with its arguments checked by their names: ValueError names the value and what is allowed."""
    signature = inspect.signature(function)
    if unknown := set(signature.parameters) - set(SYMBOLS):
        raise TypeError(f"{function.__name__} has parameters that are no symbols: {', '.join(sorted(unknown))}")

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            check(name, value)
        try:
            answer = function(*args, **kwargs)
        except (OverflowError, ZeroDivisionError):
            answer = None
        if answer is None or not all(map(math.isfinite, _numbers(answer))):
            given = ", ".join(f"{name} = {value}" for name, value in bound.arguments.items())
            raise ValueError(f"{given}: beyond what a float can hold; allowed: values that together are less extreme")
        return answer

    return call


def _numbers(answer: Any) -> Iterator[float]:
    if isinstance(answer, int | float):
        yield answer
    elif isinstance(answer, tuple):
        for part in answer:
            yield from _numbers(part)
    elif is_dataclass(answer):
        for part in vars(answer).values():
            yield from _numbers(part)
