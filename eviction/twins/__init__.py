"""Readable twins of the native policies: a whole cache in plain Python each, to read, to test against, to begin from."""

from .aging import Gdsf, LfuDa
from .arc import Arc
from .belady import belady
from .car import Car
from .cart import Cart
from .clock import Clock, Reinsertion
from .clock2qplus import Clock2QPlus
from .clockpro import ClockPro, ClockProPlus
from .experts import Cacheus, LeCaR
from .fifo import Fifo
from .frd import Frd
from .hyperbolic import Hyperbolic
from .lfu import Lfu
from .lhd import Lhd
from .lirs import Lirs
from .lirs2 import Lirs2
from .lru import Lru
from .lruk import LruK
from .mq import Mq
from .mru import Mru
from .qdlp import QdLp
from .random import Random
from .s3fifo import S3Fifo
from .sieve import Sieve
from .slru import Slru, Slru4
from .tinylfu import TinyLfu
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
    "tinylfu": TinyLfu,
    "clockpro": ClockPro,
    "fifo-reinsertion": Reinsertion,
    "mru": Mru,
    "random": Random,
    "lfuda": LfuDa,
    "gdsf": Gdsf,
    "lru-k": LruK,
    "clockpro+": ClockProPlus,
    "hyperbolic": Hyperbolic,
    "lecar": LeCaR,
    "cacheus": Cacheus,
    "lirs2": Lirs2,
    "lhd": Lhd,
    "frd": Frd,
    "car": Car,
    "cart": Cart,
    "mq": Mq,
    "qdlp": QdLp,
    "clock2q+": Clock2QPlus,
}

__all__ = ["TWINS", "belady"]
