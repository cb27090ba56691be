"""JSON that comes out of a file: parsed under limits, and held against the form that it must have, before anything believes it.

A form is a range of integers, a type, a list of one form, a tuple of forms, a function that raises Bad, or a dict of named forms; a name
that ends in "?" may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import repeat
from typing import Any, NoReturn

DEEPEST = 32  # lists and objects within each other
LARGEST = (1 << 63) - 1


class Bad(ValueError):
    """What is stored is not of its form; says where and what is allowed."""

    def __init__(self, text: str) -> None:
        """`path` leads to it, the last step first."""
        super().__init__(text)
        self.path: list[str] = []


def _refuse(text: str) -> NoReturn:
    raise Bad(f"{text:.40} is no number that may be stored")


def parse(data: bytes | str) -> Any:
    """Return the value of JSON text. Bad: not JSON, not UTF-8, too deep, or with numbers that are not finite."""
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as e:
        raise Bad(f"not JSON: {e}") from None
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Raise Bad where lists and objects are nested too deep."""
    layer = [value]
    for _ in range(DEEPEST):
        layer = [x for v in layer if type(v) in (list, dict) for x in (v.values() if type(v) is dict else v)]
        if not layer:
            return
    raise Bad(f"nested deeper than {DEEPEST}")


def check(value: Any, form: Any, where: str = "") -> None:
    """Raise Bad unless the value has the form; it says where, from `where` on."""
    try:
        match(value, form)
    except Bad as e:
        raise Bad(f"{(where + ''.join(reversed(e.path))).lstrip('.') or 'it'} {e}") from None


def match(value: Any, form: Any) -> None:
    """Raise Bad that says what is wrong; where that is, is put together on the way out: what is good has nothing to do for it."""
    if isinstance(form, range):
        if type(value) is not int or value not in form:
            raise Bad(f"is {value!r:.40}; allowed: an integer from {form[0]} to {form[-1]}")
    elif isinstance(form, dict):
        _check_fields(value, form)
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise Bad(f"is {value!r:.40}; allowed: a list")
        _check_items(value, repeat(form[0]))
    elif isinstance(form, tuple):
        if not isinstance(value, list) or len(value) != len(form):
            raise Bad(f"is {value!r:.40}; allowed: a list of {len(form)}")
        _check_items(value, form)
    elif isinstance(form, type):
        if not isinstance(value, form):
            raise Bad(f"is {value!r:.40}; allowed: {form.__name__}")
    else:
        form(value)


def _check_items(value: list[Any], forms: Iterable[Any]) -> None:
    for i, (x, form) in enumerate(zip(value, forms, strict=False)):
        try:
            match(x, form)
        except Bad as e:
            e.path.append(f"[{i}]")
            raise


def _check_fields(value: Any, form: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        raise Bad(f"is {value!r:.40}; allowed: an object")
    for name, wanted in form.items():
        plain = name[:-1] if name[-1] == "?" else name
        if plain in value:
            try:
                match(value[plain], wanted)
            except Bad as e:
                e.path.append(f".{plain}")
                raise
        elif plain == name:
            raise Bad(f"has no {name}")
