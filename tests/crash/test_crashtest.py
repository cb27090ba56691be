"""The crash test finds nothing wrong in the engine, and finds what is wrong when something is."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from experiments import crashtest
from experiments.crashtest import KEYS, apply, batch

pytestmark = pytest.mark.skipif("LSMLAB_INSTRUMENTED" in os.environ, reason="forks a process, which the sanitizers slow beyond use")


def test_nothing_is_lost_or_torn(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"repeat with: lsmlab crashtest --cycles 15 --seed {seed}")
    result = crashtest.crashtest(tmp_path / "db", 15, seed)
    assert (result.lost, result.torn) == ([], [])
    assert result.cycles == 15
    assert result.batches > 15
    assert not (tmp_path / "db").exists()


def test_an_encrypted_database_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(crashtest.OPTIONS, "encryption", bytes(32))
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"repeat with seed {seed}")
    result = crashtest.crashtest(tmp_path / "db", 15, seed)
    assert (result.lost, result.torn) == ([], [])
    assert result.batches > 15


def test_a_lost_write_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = crashtest._kill_one
    monkeypatch.setattr(crashtest, "_kill_one", lambda *a: real(*a) + 5)  # as if five more had been acknowledged
    result = crashtest.crashtest(tmp_path / "db", 3, 1)
    assert result.lost and not result.torn
    assert (tmp_path / "db").exists()


def test_a_torn_batch_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lsm

    real = crashtest._kill_one

    def kill_and_tear(path: Path, seed: int, *rest: object) -> int:
        acknowledged = real(path, seed, *rest)
        with lsm.open(path, **crashtest.OPTIONS) as db:
            for number in (acknowledged, acknowledged + 1):
                if puts := [(k, v) for k, v in batch(seed, number) if v is not None]:
                    db.put(*puts[0])  # the first put of a batch without the rest
        return acknowledged

    monkeypatch.setattr(crashtest, "_kill_one", kill_and_tear)
    result = crashtest.crashtest(tmp_path / "db", 3, 1)
    assert result.torn and not result.lost


def test_batches_are_what_the_seed_says() -> None:
    assert batch(1, 2) == batch(1, 2) != batch(1, 3)
    model: dict[bytes, bytes] = {}
    for number in range(200):
        apply(model, batch(1, number))
    assert 0 < len(model) <= KEYS
    assert any(v is None for n in range(50) for _, v in batch(1, n))


def test_a_writer_that_is_killed_leaves_no_half_counter() -> None:
    """Packed with struct, it was now and then 0 (the bytes are cleared first) or had its high bytes missing."""
    with mmap.mmap(-1, mmap.PAGESIZE) as shared, crashtest.Counter(shared) as counter:
        counter.start(0)
        counter.say_open()
        pid = os.fork()
        if pid == 0:
            for number in range(1_000_000):
                counter.acknowledge(number)
            os._exit(0)
        before = falls = 0
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            for _ in range(1000):
                now = counter.acknowledged
                falls += now < before or not counter.opened
                before = now
        assert before == 999_999
        assert not falls
