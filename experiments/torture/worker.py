"""The process of one slice: reads {"row", "given"} as JSON from standard input, prints what it found as JSON."""

from __future__ import annotations

import faulthandler
import json
import sys


def main() -> None:
    """Do one slice."""
    faulthandler.enable()
    order = json.load(sys.stdin)
    from .rows import ROWS

    found = ROWS[order["row"]].run(order["given"])
    sys.stdout.write("\n" + json.dumps(found.to_dict()) + "\n")


if __name__ == "__main__":
    main()
