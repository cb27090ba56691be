"""The crash states of hand-made recordings are exactly the legal ones, counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import recovery
from recovery import RecordFileSystem, crash_states, files_of, materialise

A, B = b"A" * 512, b"B" * 512


def states(
    work: Callable[[RecordFileSystem], None], base: dict[str, bytes] | None = None, **how: object
) -> set[tuple[tuple[str, bytes], ...]]:
    """The distinct states after the last event, as sorted items."""
    fs = recovery.record(materialise(base or {}))
    work(fs)
    found = list(crash_states(fs.events(), base, limit=10_000, **how))  # type: ignore[arg-type]
    last = max(s.event for s in found)
    return {tuple(sorted(s.files.items())) for s in found if s.event == last}


def test_an_unsynced_file_with_an_unsynced_name() -> None:
    found = states(lambda fs: fs.write_all("/a", b"12"))
    assert found == {(), (("/a", b""),), (("/a", b"\0\0"),), (("/a", b"12"),)}  # no name; no data; the size alone; all


def test_a_synced_name_without_synced_data_and_the_other_way_round() -> None:
    def named(fs: RecordFileSystem) -> None:
        fs.write_all("/a", b"12")
        fs.sync_dir("/")

    assert states(named) == {(("/a", b""),), (("/a", b"\0\0"),), (("/a", b"12"),)}
    assert states(lambda fs: fs.write_all("/a", b"12", sync=True)) == {(), (("/a", b"12"),)}


def test_sectors_survive_one_by_one() -> None:
    base = {"/a": A + A + A}

    def work(fs: RecordFileSystem) -> None:
        with fs.open("/a", "r+") as f:
            f.pwrite(B + B, 256)  # touches three sectors

    assert {len(s[0][1]) for s in states(work, base)} == {3 * 512}
    assert len(states(work, base)) == 2**3


def test_each_content_of_a_sector_since_the_last_sync_may_be_there() -> None:
    def work(fs: RecordFileSystem) -> None:
        with fs.open("/a", "r+") as f:
            f.pwrite(b"1", 0)
            f.pwrite(b"2", 0)
            f.sync()
            f.pwrite(b"3", 0)
            f.pwrite(b"4", 0)

    assert {s[0][1][:1] for s in states(work, {"/a": A})} == {b"2", b"3", b"4"}


def test_what_a_grown_size_reaches_is_zero_or_garbage() -> None:
    base = {"/a": A}

    def work(fs: RecordFileSystem) -> None:
        with fs.open("/a", "r+") as f:
            f.append(B)

    assert states(work, base) == {(("/a", A),), (("/a", A + B),), (("/a", A + bytes(512)),)}
    wild = {dict(s)["/a"] for s in states(work, base, garbage=True)}
    assert len(wild) == 4
    assert all(x[:512] == A for x in wild), "a sector that a sync covered is never garbage"


def test_reserved_room_is_never_garbage() -> None:
    def work(fs: RecordFileSystem) -> None:
        with fs.open("/a", "r+") as f:
            f.allocate(1024)
            f.pwrite(B, 512)

    assert states(work, {"/a": A}, garbage=True) == {(("/a", A),), (("/a", A + B),), (("/a", A + bytes(512)),)}


def test_names_in_both_models() -> None:
    def work(fs: RecordFileSystem) -> None:
        for name in "abc":
            fs.write_all(f"/{name}", b"", sync=True)

    assert {"".join(p[1:] for p, _ in s) for s in states(work, names="journal")} == {"", "a", "ab", "abc"}
    assert len(states(work, names="posix")) == 2**3


def test_a_rename_is_lost_or_done_as_a_whole_and_an_unlink_may_be_lost() -> None:
    base = {"/d/": b"", "/d/old": b"old", "/d/new": b"new", "/d/x": b"x"}

    def work(fs: RecordFileSystem) -> None:
        fs.rename("/d/new", "/d/old")
        fs.unlink("/d/x")

    def keep(*pairs: tuple[str, bytes]) -> tuple[tuple[str, bytes], ...]:
        return (("/d/", b""), *pairs)

    before = (("/d/new", b"new"), ("/d/old", b"old"))
    after, x = (("/d/old", b"new"),), (("/d/x", b"x"),)
    assert states(work, base) == {keep(*before, *x), keep(*before), keep(*after, *x), keep(*after)}
    assert states(work, base, names="journal") == {keep(*before, *x), keep(*after, *x), keep(*after)}


def test_a_sync_of_a_directory_is_its_own_or_the_whole_journal() -> None:
    base = {"/d/": b"", "/e/": b""}

    def work(fs: RecordFileSystem) -> None:
        fs.write_all("/d/a", b"", sync=True)
        fs.write_all("/e/b", b"", sync=True)
        fs.sync_dir("/e")

    assert len(states(work, base)) == 2, "/d/a may be lost, /e/b may not"
    assert len(states(work, base, names="journal")) == 1


def test_after_a_failed_sync_nothing_becomes_durable() -> None:
    inner = recovery.fault(materialise({"/a": A}))
    fs = recovery.record(inner)
    inner.arm("sync", nth=1)
    with fs.open("/a", "r+") as f:
        f.pwrite(B, 0)
        with pytest.raises(OSError):
            f.sync()
        f.sync()
    found = [s for s in crash_states(fs.events(), {"/a": A}) if s.event > 3]
    assert {s.files["/a"] for s in found} == {A, B}


def test_marks_have_states_of_their_own_and_new_ones_are_told() -> None:
    fs = recovery.record(recovery.memory())
    fs.write_all("/a", b"1", sync=True)
    fs.mark("acked 1")
    fs.sync_dir("/")
    found = list(crash_states(fs.events()))
    at_mark = [s for s in found if s.last_mark == "acked 1" and s.event == 5]
    assert {tuple(s.files) for s in at_mark} == {(), ("/a",)}, "the rule that is broken here shows as a state"
    assert not any(s.is_new for s in at_mark)
    assert sum(s.is_new for s in found) == len({s.digest for s in found}) == 4


def test_a_state_is_what_is_materialised_and_all_of_it_is_durable() -> None:
    files = {"/d/": b"", "/d/e/": b"", "/d/a": b"1", "/b": b""}
    fs = materialise(files)
    assert files_of(fs) == files_of(fs.crash_clone("power")) == files


def test_samples_follow_the_seed_and_hold_the_extremes() -> None:
    base = {"/a": bytes(512 * 40)}
    fs = recovery.record(materialise(base))
    with fs.open("/a", "r+") as f:
        f.pwrite(b"x" * 512 * 40, 0)
    events = fs.events()
    one, two, other = ([s.digest for s in crash_states(events, base, limit=8, samples=8, seed=n)] for n in (1, 1, 2))
    assert one == two != other
    held = {s.files["/a"] for s in crash_states(events, base, limit=8, samples=8)}
    assert bytes(512 * 40) in held and b"x" * 512 * 40 in held and len(held) > 5


def test_files_that_do_not_count_are_left_out() -> None:
    fs = recovery.record(recovery.memory())
    fs.lock("/LOCK", "me").close()
    fs.write_all("/a", b"", sync=True)
    assert {tuple(s.files) for s in crash_states(fs.events(), ignore=("*/LOCK",))} == {(), ("/a",)}


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="names 'ntfs'"):
        list(crash_states([], names="ntfs"))
    fs = recovery.record(materialise({"/d/": b""}))
    fs.write_all("/d/a", b"1")
    with pytest.raises(ValueError, match="/d/a, whose directory was not there"):
        list(crash_states(fs.events()))
