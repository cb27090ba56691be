"""Readable twins of the native policies: a whole cache in plain Python each, to read, to test against, to begin from."""

from .arc import Arc
from .car import Car
from .cart import Cart
from .clock import Clock
from .clock2qplus import Clock2QPlus
from .clockpro import ClockPro
from .fifo import Fifo
from .lfu import Lfu
from .lirs import Lirs
from .lru import Lru
from .mq import Mq
from .qdlp import QdLp
from .s3fifo import S3Fifo
from .sieve import Sieve
from .slru import Slru, Slru4
from .two_queue import TwoQueue
from .wtinylfu import WTinyLfu

TWINS = {
    "lru": Lru,
    "fifo": Fifo,
    "clock": Clock,
    "arc": Arc,
    "sieve": Sieve,
    "2q": TwoQueue,
    "slru": Slru,
    "slru4": Slru4,
    "s3fifo": S3Fifo,
    "lfu": Lfu,
    "lirs": Lirs,
    "wtinylfu": WTinyLfu,
    "clockpro": ClockPro,
    "car": Car,
    "cart": Cart,
    "mq": Mq,
    "qdlp": QdLp,
    "clock2q+": Clock2QPlus,
}

__all__ = ["TWINS"]
