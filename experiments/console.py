"""How the command line talks: tables and progress for people, JSON for programs, errors in one line, exit codes.

Exit codes: 0 all is well, 1 problems were found or the operation failed, 2 the command was used wrongly, 130 interrupted (Ctrl-C, SIGTERM).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import lsm

from .bench_kv import BenchFailed
from .results import RecordError
from .suite import SuiteError
from .traces import TraceError

PROBLEMS, USAGE, INTERRUPTED = 1, 2, 130
out = Console(highlight=False, soft_wrap=True)
out.width = max(out.width, 100)  # a table is complete before it is pretty
err = Console(stderr=True, highlight=False, soft_wrap=True)


def emit(value: Any, as_json: bool, show: Callable[[], None]) -> None:
    """Print the value as JSON, or call show."""
    if as_json:
        sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
    else:
        show()


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """A table whose first `left` columns are text and whose others are numbers."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out.width = max(out.width, Measurement.get(out, out.options.update(max_width=1000), table).maximum)
    out.print(table)


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Callable[[str, int], None]]:
    """A bar on standard error; call what it gives with a text and how many are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda text, done: bar.update(task, description=text, completed=done)


def key_source() -> str | None:
    """Where the key of an encrypted database comes from: the environment variable LSMLAB_KEY."""
    return os.environ.get("LSMLAB_KEY") or None


def open_database(path: Path, **how: Any) -> lsm.DB:
    """Open the database of a command, which may be encrypted."""
    return lsm.open(path, encryption=key_source(), **how)


def fail(message: str, code: int = PROBLEMS) -> typer.Exit:
    """Say what is wrong; raise what it gives."""
    err.print(f"lsmlab: {message}", style="red", markup=False)
    return typer.Exit(code)


@contextmanager
def guarded() -> Iterator[None]:
    """Turn the errors that a user can cause into one line and an exit code; anything else is ours and keeps its traceback."""
    try:
        yield
    except (SuiteError, TraceError, lsm.InvalidOptions) as e:
        raise fail(str(e), USAGE) from None
    except (lsm.Error, RecordError, BenchFailed) as e:
        raise fail(f"{type(e).__name__}: {e}") from None
    except ValueError as e:
        raise fail(str(e), USAGE) from None
    except OSError as e:
        raise fail(f"{e.filename or ''}: {e.strerror or e}".lstrip(": ")) from None
    except KeyboardInterrupt:
        err.print("interrupted")
        raise typer.Exit(INTERRUPTED) from None


def parse_bytes(text: str, as_hex: bool) -> bytes:
    """A key or value given on the command line: UTF-8 text, or hexadecimal digits."""
    if not as_hex:
        return text.encode("utf-8", "surrogateescape")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{text!r} is not hexadecimal: give pairs of the digits 0-9 a-f") from None


def show_bytes(data: bytes, as_hex: bool) -> str:
    """For printing: text where it is printable UTF-8, else with \\x escapes; hexadecimal when asked."""
    if as_hex:
        return data.hex()
    try:
        text = data.decode()
        if text.isprintable():
            return text
    except UnicodeDecodeError:
        pass
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in data)
