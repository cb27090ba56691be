"""Readable twins of the native policies: a whole cache in plain Python each, to read, to test against, to begin from."""

from .arc import Arc
from .belady import belady
from .clock import Clock
from .fifo import Fifo
from .lru import Lru

TWINS = {
    "lru": Lru,
    "fifo": Fifo,
    "clock": Clock,
    "arc": Arc,
}

__all__ = ["TWINS", "belady"]
