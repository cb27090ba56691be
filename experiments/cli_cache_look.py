"""The commands of `lsmlab cache` that look into traces and policies: mrc, stats, explain."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import eviction
from eviction import METHODS

from . import cachesim
from .cli_cache import Json
from .cli_cache import app as app
from .console import emit, guarded, out, print_table
from .traces import locate

TraceFile = Annotated[str, typer.Argument(help="A trace file, or the name of one in the folders where traces are looked for.")]


def load(name: str) -> eviction.Trace:
    """Return the trace of a file, or of a name that is found in the folders of traces."""
    return eviction.load(locate(name) or Path(name))


@app.command()
def mrc(
    trace: TraceFile,
    *,
    policy: Annotated[str, typer.Option("--policy", help="A kind; exact and shards are quick for lru only.")] = "lru",
    method: Annotated[str, typer.Option("--method", help=f"One of {', '.join(METHODS)}.")] = "exact",
    sizes: Annotated[str, typer.Option("--sizes", help="Percent of the keys, or objects, with commas between.")] = "1%,2%,5%,10%,25%,50%",
    rate: Annotated[float, typer.Option("--rate", help="Share of the keys that is sampled.")] = 0.01,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Sample so many keys at most, instead of at a rate.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Make the exact curve too, and tell the mean difference.")] = False,
    as_json: Json = False,
) -> None:
    """Hit ratio against size: exact from one pass for LRU, or from a sample of the keys for any policy.

    Example: lsmlab cache mrc arc-OLTP.u32.xz --method shards --rate 0.1 --check
    """
    with guarded():
        loaded = load(trace)
        asked = [s.strip() for s in sizes.split(",") if s.strip()]
        unique = len(np.unique(loaded.keys))
        at = [cachesim.size_of(one, unique) for one in asked]
        curve = eviction.mrc(loaded, policy, at, method, rate=rate, samples=samples, check=check)
        rows = list(zip(asked, curve.sizes.tolist(), curve.hit_ratio.tolist(), strict=True))
        points = [{"asked": a, "size": s, "hit_ratio": h} for a, s, h in rows]
        told = {"policy": policy, "method": method, "sampled": curve.sampled, "error": curve.error, "curve": points}

        def show() -> None:
            title = f"{trace}: {policy}, {method}, from {100 * curve.sampled:.3g} % of the keys"
            print_table(title, ["size", "objects", "hit %"], [[a, f"{s:,}", f"{100 * h:.2f}"] for a, s, h in rows])
            if curve.error is not None:
                out.print(f"mean difference to the exact curve: {100 * curve.error:.2f} points")

        emit(told, as_json, show)


@app.command()
def stats(traces: Annotated[list[str], typer.Argument(help="Trace files or names.")], *, as_json: Json = False) -> None:
    """What traces are like: requests, keys, one-hit wonders, reuse distances, working set, Zipf exponent.

    Example: lsmlab cache stats arc-OLTP.u32.xz lirs-cpp.u32.xz
    """
    with guarded():
        found = {name: eviction.trace_stats(load(name)) for name in traces}

        def show() -> None:
            header = ["trace", "requests", "keys", "once %", "reuse p50", "p90", "p99", "keys a tenth", "Zipf"]
            rows = [
                [
                    name,
                    f"{s.requests:,}",
                    f"{s.unique:,}",
                    f"{100 * s.one_hit_wonders:.1f}",
                    *(f"{s.reuse[p]:,}" if p in s.reuse else "–" for p in (50, 90, 99)),
                    f"{min(s.working_set):,} to {max(s.working_set):,}",
                    "–" if s.zipf is None else f"{s.zipf:.2f}",
                ]
                for name, s in found.items()
            ]
            print_table("traces", header, rows)

        emit({name: asdict(s) for name, s in found.items()}, as_json, show)


@app.command()
def explain(
    policy: Annotated[str, typer.Argument(help="A kind of policy.")],
    *,
    trace: Annotated[str, typer.Option("--trace", help="A trace file or name.")],
    at: Annotated[int, typer.Option("--at", min=0, help="Requests to look at; the last of them are shown one by one.")],
    size: Annotated[int, typer.Option("--size", min=1, help="Entries of the cache.")] = 8,
    last: Annotated[int, typer.Option("--last", min=0, help="How many of the last requests are shown with what they did.")] = 8,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the queues in this folder, as queues-POLICY.png.")] = None,
    params: Annotated[str, typer.Option("--params", help='Parameters of the policy: "key=value key=value".')] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="For policies that draw lots.")] = 0,
    as_json: Json = False,
) -> None:
    """The queues of a policy after N requests, in text and drawn, and what the last requests did to them.

    Example: lsmlab cache explain arc --trace lirs-cpp.u32.xz --at 500 --size 12 --plot .
    """
    with guarded():
        keys = load(trace).keys[:at].tolist()
        cache: eviction.Cache[int, bool] = eviction.Cache(policy, size, seed=seed, params=params)
        heard: list[str] = []
        cache.events(lambda kind, key: heard.append(kind if key is None else f"{kind} {key}"))
        steps = []
        for i, key in enumerate(keys):
            if cache.get(key) is None:
                cache[key] = True
            if i >= len(keys) - last:
                steps.append({"request": i + 1, "key": key, "events": list(heard), "queues": cache.dump()})
            heard.clear()
        done = cache.stats()
        told = {"policy": policy, "requests": len(keys), "hits": done.hits, "queues": cache.dump(), "last": steps}
        drawn = _draw(cache, trace, keys, plot) if plot else []

        def show() -> None:
            for step in steps:
                out.print(f"request {step['request']:,}: {step['key']}   {', '.join(step['events'])}", markup=False, highlight=False)
            out.print(f"\nafter {len(keys):,} requests, {done.hits:,} hits:\n{cache.dump()}", markup=False, highlight=False)
            for path in drawn:
                out.print(str(path), markup=False)

        emit(told, as_json, show)


def _draw(cache: eviction.Cache[int, bool], trace: str, keys: list[int], folder: Path) -> list[Path]:
    from . import plots, queues

    title = f"{cache.policy} of {cache.maxsize:,} entries after {len(keys):,} requests of {Path(trace).name.split('.')[0]}"
    return plots.save([queues.draw(cache.policy, cache.dump(), set(cache), keys[-1] if keys else None, title)], folder)
