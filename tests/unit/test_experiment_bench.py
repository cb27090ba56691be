"""The benchmark: every store answers every workload correctly, and medians, ratios and verdicts are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.bench_kv import Result, check_names
from experiments.bench_worker import IMAGE, WORKLOADS, WRITES, Failed, Job, build_image, run, sample
from experiments.stores import BUDGET, STORES

N = 2000


@pytest.fixture(scope="module", params=list(STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name = request.param
    if STORES[name].package not in ("", "lsmlab"):
        pytest.importorskip(STORES[name].package)
    image = tmp_path_factory.mktemp(name) / "image"
    build_image(Job(name, IMAGE, N, 1, str(image)))
    return name, image


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_store_runs_every_workload(store: tuple[str, Path], workload: str, tmp_path: Path) -> None:
    name, image = store
    got = run(Job(name, workload, N, 1, str(tmp_path / "db"), None if workload in WRITES else str(image)))
    assert got["operations"] >= 100
    assert got["seconds"] > 0


def test_versions_are_known() -> None:
    assert all(STORES[name].version() for name in ("lsmlab", "sqlite"))


def test_a_wrong_value_is_noticed(tmp_path: Path) -> None:
    db = STORES["sqlite"](tmp_path / "db")
    db.put_batch([b"a"], [b"1"])
    sample(db, [b"a", b"b"], [b"1", None])
    with pytest.raises(Failed, match="wrong value"):
        sample(db, [b"a"], [b"2"])
    db.close()


def test_rates_are_medians_and_targets_are_judged() -> None:
    result = Result(1000, 1, 3)
    for store, rates in {"lsmlab": (9, 6, 1), "rocksdb": (3, 3, 3), "leveldb": (5, 5, 5)}.items():
        result.outcomes[store, "fillrandom"] = [{"operations": 1000, "seconds": 1000 / r, "peak": BUDGET} for r in rates]
    assert result.rate("lsmlab", "fillrandom") == pytest.approx(6)
    assert result.rate("lsmlab", "scan") is None
    verdicts = {(v["what"], v["against"]): (round(v["got"], 3), v["pass"]) for v in result.verdicts()}
    assert verdicts == {
        ("fillrandom", "rocksdb"): (2.0, True),
        ("fillrandom", "leveldb"): (1.2, False),
        ("peak memory", "configured budgets"): (1.0, True),
    }
    assert result.to_dict()["results"][0]["rate"] == pytest.approx(6)


def test_unknown_names_are_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown store 'rokcs'; there are: lsmlab"):
        check_names(["rokcs"], [])
    with pytest.raises(ValueError, match=r"unknown workload 'get'; there are: .*get-hot"):
        check_names([], ["get"])
