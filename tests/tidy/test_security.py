"""What is stored or sent is never code: no module that runs what it reads is named anywhere in what is shipped."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lsm", "indexes", "eviction", "recovery", "experiments")
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__"}


def problems(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(node.func.id)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found += [] if isinstance(node.value, ast.Constant) and node.value.value is False else ["allow_pickle"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(path: Path) -> None:
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import yaml.loader",
        "eval('1')",
        "exec(x)",
        "np.load(f, allow_pickle=True)",
        "import shelve",
    ],
)
def test_the_test_sees(source: str) -> None:
    assert problems(source)


def test_the_extensions_are_hardened(monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/security.md says is on, is on; builds with sanitizers have flags of their own."""
    monkeypatch.syspath_prepend(str(ROOT))
    import native_build

    said = (ROOT / "docs" / "security.md").read_text()
    for flags in ("", "-O1"):
        monkeypatch.setenv("LSMLAB_CFLAGS", flags) if flags else monkeypatch.delenv("LSMLAB_CFLAGS", raising=False)
        how = native_build.make("recovery")._assigned_source[3]
        assert "-Wl,-z,relro,-z,now" in how["extra_link_args"]
        assert all((flag in how["extra_compile_args"]) == (not flags) for flag in native_build.HARDENED)
    assert all(f"`{flag}" in said for flag in native_build.HARDENED if not flag.startswith("-U"))
