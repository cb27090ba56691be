"""Settings, registration, the adapter for Python filters, the refusal of stale extensions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

import indexes
from indexes import _stamp
from indexes.twins import BloomTwin


class Everything:
    """A filter that keeps the hashes: exact, and a good deal too big."""

    version = 3

    def __init__(self, name: str) -> None:
        self.name = name

    def bound(self, n: int, bits_per_key: float) -> int:
        return 8 * n + 1

    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        return b"E" + b"".join(h.to_bytes(8, "little") for h in sorted(set(hashes)))

    def check(self, data: memoryview) -> bool:
        return len(data) % 8 == 1 and data[0] == ord("E")

    def may_contain(self, data: memoryview, digest: int) -> bool:
        return digest.to_bytes(8, "little") in [bytes(data[i : i + 8]) for i in range(1, len(data), 8)]

    def expected_fpr(self, bits_per_key: float) -> float:
        return 0.0


class Broken(Everything):
    def build(self, hashes: Sequence[int], bits_per_key: float) -> bytes:
        raise ZeroDivisionError("build")

    def may_contain(self, data: memoryview, digest: int) -> bool:
        raise ZeroDivisionError("probe")


def test_filter_settings_are_plain_values() -> None:
    settings = indexes.FILTERS["bloom"](bits_per_key=8)
    assert (settings.kind, settings) == ("bloom", indexes.BloomSettings(8))
    assert dataclasses.asdict(settings) == {"bits_per_key": 8}
    assert settings != indexes.BlockedBloomSettings(8) and hash(settings) == hash(indexes.BloomSettings(8))
    assert settings.build().address == indexes.filter_ops_address("bloom") != 0
    assert indexes.FILTERS["none"]().build() is None and indexes.filter_ops_address("none") == 0
    assert indexes.SEARCHES["fence"]().build().address == indexes.search_ops_address("fence") != 0


@pytest.mark.parametrize("bits", [0, 0.5, 65, float("nan"), float("inf"), "10", None, True])
def test_filter_settings_name_the_bad_value(bits: object) -> None:
    with pytest.raises(ValueError, match=f"bits_per_key is {bits!r}; allowed: a number from 1 to 64"):
        indexes.BloomSettings(bits)  # type: ignore[arg-type]


def test_unknown_kinds_are_named_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="filter kind is 'prism'; allowed: bloom, blocked_bloom"):
        indexes.filter_ops_address("prism")
    with pytest.raises(ValueError, match="search kind is 'pgm'; allowed: fence, binary"):
        indexes.search_ops_address("pgm")


def test_registered_python_filter_works_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexes.registry.FILTERS", dict(indexes.FILTERS))
    monkeypatch.setattr("indexes.registry._filter_ops", {k: indexes.filter_ops(k) for k in indexes.filter_kinds()})
    adapter = indexes.PythonFilter(Everything("everything"))
    settings = indexes.register_filter("everything", adapter)
    assert settings(bits_per_key=4).build() is adapter
    built = indexes.filter_class("everything").build([b"ant", b"bee", b"bee"])
    assert built.may_contain_many([b"ant", b"bee", b"cat"]).tolist() == [True, True, False]
    assert indexes.filter_class("everything").open(built.to_bytes()).raw == built.raw
    by_address = indexes.FilterOps(adapter.address)  # as another extension sees it
    assert by_address.version == 3 and by_address.hash_keys([b"ant"]).tolist() == [indexes.xxh3(b"ant")]
    with pytest.raises(ValueError, match="taken"):
        indexes.register_filter("everything", adapter)
    with pytest.raises(ValueError, match="named 'everything'"):
        indexes.register_filter("else", adapter.address)


def test_failing_python_filter_loses_no_key() -> None:
    built = indexes.PythonFilter(BloomTwin()).build(indexes.filter_ops("bloom").hash_keys([b"a"]), 10)
    adapter = indexes.PythonFilter(Broken("broken"))
    assert adapter.may_contain(built, 1) is True
    assert adapter.may_contain_many(built, indexes.filter_ops("bloom").hash_keys([b"x", b"y"])).all()
    assert str(adapter.last_error) == "probe"
    with pytest.raises(ValueError, match="broken"):
        adapter.build(indexes.filter_ops("bloom").hash_keys([b"a"]), 10)
    assert str(adapter.last_error) == "build"


def test_null_and_foreign_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="ops_address is 0"):
        indexes.register_filter("null", 0)
    with pytest.raises(ValueError, match="ops_address is 0"):
        indexes.register_search("null", 0)


def test_stale_filter_extension_stops() -> None:
    if not any((Path(_stamp.__file__).parent / "csrc").glob("*.c")):
        pytest.skip("installed without sources")
    with pytest.raises(ImportError, match=r"indexes\._native is stale: run make build"):
        _stamp.require_fresh("0000000000000000")
