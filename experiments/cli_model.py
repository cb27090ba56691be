"""The commands `lsmlab model ...`: the closed forms, asked one at a time. Each model is a command whose options are its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, get_origin

import typer

from .console import emit, guarded, out, print_table
from .costs import COSTS, SYMBOLS, Cost, Mark, shape

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Ask the theory: cost models C1 to C28, with units and sources.\n\n"
    "Example: lsmlab model C7 --entries 1e9 --size-ratio 10 --bits 0.1",
)  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DERIVED = ("entries", "buffer_entries")  # what levels follow from


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every model with its parameters, unit, source and mark.

    Example: lsmlab model list
    """
    value = [describe(c) for c in COSTS.values()]

    def show() -> None:
        rows = [[c.number, c.title, " ".join(option(p) for p in c.parameters()), c.unit, c.source, c.marks] for c in COSTS.values()]
        print_table("cost models", ["", "what", "parameters", "unit", "source", "mark"], rows, 6)
        for mark in Mark:
            out.print(f"{mark.name.lower()}: {mark.value}", markup=False)
        out.print("lsmlab model NUMBER --help has the formula and what each parameter means", markup=False)

    with guarded():
        emit(value, as_json, show)


def describe(c: Cost) -> dict[str, Any]:
    """A model as plain values."""
    parameters = {
        p.name: {"unit": SYMBOLS[p.name].unit, "allowed": SYMBOLS[p.name].allowed(), "meaning": SYMBOLS[p.name].meaning}
        for p in c.parameters()
    }
    return {
        "number": c.number, "title": c.title, "unit": c.unit, "source": c.source, "evidence": [m.name.lower() for m in c.evidence],
        "parameters": parameters, "formula": inspect.cleandoc(c.function.__doc__ or ""),
    }  # fmt: skip


def option(parameter: inspect.Parameter) -> str:
    """The name of a parameter on the command line."""
    return "--" + parameter.name.replace("_", "-")


def number(name: str, text: str) -> float:
    """Read a number; ValueError with what is allowed."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}; allowed: {SYMBOLS[name].allowed()}") from None
    return int(value) if SYMBOLS[name].whole and value == value // 1 and abs(value) < 1e18 else value


def read(parameter: inspect.Parameter, text: str) -> Any:
    """The value of a parameter as typed: a name, a number, or numbers with commas between."""
    if parameter.annotation is str:
        return text
    if get_origin(parameter.annotation) is Sequence:
        return [number(parameter.name, part.strip()) for part in text.split(",")]
    return number(parameter.name, text)


def ask(c: Cost, given: dict[str, str]) -> tuple[Any, dict[str, Any], str]:
    """The model's answer, the arguments that it had, defaults included, and where levels come from when they were not given. ValueError
    names the parameter and what is allowed."""
    parameters = {p.name: p for p in c.parameters()}
    values = {name: read(parameters[name], text) for name, text in given.items() if name in parameters}
    derived = ""
    if "levels" in parameters and "levels" not in values and "entries" in given and "size_ratio" in values:
        extra = {name: number(name, given[name]) for name in DERIVED if name in given}
        values["levels"] = shape.levels(size_ratio=values["size_ratio"], **extra)
        buffer = extra.get("buffer_entries", inspect.signature(shape.levels).parameters["buffer_entries"].default)
        derived = f"levels from C1, with {extra['entries']:g} entries and {buffer:g} a buffer"
    missing = [p for p in parameters.values() if p.default is p.empty and p.name not in values]
    if missing:
        first = missing[0]
        instead = ", or --entries and --buffer-entries for C1" if first.name == "levels" else ""
        raise ValueError(f"{option(first)} is missing ({SYMBOLS[first.name].meaning}); allowed: {SYMBOLS[first.name].allowed()}{instead}")
    answer = c.function(**values)
    defaults = {p.name: p.default for p in parameters.values() if p.name not in values}
    return answer, values | defaults, derived


def plain(answer: Any) -> Any:
    """An answer as plain values."""
    if isinstance(answer, dict):
        return {k: plain(v) for k, v in answer.items()}
    return asdict(answer) if is_dataclass(answer) and not isinstance(answer, type) else answer


def said(answer: Any) -> str:
    """An answer in figures for people."""
    if isinstance(answer, float):
        return f"{answer:.6g}"
    return ", ".join(map(said, answer)) if isinstance(answer, tuple | list) else str(answer)


def show(c: Cost, answer: Any, values: dict[str, Any], derived: str) -> None:
    """Print an answer with its unit, source and mark."""
    out.print(f"{c.number} {c.title} ({c.unit})", markup=False)
    if isinstance(answer, dict):
        header = list(next(iter(answer.values())))
        print_table("", ["", *header], [[name, *map(str, row.values())] for name, row in answer.items()], 9)
    elif isinstance(answer, Sequence | float | int):
        out.print(f"  {said(answer)}", markup=False)
    for name, value in plain(answer).items() if is_dataclass(answer) else ():
        out.print(f"  {name} = {said(value)}", markup=False)
    if values:
        out.print("with " + ", ".join(f"{SYMBOLS[k].letter or k} ({k}) = {said(v)}" for k, v in values.items()), markup=False)
    if derived:
        out.print(derived, markup=False)
    out.print(f"{c.source}; {', '.join(m.value for m in c.evidence)}", markup=False)


def _metavar(parameter: inspect.Parameter) -> str:
    if parameter.annotation is str:
        return "NAME"
    return "NUMBER,..." if get_origin(parameter.annotation) is Sequence else "NUMBER"


def _command(c: Cost) -> Callable[..., None]:
    """A command with an option for each parameter of the model."""

    def run(as_json: bool = False, **given: str | None) -> None:
        with guarded():
            answer, values, derived = ask(c, {k: v for k, v in given.items() if v is not None})
            value = describe(c) | {"arguments": values, "answer": plain(answer)}
            emit(value, as_json, lambda: show(c, plain(answer) if isinstance(answer, dict) else answer, values, derived))

    def parameter(name: str, default: Any, metavar: str, note: str = "") -> inspect.Parameter:
        symbol = SYMBOLS[name]
        letter = f"{symbol.letter}: " if symbol.letter else ""
        ending = f" Default {default:g}." if isinstance(default, float) else f" Default {default}." if isinstance(default, str) else ""
        unit = f" ({symbol.unit})" if symbol.unit else ""
        text = f"{letter}{symbol.meaning}{unit}; {symbol.allowed()}.{ending}{note}"
        typed = Annotated[str | None, typer.Option("--" + name.replace("_", "-"), help=text, metavar=metavar, show_default=False)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=typed)

    own = [parameter(p.name, p.default, _metavar(p)) for p in c.parameters()]
    names = {p.name for p in own}
    if "levels" in names:
        own += [parameter(n, None, "NUMBER", " In place of --levels, by C1.") for n in DERIVED if n not in names]
    json_ = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    run.__signature__ = inspect.Signature([*own, json_])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, json_)}
    formula = re.sub(r"\s*\n\s*", " ", inspect.cleandoc(c.function.__doc__ or ""))
    run.__doc__ = f"{c.title.capitalize()}. {formula}\n\n{c.source}.\n\nExample: lsmlab model {c.number} {c.example}".rstrip()
    return run


for _cost in COSTS.values():
    app.command(_cost.number)(_command(_cost))
