"""Options: TOML and back, every wrong value named with what is allowed, near names suggested."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import lsm
import recovery
from lsm import InvalidOptions, Options, WalOptions
from lsm.options import as_options


def test_defaults_survive_toml_and_dict() -> None:
    options = Options()
    assert Options.from_toml(options.to_toml()) == options
    assert Options.from_dict(options.to_dict()) == options
    assert hash(options) == hash(Options())


def test_every_field_is_written_out() -> None:
    def names(kind: Any) -> set[str]:
        return {f.name for f in fields(kind)}

    written = Options().to_dict()
    assert set(written) == names(Options)
    for field in fields(Options):
        value = getattr(Options(), field.name)
        if is_dataclass(value):
            assert set(written[field.name]) == names(value)


def test_changed_values_survive() -> None:
    options = Options.from_dict(
        {"threads": 0, "wal": {"sync": "every"}, "compaction": {"layout": "tiering", "size_ratio": 4}, "table": {"bits_per_key": 5}}
    )
    assert (options.threads, options.wal.sync, options.compaction.layout, options.table.bits_per_key) == (0, "every", "tiering", 5.0)
    assert Options.from_toml(options.to_toml()) == options


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"thread": 1}, ["thread", "threads"]),
        ({"wal": {"sink": "os"}}, ["wal.sink", "sync"]),
        ({"wal": {"sync": "sometimes"}}, ["wal.sync", "'sometimes'", "interval"]),
        ({"wal": 7}, ["wal", "7", "settings"]),
        ({"compaction": {"layout": "levelling"}}, ["compaction.layout", "did you mean 'leveling'"]),
        ({"compaction": {"picker": "best"}}, ["compaction.picker", "round_robin"]),
        ({"compaction": {"policy": "mine"}}, ["compaction.policy", "'mine'"]),
        ({"table": {"filter": "blom"}}, ["table.filter", "bloom"]),
        ({"table": {"codec": "gzip"}}, ["table.codec", "zstd"]),
        ({"table": {"hash_index": 1}}, ["table.hash_index", "true or false"]),
        ({"table": {"block_size": 1}}, ["table.block_size", "from 32"]),
        ({"cache": {"shards": 3}}, ["cache.shards", "power of two"]),
        ({"cache": {"policy": "lruu"}}, ["cache.policy", "lru"]),
        ({"write_buffer": -1}, ["write_buffer", "-1"]),
        ({"write_buffer": 1.5e6}, ["write_buffer", "an integer"]),
        ({"threads": True}, ["threads", "True"]),
        ({"seed": "7"}, ["seed", "'7'"]),
        ({"stalls": {"slowdown_runs": 9, "stop_runs": 8}}, ["stalls.stop_runs", "from 9"]),
        ({"memtable": "heap"}, ["memtable", "skiplist"]),
        ({"filter_allocation": "fair"}, ["filter_allocation", "monkey"]),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidOptions) as caught:
        Options.from_dict(given)
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_toml_that_does_not_parse() -> None:
    with pytest.raises(InvalidOptions, match="TOML"):
        Options.from_toml("threads = = 1")


def test_overrides_go_into_nested_settings_and_keep_the_rest() -> None:
    base = Options.from_dict({"wal": {"sync": "group", "interval_ms": 7}})
    changed = as_options(base, {"wal": {"sync": "none"}, "threads": 0})
    assert changed == replace(base, threads=0, wal=WalOptions(sync="none", interval_ms=7))
    assert as_options(base, {"wal": WalOptions()}).wal == WalOptions()


def test_a_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_text("threads = 0\n[compaction]\nsize_ratio = 3\n")
    options = as_options(path, {})
    assert (options.threads, options.compaction.size_ratio) == (0, 3)
    assert as_options(str(path), {"threads": 1}).threads == 1


def test_another_kind_does_not_get_the_parameters_of_the_one_before() -> None:
    snarf = lsm.Options.from_dict({"table": {"range_filter": "snarf", "range_params": "slots=4"}})
    assert snarf.override({"table": {"range_filter": "none"}}).table.range_params == ""
    assert snarf.override({"table": {"range_filter": "snarf"}}).table.range_params == "slots=4"
    assert snarf.override({"table": {"range_filter": "surf", "range_params": "dense_ratio=2"}}).table.range_params == "dense_ratio=2"
    bits = lsm.Options.from_dict({"cache": {"policy": "clock", "params": "bits=2"}})
    assert bits.override({"cache": {"policy": "lru"}}).cache.params == ""
    assert bits.override({"cache": {"capacity": 0}}).cache.params == "bits=2"
    with lsm.open("/db", snarf, fs=recovery.memory(), threads=0) as db:
        assert db.keyspace("plain", {"table": {"range_filter": "none"}}).options.table.range_params == ""


@pytest.mark.parametrize("wrong", [[], {}, 7, None])
@pytest.mark.parametrize("name", ["layout_params", "triggers"])
def test_parameters_that_are_no_text_are_invalid_options(name: str, wrong: object) -> None:
    with pytest.raises(lsm.errors.InvalidOptions, match=name):
        lsm.Options.from_dict({"compaction": {name: wrong}})


def test_a_registry_that_is_empty_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsm.options.COMPACTIONS", {})
    with pytest.raises(lsm.InvalidOptions, match="'mine'; allowed: none, since nothing is registered"):
        lsm.Options.from_dict({"compaction": {"policy": "mine"}})
