"""Row D: every state that power loss may leave, at every event of a story, recovered; and again at every event of such a recovery.

The story is recorded; each state that is met for the first time is opened, read, closed and opened again, which must show the same. The
content must be one that the steps explain: in the sync modes that promise it, nothing acknowledged is missing; in the others some first
steps of the story are there, and none behind them. A later mark asks more of a state that was met before, so what came of each is kept.
Second order: some recoveries are recorded too, and the power goes at each of their events; once a database was open, what it showed stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lsm
import recovery
from recovery import CrashState, Event, Files, OrderRules, crash_states

from .row import Found, Row, Slice
from .row_a_faults import prepare
from .story import PATH, Contents, Play, Story, contents_of, stories, told

LOCK = ("*/LOCK",)
FILES = Files(log=("*.log",), record=("*/MANIFEST-*", "*/CURRENT"), data=("*.sst", "*.idx", "*.vlog"))
SYNCS = ("group", "every", "os", "interval", "none")
_QUICK, _FULL = {"limit": 64, "samples": 12}, {"limit": 256, "samples": 64}
_SECOND_STATES = 8  # of each event of a recovery, at most
_EVERY = 300, 700  # quick and full: states of the first order to one whose recovery is recorded
_SEEDS = 12
_EVERYWHERE = ("load", "overwrite", "batch", "values", "index", "checkpoint")  # in a quick run: under every mode of syncing


class Ends:
    """What steps of a story leave behind: the content after each, and what marks ask for."""

    def __init__(self, story: Story) -> None:
        """Play the model alone."""
        self.after: list[Contents] = []
        now: Contents = {}
        for step in story.steps:
            now = step.to(now) if step.to is not None else now
            self.after.append({name: inside for name, inside in now.items() if inside})
        self.least = self.most = story.before - 1

    def hear(self, mark: str) -> None:
        """A mark: "acked n" is promised, "began n" and "done n" are possible."""
        what, _, number = mark.partition(" ")
        self.most = int(number)
        if what == "acked":
            self.least = int(number)

    def allowed(self) -> list[Contents]:
        """Every content that may be there now."""
        empty: list[Contents] = [{}] if self.least < 0 else []
        return empty + self.after[max(0, self.least) : self.most + 1]


def recover(story: Story, files: Mapping[str, bytes]) -> Contents | str:
    """Open what is there, read it, close and open again. Returns the content, or what is wrong."""
    try:
        fs = recovery.materialise(files)
        with lsm.open(PATH, story.options, fs=fs) as db:
            found = contents_of(db)
        with lsm.open(PATH, story.options, fs=fs) as db:
            again = contents_of(db)
    except Exception as e:
        return f"it does not open: {type(e).__name__}: {e}"
    return found if again == found else f"opened, it holds {told(found)}; opened again, {told(again)}"


class Sweep:
    """The states of one recording: recovers each that is new, and judges each by its last mark."""

    def __init__(self, story: Story) -> None:
        """Count into `found`."""
        self.story, self.found = story, Found()
        self.known: dict[bytes, Contents | str] = {}

    def judge(self, state: CrashState, allowed: list[Contents], where: str) -> bool:
        """Whether what comes of a state is allowed."""
        if state.digest not in self.known:
            self.known[state.digest] = recover(self.story, state.files)
        got = self.known[state.digest]
        if not isinstance(got, str) and got in allowed:
            return True
        wrong = got if isinstance(got, str) else f"it holds {told(got)}; allowed: {' or '.join(map(told, allowed))}"
        self.found.violations.append(f"power loss after event {state.event} (mark {state.last_mark!r}, {where}): {wrong}")
        return False

    def first_order(self, tape: Tape, how: dict[str, Any], every: int) -> None:
        """Judge the states of the story; of those that are new one in `every` is recovered with power loss on the way."""
        ends, last = Ends(self.story), ""
        for state in crash_states(tape.events, tape.base, ignore=LOCK, **how):
            if state.last_mark != last:  # each mark has states of its own, so none is passed over
                last = state.last_mark
                ends.hear(last)
            good = self.judge(state, ends.allowed(), str(tape.events[state.event - 1]))
            if state.is_new:
                self.found.cases += 1
                if good and every and int.from_bytes(state.digest[:4]) % every == 0:
                    self.second_order(state, how)

    def second_order(self, state: CrashState, how: dict[str, Any]) -> None:
        """Recover a state, recorded, and judge every state that power loss leaves on the way."""
        got = self.known[state.digest]
        assert not isinstance(got, str)
        fs = recovery.record(recovery.materialise(state.files))
        with lsm.open(PATH, self.story.options, fs=fs):
            fs.mark("opened")
        known, self.known = self.known, {}
        for second in crash_states(fs.events(), state.files, ignore=LOCK, **{**how, "limit": _SECOND_STATES, "samples": 2}):
            self.judge(second, [got], f"in the recovery from event {state.event}")
            self.found.count("second-order states", int(second.is_new))
        self.known = known


@dataclass(frozen=True)
class Tape:
    """A recorded story: what was there before, the events, the order rules that were broken."""

    base: Mapping[str, bytes]
    events: list[Event]
    broken: list[str]


def record(story: Story) -> Tape:
    """Play a story, recorded from where its scene is set."""
    scene = prepare(story)
    base = recovery.files_of(scene.disk)
    rules = OrderRules(FILES, existing=base)
    fs = recovery.record(scene.disk.crash_clone("process"), [rules])
    play = Play(story, fs, mark=fs.mark, may=[scene.contents]).run(story.before)
    play.close()
    assert not play.errors, play.errors
    events = fs.events()
    return Tape(base, events, [str(b) for b in rules.broken])


def slices(full: bool) -> list[Slice]:
    """A slice for a story and a sync mode; in the full run also for seeds, which take turns at the models of names and at garbage."""
    made = []
    for seed, sync, name in itertools.product(range(1, (_SEEDS if full else 1) + 1), SYNCS, stories()):
        if full or sync == "group" or name in _EVERYWHERE:
            given = {"sync": sync, "story": name, "seed": seed, "full": full}
            given |= {"names": "journal" if seed % 4 == 0 else "posix", "garbage": seed % 4 == 2}
            made.append(Slice(f"{name.replace(' ', '-')}-{sync}-{seed}", given))
    return made


def run(given: dict[str, Any]) -> Found:
    """Sweep the states of one recording."""
    story = stories(given["sync"], given["seed"])[given["story"]]
    tape = record(story)
    sweep = Sweep(story)
    sweep.found.violations += [f"order: {b}" for b in tape.broken]
    how = {"names": given["names"], "garbage": given["garbage"], "seed": given["seed"], **(_FULL if given["full"] else _QUICK)}
    sweep.first_order(tape, how, _EVERY[given["full"]])
    return sweep.found


ROW = Row(
    "D", "power loss in every state", "states", 20_000, 1_000_000, slices, run, seconds=900,
    more_goals={"second-order states": (2_000, 100_000)},
)  # fmt: skip
