"""JSON that comes out of a file: parsed under limits, and held against the form that it must have, before anything believes it.

A form is a range of integers, a type, a list of one form, or a dict of named ones; a name that ends in "?" may be missing.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

DEEPEST = 32  # lists and objects within each other
LARGEST = (1 << 63) - 1


class Bad(ValueError):
    """What is stored is not of its form; says where and what is allowed."""


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
        layer = [x for v in layer if isinstance(v, list | dict) for x in (v.values() if isinstance(v, dict) else v)]
        if not layer:
            return
    raise Bad(f"nested deeper than {DEEPEST}")


def check(value: Any, form: Any, where: str = "") -> None:
    """Raise Bad unless the value has the form."""
    if isinstance(form, range):
        if isinstance(value, bool) or not isinstance(value, int) or value not in form:
            raise Bad(f"{where or 'it'} is {value!r:.40}; allowed: an integer from {form[0]} to {form[-1]}")
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise Bad(f"{where or 'it'} is {value!r:.40}; allowed: a list")
        for i, x in enumerate(value):
            check(x, form[0], f"{where}[{i}]")
    elif isinstance(form, tuple):
        if not isinstance(value, list) or len(value) != len(form):
            raise Bad(f"{where or 'it'} is {value!r:.40}; allowed: a list of {len(form)}")
        for i, (x, f) in enumerate(zip(value, form, strict=True)):
            check(x, f, f"{where}[{i}]")
    elif isinstance(form, dict):
        _check_fields(value, form, where)
    elif callable(form) and not isinstance(form, type):
        form(value, where)
    elif not isinstance(value, form):
        raise Bad(f"{where or 'it'} is {value!r:.40}; allowed: {form.__name__}")


def _check_fields(value: Any, form: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise Bad(f"{where or 'it'} is {value!r:.40}; allowed: an object")
    for name, wanted in form.items():
        plain = name.removesuffix("?")
        if plain in value:
            check(value[plain], wanted, f"{where}.{plain}".lstrip("."))
        elif plain == name:
            raise Bad(f"{where or 'it'} has no {name}")
