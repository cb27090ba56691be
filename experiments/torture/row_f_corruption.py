"""Row F: files damaged in every way, then opened and read: the right answer or an lsm.Error that names the file, and always told.

Flips of every bit of every byte; cuts at every offset; blocks of 512 and 4096 bytes zeroed, replaced by noise, by their neighbour, by those
of another file; files swapped, deleted, emptied, older, and of another database. After each the database is opened (to read, every eighth
time to write, and then once more), everything is read in every way, and verified.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import lsm
import recovery
from lsm.encryption import reading

from . import copies, isolated, samples
from .damages import Damage, Flips, blocks, cuts, whole_files
from .row import Found, Row, Slice
from .samples import HOME, Sample

COPIES = ("backup", "backup_sealed")
BITS = 10_000  # flips a slice, at most
_QUICK = 2_000  # flips a sample
_ANY_FILE = re.compile(r"\b(\d{6}\.(sst|log|idx|vlog)|MANIFEST-\d{6}|CURRENT|KEYS)\b")


class Court:
    """Judges damages of one sample: opens, asks, compares."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.fs = sample.file_system()
        self.options = lsm.Options.from_dict(sample.options)
        self.places = {q: {repr(s[q]) for s in sample.states} for q in sample.states[0]}
        self.live = live_files(sample)

    def judge(self, damage: Damage, counts: Counter[str]) -> list[str]:
        """Return what is wrong."""
        for name, data in damage.files.items():
            self._put(name, data)
        try:
            wrong = self._try(self.fs, damage, counts, read_only=True)
            if damage.group % 8 == 0:
                clone = self.fs.crash_clone("process")
                wrong += [f"opened to write: {w}" for w in self._try(clone, damage, counts, read_only=False)]
        finally:
            for name in damage.files:
                self._put(name, self.sample.files[name])
        return wrong

    def _put(self, name: str, data: bytes | None) -> None:
        path = f"{HOME}/{name}"
        if data is None:
            self.fs.unlink(path)
        else:
            self.fs.write_all(path, data)

    def _try(self, fs: recovery.FileSystem, damage: Damage, counts: Counter[str], *, read_only: bool) -> list[str]:
        try:
            db = lsm.open(HOME, self.options, fs=fs, create=False, read_only=read_only, encryption=self.sample.key)
        except lsm.Error as e:
            counts["refused at open"] += 1
            return self._named(damage, str(e), "open")
        told = list(db.recovery_report.reasons)
        try:
            answers = dict(samples.ask(db, self.sample.states[0], damage.group))
            told += db.verify()
        finally:
            db.close()
        return self._compare(damage, answers, told, counts)

    def _compare(self, damage: Damage, answers: Mapping[str, Any], told: list[str], counts: Counter[str]) -> list[str]:
        wrong = []
        errors = {q: a for q, a in answers.items() if isinstance(a, lsm.Error)}
        for question, error in errors.items():
            wrong += self._named(damage, str(error), question)
        given = {q: a for q, a in answers.items() if q not in errors}
        changed = {n: d for n, d in {**self.sample.files, **damage.files}.items() if d is not None}
        least = self.sample.least(changed)
        right = [i for i, s in enumerate(self.sample.states) if all(s[q] == a for q, a in given.items())]
        if not right:
            return [*wrong, f"WRONG: {self._difference(given)}"]
        if right[-1] < least:
            return [*wrong, f"LOST: the state after {right[-1]} batches came back, {least} were promised of {len(self.sample.states) - 1}"]
        said = [*told, *map(str, errors.values())]
        named = not any(self._named(damage, line, "") for line in said) if said else not self._matters(damage)
        if right[-1] < len(self.sample.states) - 1 and not said and not self._never_written(changed, right[-1]):
            wrong.append(f"UNTOLD: the state after {right[-1]} batches came back, and nothing was said")
        if not named and right[-1] == len(self.sample.states) - 1:
            wrong.append(f"UNSEEN: neither recovery nor verify names it (they say {said})" if said else "UNSEEN: nobody noticed")
        counts["reported" if named else "as if never written" if right[-1] < len(self.sample.states) - 1 else "without effect"] += 1
        return wrong

    def _named(self, damage: Damage, text: str, where: str) -> list[str]:
        if any(name in text for name in damage.files) or (not damage.one_bit and _ANY_FILE.search(text)):
            return []
        return [f"UNNAMED: {where}: {text!r} does not name {', '.join(damage.files)}"]

    def _difference(self, given: Mapping[str, Any]) -> str:
        last = self.sample.states[-1]
        for question, answer in given.items():
            if repr(answer) not in self.places[question]:
                return f"{question} is {answer!r:.200}, was {last[question]!r:.200}"
        return f"the answers belong to no one state: {list(given)}"

    def _matters(self, damage: Damage) -> bool:
        """Tell whether a file that is needed has other bytes than it had where they count."""
        changed = ((n, damage.files[n] or b"") for n in damage.files if n in self.live)
        return any(self.sample.counts(n, data) != self.sample.counts(n, self.sample.files[n]) for n, data in changed)

    def _never_written(self, changed: Mapping[str, bytes], came: int) -> bool:
        """Tell whether nothing at all is left of the records that were lost, so that nobody could know of them.

        Of an encrypted record nothing is left when a part is gone: what a crash tore reads as zeros, and what was changed is refused.
        """
        lost = self.sample.log[len(self.sample.log) - (len(self.sample.states) - 1) + came :]
        left = ((changed.get(r.segment, b"")[r.at : r.stop], self.sample.files[r.segment][r.at : r.stop]) for r in lost)
        return not any(now == then if self.sample.key else any(now) for now, then in left)


def live_files(sample: Sample) -> set[str]:
    """Return the files that the sample needs: leftovers that the next open sweeps are damaged too, but need not be noticed."""
    state, name = lsm.manifest.load(reading(sample.file_system(), HOME, sample.key), HOME)
    tables = {f"{n:06d}.sst" for v in state.versions.values() for n in v.tables()}
    values = {f"{x.number:06d}.vlog" for v in state.versions.values() for x in v.values}
    logs = {n for n in sample.files if n.endswith(".log") and int(n[:-4]) >= state.log_floor}
    return {"CURRENT", "KEYS", name, *tables, *values, *logs, *(f"{n:06d}.idx" for n in state.attached_files())}


def damages(given: Mapping[str, Any]) -> Sequence[Damage]:
    """Return the damages of a slice."""
    name = given["sample"]
    files = files_of(name)
    if given["kind"] == "flips":
        return Flips(files, given["begin"], given["end"], given["step"])
    if given["kind"] == "cuts":
        return list(cuts(files, given["step"]))
    older = {} if name in COPIES else {f"{n} batches before": samples.make(name, fewer=n).files for n in (1, 3)}
    return [*blocks(files, given["step"]), *whole_files(files, older, files_of(name, seed=2))]


def files_of(name: str, seed: int = 1) -> dict[str, bytes]:
    """Return the files of a sample, of a database or of a backup store."""
    return copies.make(name, seed).files if name in COPIES else samples.make(name, seed).files


def slices(full: bool) -> list[Slice]:
    """Cut the samples: their flips by stretches of bits, and the rest by kind."""
    made = []
    for name in (*samples.RECIPES, *COPIES):
        try:
            bits = 8 * sum(map(len, files_of(name).values()))
        except (ImportError, recovery.WrongKey):  # no package `cryptography`: running says so
            bits = 8
        step = 1 if full else max(1, bits // _QUICK) | 1  # odd: every place in a byte has its turn
        span = BITS if full else bits
        made += [
            Slice(f"{name}-flips-{at // span}", {"sample": name, "kind": "flips", "begin": at, "end": min(bits, at + span), "step": step})
            for at in range(0, bits, span)
        ]
        made.append(Slice(f"{name}-cuts", {"sample": name, "kind": "cuts", "step": 1 if full else 97}))
        made.append(Slice(f"{name}-blocks", {"sample": name, "kind": "blocks", "step": 1 if full else 4}))
    return made


def run(given: dict[str, Any]) -> Found:
    """Judge the damages of one slice."""
    name = given["sample"]
    try:
        court = copies.Court(copies.make(name)) if name in COPIES else Court(samples.make(name))
    except (ImportError, recovery.WrongKey) as e:
        return Found(missing=str(e))
    found = isolated.run(damages(given), court.judge, lambda d: f"{name}: {d.what}")
    if given["kind"] != "flips":
        found.count("other damages", found.cases)
        found.cases = 0
    return found


ROW = Row(
    "F", "damaged files, every bit", "flips", 20_000, 2_000_000, slices, run, seconds=900.0, more_goals={"other damages": (2_000, 100_000)}
)
