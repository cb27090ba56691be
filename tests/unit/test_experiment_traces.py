"""Traces in every form give the same requests, and a broken one is named with its place."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest

from experiments import traces

KEYS = [5, 6, 7, 5, 4_000_000_000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    u32 = struct.pack("<5I", *KEYS)
    (tmp_path / "a.u32").write_bytes(u32)
    (tmp_path / "a.u32.xz").write_bytes(lzma.compress(u32))
    (tmp_path / "a.ks32.xz").write_bytes(lzma.compress(b"".join(struct.pack("<2I", k, 9) for k in KEYS)))
    (tmp_path / "a.lis").write_text("5 3 0 0\n5 1 0 3\n4000000000 1 0 4\n")
    (tmp_path / "a.trace.gz").write_bytes(gzip.compress(b"5\n6\n*\n7\n5\n4000000000\n"))
    (tmp_path / "named.csv").write_text("time,obj_id,size\n" + "".join(f"1,{k},9\n" for k in KEYS))
    (tmp_path / "plain.csv").write_text("".join(f"{k}\n" for k in KEYS))
    return tmp_path


@pytest.mark.parametrize("name", ["a.u32", "a.u32.xz", "a.ks32.xz", "a.lis", "a.trace.gz", "named.csv", "plain.csv"])
def test_every_form_reads_the_same(folder: Path, name: str) -> None:
    assert traces.read(folder / name).tolist() == KEYS
    assert traces.read(folder / name, 3).tolist() == KEYS[:3]


def test_words_as_keys_stay_distinct(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("key\nalpha\nbeta\nalpha\n")
    a, b, c = traces.read(tmp_path / "w.csv").tolist()
    assert a == c != b


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.lis", b"5 3\nfive\n", "x.lis:2: "),
        ("x.trace", b"1\nx\n", "x.trace:2: the key is 'x'"),
        ("x.csv", b"time,key\n5\n", "line 2: '5' has no column 2"),
        ("x.u32", b"", "no requests"),
        ("x.u32.xz", b"junk", "x.u32.xz"),
    ],
)
def test_broken_traces_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(traces.TraceError, match=said):
        traces.read(tmp_path / name)


def test_a_trace_is_found_by_name_in_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(traces.VARIABLE, str(folder))
    found = traces.find("a.lis", 4)
    assert found.real and found.keys.tolist() == KEYS[:4]
    with pytest.raises(traces.TraceError, match=r"no trace 'b.lis'.*LSMLAB_TRACES"):
        traces.find("b.lis", 4)


def test_the_stand_in_says_that_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "folders", lambda: [tmp_path])
    monkeypatch.chdir(tmp_path)
    found = traces.find("", 5000)
    assert not found.real
    assert found.source.startswith("GENERATED") and traces.DEFAULT in found.source
    assert len(found.keys) == 5000
    assert found.digest() == traces.find("", 5000).digest()
