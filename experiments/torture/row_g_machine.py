"""Row G: Hypothesis drives a database and its model step by step through the whole public API, under options drawn at random.

A slice has a seed of its own and is the same every time, with threads=0 at least. What fails is shrunk; the violation is the shortest list
of steps, options first. Where threads make steps differ from run to run, Hypothesis may end with that alone: then the slice goes on with
another seed, unless a machine failed, whatever came of it later.
"""

from __future__ import annotations

from typing import Any

from .row import Found, Row, Slice

STEPS = 50  # of one machine
_TRIES = 3


def slices(full: bool) -> list[Slice]:
    """About 4,900 steps a slice in a quick run, 9,700 in a full one."""
    machines, count = (200, 108) if full else (100, 5)
    return [Slice(f"seed-{seed}", {"seed": seed, "machines": machines}) for seed in range(count)]


def run(given: dict[str, Any]) -> Found:
    """Run the machines of one seed."""
    try:
        import hypothesis
    except ImportError:
        return Found(missing="hypothesis is not installed: pip install 'lsmlab[test]'")
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.errors import Flaky, FlakyStrategyDefinition
    from hypothesis.reporting import with_reporter
    from hypothesis.stateful import run_state_machine_as_test

    from . import machine

    said: list[str] = []
    phases = [Phase.generate, Phase.shrink] if given.get("shrink", True) else [Phase.generate]
    chosen = settings(
        max_examples=given["machines"], stateful_step_count=STEPS, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, phases=phases,
    )  # fmt: skip
    found = Found()
    for attempt in range(_TRIES):
        seen = len(machine.failures())
        try:
            with with_reporter(lambda line: said.append(str(line))):
                run_state_machine_as_test(hypothesis.seed(given["seed"] + attempt * 1_000_003)(machine.Machine), settings=chosen)
        except Exception as e:  # whatever comes out of a step is wrong
            came = machine.failures()[seen:]
            if isinstance(e, FlakyStrategyDefinition) and not came:  # what may be done next hung on what a thread had done by then
                found.count("seeds given up")
                continue
            told = [f"{type(x).__name__}: {x}" for x in (e, *getattr(e, "exceptions", ()))]  # several: threads
            told += [f"first it was {came[0]}"] if came and isinstance(e, Flaky) else []
            steps = [*said, *getattr(e, "__notes__", ()), f"the last options: {machine.last_options()}"]
            found.violations.append(f"seed {given['seed']}: {'; '.join([*told, *steps])}".replace("\n", " "))
        break
    found.cases = machine.steps()
    return found


ROW = Row("G", "a random machine against its model", "steps", 20_000, 1_000_000, slices, run, 900.0)
