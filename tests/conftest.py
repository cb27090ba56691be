"""Settings for every test: reproducible Hypothesis runs that print how to repeat them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

_common = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("quick", max_examples=40, **_common)
settings.register_profile("nightly", max_examples=2000, **_common)
settings.load_profile(os.environ.get("LSMLAB_HYPOTHESIS", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write what the script tests print into their files")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "threads: uses several threads (the set that `make tsan` runs)")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's `make test &` ignores it, and so would every process started here
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the source tree."""
    return ROOT
