"""Row A of the torture suite: a sample of its cases passes, and what is wrong is found."""

from __future__ import annotations

import pytest

import recovery
from experiments.torture.row_a_faults import Case, attempt, cases, prepare, spread
from experiments.torture.story import Play, judged, stories


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "written"])
@pytest.mark.parametrize("name", sorted(stories()))
def test_a_sample_of_faults_of_each_story(name: str, mapped: bool) -> None:
    scene = prepare(stories()[name], mapped=mapped)
    every = list(cases(scene))
    assert len({case.kind for case in every}) == 10
    for i in spread(len(every), 6):
        wrong = attempt(scene, every[i])
        assert wrong == [], f"repeat with: attempt(prepare(stories()[{name!r}], mapped={mapped}), {every[i]!r})"


@pytest.mark.parametrize(
    "case",
    [
        Case("close", 3, "ENOSPC", sticky=True),  # of the database's lock: came out as an OSError
        Case("close", 5, "ENOSPC", sticky=False),  # in a checkpoint: files of it were left, and the first error was hidden
        Case("stat", 7, "ENOSPC", sticky=False),  # in a checkpoint: came out as an OSError
    ],
    ids=str,
)
def test_what_was_found_once(case: Case) -> None:
    assert attempt(prepare(stories()["checkpoint"]), case) == []


def test_a_lost_write_and_a_wrong_read_are_found() -> None:
    disk = recovery.memory()
    play = Play(stories()["load"], disk).run(0, 5)
    assert list(play.wrong_reads()) == []
    play.may = [{"default": {b"000": b"never written"}}]
    assert any("reads show" in w for w in play.wrong_reads())
    assert any("get(b'000')" in w for w in play.wrong_reads())
    play.close()
    assert [w[:20] for w in judged(play, disk)] == ["reopened, it holds {"]


def test_a_damaged_disk_is_found() -> None:
    disk = recovery.memory()
    play = Play(stories()["load"], disk).run()
    assert list(judged(play, disk.crash_clone("process"))) == []
    disk.unlink("/db/CURRENT")
    assert [w[:20] for w in judged(play, disk)] == ["it does not reopen: "]
