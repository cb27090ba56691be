"""Traces in every form come back as they were; what is cut or of another form is named with file and record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eviction
from eviction import Trace, load, save

REQUESTS = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 2**31)), min_size=1, max_size=30)


@given(REQUESTS, st.sampled_from([".csv", ".oracleGeneral", ".npy", ".csv.xz", ".oracleGeneral.gz"]), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_and_read(tmp_path: Path, requests: list[tuple[int, int]], form: str, weighted: bool) -> None:
    weights = np.array([w for _, w in requests], np.uint32) if weighted and form != ".npy" else None
    trace = Trace(np.array([k for k, _ in requests], np.uint64), weights, "t")
    path = tmp_path / f"t{form}"
    save(trace, path)
    found = load(path)
    assert (found.keys == trace.keys).all() and found.keys.dtype == np.uint64
    if weights is not None:
        assert found.weights is not None and (found.weights == weights).all()


@pytest.mark.parametrize("form", [".u32", ".ks32", ".u32.xz", ".ks32.gz"])
def test_forms_of_32_bits(tmp_path: Path, form: str) -> None:
    save([1, 2**32 - 1, 1], tmp_path / f"t{form}")
    assert load(tmp_path / f"t{form}").keys.tolist() == [1, 2**32 - 1, 1]
    with pytest.raises(ValueError, match="above 32 bits"):
        save([2**32], tmp_path / f"t{form}")


def test_oracle_general(tmp_path: Path) -> None:
    path = tmp_path / "web.oracleGeneral.bin"
    save(Trace(np.array([7, 8, 7], np.uint64), np.array([5, 6, 5], np.uint32), ""), tmp_path / "t.oracleGeneral")
    raw = (tmp_path / "t.oracleGeneral").read_bytes()
    assert np.frombuffer(raw, "<i8", 1, 16).tolist() == [2]  # the next access of the first record
    path.write_bytes(raw)
    assert load(path).keys.tolist() == [7, 8, 7]
    path.write_bytes(raw[:-1])
    with pytest.raises(ValueError, match=r"web\.oracleGeneral\.bin: record 2 is cut"):
        load(path)


def test_msr(tmp_path: Path) -> None:
    path = tmp_path / "usr.csv"
    path.write_text("128166372003061629,usr,1,Read,8192,4097,100\n128166372003061630,usr,0,Write,0,512,5\n")
    assert load(path).keys.tolist() == [1 << 48 | 2, 1 << 48 | 3, 0]
    path.write_text("128166372003061629,usr,1,Read,8192,4097,100\n1,usr,1,Erase,0,1,1\n")
    with pytest.raises(ValueError, match=r"usr\.csv:2: not a line of an MSR trace"):
        load(path)
    path.write_text("1,usr,99999999,Read,0,1,1\n")
    with pytest.raises(ValueError, match="the disk is '99999999'"):
        load(path)


def test_twitter(tmp_path: Path) -> None:
    path = tmp_path / "cluster052.csv"
    path.write_text("0,user:1,6,100,1,get,0\n0,user:2,6,0,1,set,0\n1,user:1,6,100,2,get,0\n")
    trace = load(path)
    assert trace.keys[0] == trace.keys[2] != trace.keys[1]
    assert trace.weights is not None and trace.weights.tolist() == [106, 6, 106]
    assert [r.hits for r in eviction.replay("lru", trace.keys, sizes=[2])] == [1]
    path.write_text("0,user:1,6,100,1,get,0\n0,user:2,x,0,1,set,0\n")
    with pytest.raises(ValueError, match=r"cluster052\.csv:2: the key size is 'x'; allowed: a number"):
        load(path)
    path.write_text("0,user:1,6,100,1,get,0\n0,user:2,6,0,1,fly,0\n")
    with pytest.raises(ValueError, match=r"cluster052\.csv:2: not a line of a Twitter trace"):
        load(path)


@pytest.mark.parametrize(
    ("trace", "name", "text"),
    [
        ([1], "t.doc", "no form of that name"),
        (Trace(np.array([1], np.uint64), np.array([2], np.uint32), ""), "t.u32", "holds no weights"),
        ([-1], "t.csv", "below 0"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, trace: Any, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        save(trace, tmp_path / name)
    assert not (tmp_path / name).exists()
