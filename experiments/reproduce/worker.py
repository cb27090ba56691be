"""One cell in one fresh process: `python -m experiments.reproduce.worker`, {"figure", "cell"} as JSON on stdin, what it measured on
stdout's last line."""

from __future__ import annotations

import json
import sys

from .figures import FIGURES


def main() -> None:
    """Read the order, measure, print."""
    order = json.load(sys.stdin)
    print(json.dumps(FIGURES[order["figure"]].measure(order["cell"])))


if __name__ == "__main__":
    main()
