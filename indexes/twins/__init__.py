"""Readable twins: each native component again in plain Python, byte for byte; the specification that tests drive in lock step."""

from .blocked_bloom import BlockedBloomTwin
from .bloom import BloomTwin
from .counting_bloom import CountingBloomTwin
from .cuckoo import CuckooTwin
from .fence import FenceTwin
from .filter_twin import ChangingTwin, FilterTwin
from .peeled import BinaryFuse8Twin, BinaryFuse16Twin, Xor8Twin, Xor16Twin
from .pgm import PGMTwin
from .prefix_bloom import PrefixBloomTwin
from .ribbon import HomogeneousRibbonTwin, RibbonTwin
from .rtree import GrowingTwin, RTreeTwin
from .snarf import SnarfTwin
from .surf import SurfTwin

_ALL: tuple[type[FilterTwin], ...] = (
    BloomTwin, BlockedBloomTwin, CountingBloomTwin, CuckooTwin, RibbonTwin, HomogeneousRibbonTwin,
    BinaryFuse8Twin, BinaryFuse16Twin, Xor8Twin, Xor16Twin,
)  # fmt: skip
TWINS: dict[str, type[FilterTwin]] = {twin.name: twin for twin in _ALL}

__all__ = [
    "TWINS",
    "BinaryFuse8Twin",
    "BinaryFuse16Twin",
    "BlockedBloomTwin",
    "BloomTwin",
    "ChangingTwin",
    "CountingBloomTwin",
    "CuckooTwin",
    "FenceTwin",
    "FilterTwin",
    "GrowingTwin",
    "HomogeneousRibbonTwin",
    "PGMTwin",
    "PrefixBloomTwin",
    "RTreeTwin",
    "RibbonTwin",
    "SnarfTwin",
    "SurfTwin",
    "Xor8Twin",
    "Xor16Twin",
]
