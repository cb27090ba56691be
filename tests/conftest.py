"""Settings for every test: reproducible Hypothesis runs that print how to repeat them."""

from __future__ import annotations

import ctypes
import gc
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from experiments.torture import native_counts
from tests.harness.examples import PROFILE, examples

ROOT = Path(__file__).resolve().parent.parent

_common = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("quick", max_examples=40, derandomize=True, **_common)  # a change is judged by the same examples as the last
settings.register_profile("explore", max_examples=examples(40), **_common)
settings.load_profile(PROFILE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write what the script tests print into their files")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "threads: uses several threads (the set that `make tsan` runs)")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's `make test &` ignores it, and so would every process started here
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


_settled = [_resident()]  # after the last collection
_MOST = 256 << 20
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's


@pytest.fixture(autouse=True)
def _no_pile_of_databases() -> Iterator[None]:
    """A database that a test is done with waits for the collector, which counts objects, not bytes: one in memory has a log of 128 MiB.

    What the heap keeps of them goes back too: four workers that keep gigabytes each are ended by a machine that has no more.
    """
    yield
    if _resident() > _settled[0] + _MOST:
        gc.collect()
        if _trim is not None:
            _trim(0)
        _settled[0] = _resident()


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the source tree."""
    return ROOT


@pytest.fixture(autouse=True, scope="module")
def _counts() -> Iterator[None]:
    """In a build that counts, those of a module are safe when it is done: a worker may end without its usual end."""
    yield
    native_counts.keep()
