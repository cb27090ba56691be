"""A fresh process that prints the decisions of one policy of a file: `python -m experiments.policies.probe FILE NAME`."""

from __future__ import annotations

import sys
from pathlib import Path

from .files import load, make
from .trials import settings, streams, trace


def main() -> None:
    """Print every decision of the trials."""
    load(Path(sys.argv[1]))
    for options in settings():
        for _, operations in streams():
            print(*trace(make(sys.argv[2]), options, operations), sep="\n")


if __name__ == "__main__":
    main()
