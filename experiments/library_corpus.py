"""Real rows that every machine makes from its own files, and real places: what `lsmlab library` loads.

A row is a function, class or module of the installed Python library with its documentation string, or a section of a manual page. Its point
is where it begins in its file and how long it is, both as logarithms. The places are those of the time zone table.
"""

from __future__ import annotations

import ast
import math
import random
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from .bench_text import manual_files, manual_source, without_markup, zipf_text

Row = dict[str, Any]
COLUMNS = ("id", "source", "name", "kind", "line", "lines", "words", "text", "at")
ZONES = Path("/usr/share/zoneinfo")
_SPACES = re.compile(r"[^\S\n]+")
_GAPS = re.compile(r"\n\s*\n+")
_UNLIKE = re.compile("[^\u0001-\u02ff\u0370-\u0482\u048a-\u058f\u1e00-\u2bff]")  # scripts that tokenisers cut differently, marks
_KNOWN = {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "RETURN VALUE", "ERRORS", "EXAMPLES", "NOTES", "BUGS", "HISTORY", "AUTHOR"}
_KNOWN |= {"COPYRIGHT", "SEE ALSO"}  # other headings are one kind


def point(line: int, characters: int) -> tuple[float, float]:
    """Where a row is: logarithms of its line and its length, as numbers that 32 bits hold, since SQLite keeps no more."""
    x, y = np.log10(np.array([line, max(characters, 1)], np.float64)).astype(np.float32).tolist()
    return x, y


def _row(source: str, name: str, kind: str, line: int, text: str) -> Row | None:
    text = _GAPS.sub("\n", _SPACES.sub(" ", text)).strip()
    if not text or _UNLIKE.search(text) or _UNLIKE.search(name):
        return None
    row = {"source": source, "name": name, "kind": kind, "line": line, "lines": text.count("\n") + 1, "words": len(text.split())}
    return row | {"text": text, "at": point(line, len(text))}


def _python(path: Path) -> Iterator[Row | None]:
    root = Path(sysconfig.get_path("stdlib"))
    parts = [p for p in path.relative_to(root).with_suffix("").parts if p not in ("site-packages", "dist-packages", "__init__")]
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    todo: list[tuple[ast.AST, str]] = [(tree, ".".join(parts))]
    while todo:
        node, name = todo.pop()
        for child in ast.iter_child_nodes(node):
            todo.append(
                (child, f"{name}.{child.name}" if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else name)
            )
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (found := ast.get_docstring(node)):
            kind = {"Module": "module", "ClassDef": "class"}.get(type(node).__name__, "function")
            yield _row(parts[0] if parts else "python", name, kind, getattr(node, "lineno", 1), found)


def _manual(path: Path) -> Iterator[Row | None]:
    title, _, section = path.name.removesuffix(".gz").rpartition(".")
    source = manual_source(path)
    parts, line = re.split(r"^\.SH ", source, flags=re.M), 1
    for i, part in enumerate(parts):
        if i:
            heading = without_markup(part.partition("\n")[0]).strip().strip('"').strip().upper()[:60]
            kind = heading.lower() if heading in _KNOWN else "other section"
            yield _row(path.parent.name, f"{title}({section}) {heading}", kind, line, without_markup(part.partition("\n")[2]))
        line += part.count("\n")


def python_files() -> list[Path]:
    """The modules of the installed Python library."""
    return sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))


def _read(files: list[Path], read: Callable[[Path], Iterator[Row | None]]) -> Iterator[Row]:
    for path in files:
        yield from (row for row in read(path) if row is not None)


def _made_up(seed: int) -> Iterator[Row]:
    for i, text in enumerate(zipf_text(seed)):
        if (row := _row("generated", f"text {i}", "generated", i + 1, text)) is not None:
            yield row


def corpus(rows: int, seed: int, told: Callable[[str], None]) -> tuple[list[Row], str]:
    """So many rows in random order, half of each source where there are enough, and what they are. Files are drawn with the seed."""
    rng = random.Random(seed)
    python, manual = (rng.sample(files, len(files)) for files in (python_files(), manual_files()))
    sources = {"documentation strings": _read(python, _python), "sections of manual pages": _read(manual, _manual)}
    kept: dict[str, list[Row]] = {name: [] for name in sources}
    for wanted in (rows // 2, rows):  # half of each; then what is left of both
        for name, source in sources.items():
            told(f"reading {name}")
            room = rows - sum(map(len, kept.values()))
            kept[name] += islice(source, min(room, max(0, wanted - len(kept[name]))))
    made = list(islice(_made_up(seed), rows - sum(map(len, kept.values()))))
    found = list(chain(*kept.values(), made))
    rng.shuffle(found)
    names = [f"{len(some):,} {name}" for name, some in kept.items() if some] + ([f"{len(made):,} GENERATED texts"] if made else [])
    return [{"id": i, **row} for i, row in enumerate(found, 1)], ", ".join(names)


def _zone_table() -> tuple[str, str]:
    for name in ("zone.tab", "zone1970.tab"):
        for folder in (ZONES, resources.files("tzdata") / "zoneinfo") if _has_tzdata() else (ZONES,):
            if (file := folder / name).is_file():
                return file.read_text(encoding="utf-8"), name
    return "", ""


def _has_tzdata() -> bool:
    try:
        resources.files("tzdata")
    except ModuleNotFoundError:
        return False
    return True


def _degrees(text: str) -> float:
    """Degrees of +DDMM, +DDMMSS, +DDDMM or +DDDMMSS."""
    digits = text[1:]
    whole = len(digits) - (2 if len(digits) in (4, 5) else 4)
    value = int(digits[:whole]) + int(digits[whole : whole + 2]) / 60 + (int(digits[whole + 2 :] or 0)) / 3600
    return -value if text[0] == "-" else value


def on_sphere(longitude: float, latitude: float) -> tuple[float, float, float]:
    """The point of the unit sphere: nearest by chord is nearest over ground."""
    x, y = math.radians(longitude), math.radians(latitude)
    return math.cos(y) * math.cos(x), math.cos(y) * math.sin(x), math.sin(y)


def places() -> tuple[list[Row], str]:
    """The places of the time zone table, and its name: empty when the machine has none."""
    text, source = _zone_table()
    rows: list[Row] = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, where, name = line.split("\t")[:3]
            found = re.fullmatch(r"([+-]\d+)([+-]\d+)", where)
            assert found is not None, line
            latitude, longitude = _degrees(found[1]), _degrees(found[2])
            row = {"id": len(rows) + 1, "name": name, "country": country, "at": (longitude, latitude)}
            rows.append(row | {"sphere": on_sphere(longitude, latitude)})
    return rows, source
