"""`lsmlab bench encryption`: what encryption at rest costs, encrypted against plain in the same run, as ratios of times.

Times are those of the process on processors; waits for the disk are not in them. The two databases take turns, `repeats` times, each in
a fresh directory; a figure is the median. `get, uncached` has no block cache: each look-up reads a block through the page cache and
decrypts its pages. Below them, from Python: a page of 4 KiB, by the extension (which sets the key up each time, as the engine does not)
and by the package cryptography.
"""

from __future__ import annotations

import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

import lsm
import recovery

from .console import emit, guarded, print_table, progress

PAGE = 4096
STEPS = ("fill", "put_many", "reopen", "get, cached", "get, uncached", "scan", "disk bytes")


@dataclass
class Result:
    """Samples by step, plain and encrypted: seconds of processors, but for the bytes on the disk; and microseconds a page."""

    n: int
    repeats: int
    sync: str
    plain: dict[str, list[float]] = field(default_factory=dict)
    encrypted: dict[str, list[float]] = field(default_factory=dict)
    page_us: dict[str, float] = field(default_factory=dict)
    library: str = ""

    def ratio(self, step: str) -> float:
        """How many times the plain figure the encrypted one is."""
        return statistics.median(self.encrypted[step]) / statistics.median(self.plain[step])


@contextmanager
def _timed(into: dict[str, list[float]], step: str) -> Iterator[None]:
    start = time.process_time()
    yield
    into.setdefault(step, []).append(time.process_time() - start)


def _keys(n: int) -> list[bytes]:
    rng = random.Random(1)
    return [b"%016d" % rng.randrange(10**9) for _ in range(n)]


def _one(path: Path, key: bytes | None, keys: list[bytes], sync: str, into: dict[str, list[float]]) -> None:
    options: dict[str, Any] = {"wal": {"sync": sync}, "write_buffer": 8 << 20}
    value, some = secrets.token_bytes(100), keys[: max(1, len(keys) // 4)]
    with lsm.open(path, options, encryption=key) as db:
        with _timed(into, "fill"):
            for k in keys:
                db.put(k, value)
        with _timed(into, "put_many"):
            for i in range(0, len(keys), 1000):
                db.put_many(keys[i : i + 1000], [value] * len(keys[i : i + 1000]))
        db.compact()
    with _timed(into, "reopen"):
        db = lsm.open(path, options, encryption=key)
    with db:
        db.get_many(keys)
        with _timed(into, "get, cached"):
            for k in some:
                db.get(k)
    with lsm.open(path, options, encryption=key, cache={"capacity": 0}) as db:
        with _timed(into, "get, uncached"):
            for k in some:
                db.get(k)
        with _timed(into, "scan"):
            for _ in db.scan_chunks():
                pass
    into.setdefault("disk bytes", []).append(sum(p.stat().st_size for p in path.iterdir()))


def _per_page(call: Callable[[], object], times: int = 5000) -> float:
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times * 1e6


def run(n: int, repeats: int, sync: str, folder: Path, told: Callable[[str, int], None]) -> Result:
    """Measure. n: pairs of 16 and 100 bytes."""
    result, key, keys = Result(n, repeats, sync), secrets.token_bytes(32), _keys(n)
    for i in range(repeats):
        for j, (name, given, into) in enumerate((("plain", None, result.plain), ("encrypted", key, result.encrypted))):
            told(name, 2 * i + j)
            _one(folder / f"{name}{i}", given, keys, sync, into)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    crypto, nonce, page = recovery.load_crypto(), bytes(12), secrets.token_bytes(PAGE)
    theirs, sealed = AESGCM(key), crypto.seal(key, nonce, page)
    result.library = crypto.version
    result.page_us = {
        "seal, extension": _per_page(lambda: crypto.seal(key, nonce, page)),
        "seal, cryptography": _per_page(lambda: theirs.encrypt(nonce, page, None)),
        "open, extension": _per_page(lambda: crypto.open(key, nonce, sealed)),
        "open, cryptography": _per_page(lambda: theirs.decrypt(nonce, sealed, None)),
    }
    return result


def command(
    n: Annotated[int, typer.Option("--n", min=1000, help="Pairs of 16 and 100 bytes.")] = 300_000,
    repeats: Annotated[int, typer.Option("--repeats", min=1)] = 3,
    sync: Annotated[str, typer.Option("--sync", help="Mode of the log.")] = "os",
    folder: Annotated[Path | None, typer.Option("--dir", help="Where the databases go while it runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What encryption at rest costs: fill, look-ups, scan and reopening, encrypted against plain.

    Example: lsmlab bench encryption --n 300000
    """
    import tempfile

    with guarded(), tempfile.TemporaryDirectory(prefix="lsmlab-bench-", dir=folder) as home, progress(2 * repeats, "bench") as told:
        result = run(n, repeats, sync, Path(home), told)
    ratios = {step: round(result.ratio(step), 3) for step in STEPS}
    emit(asdict(result) | {"ratios": ratios}, as_json, lambda: _show(result))


def _show(r: Result) -> None:
    rows = []
    for step in STEPS:
        a, b = statistics.median(r.plain[step]), statistics.median(r.encrypted[step])
        shown = [f"{a:,.0f}", f"{b:,.0f}"] if step == "disk bytes" else [f"{a:.4f} s", f"{b:.4f} s"]
        rows.append([step, *shown, f"{r.ratio(step):.2f}"])
    title = f"{r.n:,} pairs, log mode {r.sync}, {r.repeats} repeats, {r.library}"
    print_table(title, ["step", "plain", "encrypted", "encrypted / plain"], rows)
    print_table("AES-256-GCM, a page of 4 KiB from Python", ["call", "us"], [[k, f"{v:.2f}"] for k, v in r.page_us.items()])
