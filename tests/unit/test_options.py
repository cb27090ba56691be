"""Options: TOML and back, every wrong value named with what is allowed, near names suggested."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

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
        ({"memtable": "btree"}, ["memtable", "skiplist"]),
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
