"""The extensions; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=[f"native_build.py:{package}" for package in ("recovery", "eviction", "indexes", "lsm")])
