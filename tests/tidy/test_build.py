"""What `make build` takes for up to date: an extension of these sources, compiled in the way that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import native_build


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds an extension of this tree's sources, built as this process would: of its bytes only what is looked at."""
    for name in ("LSMLAB_CHECK", "LSMLAB_CFLAGS"):
        monkeypatch.delenv(name, raising=False)
    stamp = native_build.stamp("recovery")
    monkeypatch.setattr(native_build, "stamp", lambda _: stamp)
    monkeypatch.setattr(native_build, "ROOT", tmp_path)
    (tmp_path / "recovery").mkdir()
    return tmp_path / "recovery" / "_native.abi3.so"


def made(so: Path) -> None:
    so.write_bytes(b"\x7fELF" + native_build.stamp("recovery").encode() + b"\0" + native_build.kind().encode() + b"\0")


def test_an_extension_of_these_sources_is_fresh(tree: Path) -> None:
    assert not native_build.is_fresh("recovery")
    made(tree)
    assert native_build.is_fresh("recovery")
    tree.write_bytes(tree.read_bytes().replace(native_build.stamp("recovery").encode(), b"0" * 16))
    assert not native_build.is_fresh("recovery")


@pytest.mark.parametrize("name", ["LSMLAB_CHECK", "LSMLAB_CFLAGS"])
def test_one_that_was_built_otherwise_is_not(tree: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    made(tree)
    assert native_build.is_fresh("recovery")
    monkeypatch.delenv(name)
    assert not native_build.is_fresh("recovery")
    made(tree)
    monkeypatch.setenv(name, "1")
    assert not native_build.is_fresh("recovery")


def test_the_extensions_say_how_they_were_built() -> None:
    import indexes._native as built

    said = built.ffi.string(built.lib.indexes_build_kind()).decode()
    assert said.startswith(("built optimised", "built with LSMLAB_")), said
