"""`lsmlab bench text`: every library answers, what is missing is told, targets are judged."""

from __future__ import annotations

import itertools
import json

import pytest
from typer.testing import CliRunner

from experiments import bench_text, cli


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = list(itertools.islice(bench_text.zipf_text(1), 400))
    words = [f"{a}{b}{c}ord" for a in "bcdfghjk" for b in "aeiou" for c in "lmnprstv"]
    texts = [" ".join(words[int(w[1:]) % len(words)] for w in one.split()) for one in documents]
    monkeypatch.setattr(bench_text, "corpus", lambda megabytes, seed: (texts, "made up"))
    monkeypatch.setattr(bench_text, "_passes", lambda run, least=0: (run(), 1e-6)[1])


def test_the_bench_compares_and_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench_text.LIBRARIES, "no_such_library", bench_text.Ours)
    result = bench_text.bench(bench_text.Result(1.0, 1, 1), lambda what: None)
    assert set(result.queries[bench_text.US]) == set(bench_text.TYPES)
    assert set(result.queries[bench_text.FTS5]) == set(bench_text.TYPES) - {"fuzzy"}
    assert result.missing[-1] == "no_such_library"
    assert not any(v["pass"] for v in result.verdicts() if "times as fast" in v["what"])  # all took the same time


def test_ours_and_fts5_find_the_same() -> None:
    documents, _ = bench_text.corpus(1.0, 1)
    ours, theirs = bench_text.Ours(), bench_text.Fts5()
    ours.build(documents)
    theirs.build(documents)
    for ask in bench_text.draw(documents, 3, 1):
        run, fts = ours.prepare(ask), theirs.prepare(ask)
        assert run is not None
        if fts is not None:
            assert len(run().rows) == len(fts()), ask


def test_the_command_prints_json_and_fails_with_its_targets() -> None:
    done = CliRunner().invoke(cli.app, ["bench", "text", "--repeats", "1", "--json"])
    assert done.exit_code == 1
    got = json.loads(done.stdout)
    assert got["documents"] == 400
    assert {v["what"] for v in got["targets"]} >= {"index, MB per processor second", "replaced document seen, us"}
    assert CliRunner().invoke(cli.app, ["bench", "text", "--repeats", "1"]).exit_code == 1


def test_queries_are_drawn_the_same_for_the_same_seed() -> None:
    documents, _ = bench_text.corpus(1.0, 1)
    assert bench_text.draw(documents, 2, 7) == bench_text.draw(documents, 2, 7) != bench_text.draw(documents, 2, 8)
