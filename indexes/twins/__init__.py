"""Readable twins: each native component again in plain Python, byte for byte; the specification that tests drive in lock step."""

from .blocked_bloom import BlockedBloomTwin
from .bloom import BloomTwin
from .fence import FenceTwin
from .pgm import PGMTwin
from .prefix_bloom import PrefixBloomTwin
from .rtree import RTreeTwin
from .snarf import SnarfTwin
from .surf import SurfTwin

TWINS: dict[str, type[BloomTwin] | type[BlockedBloomTwin]] = {"bloom": BloomTwin, "blocked_bloom": BlockedBloomTwin}

__all__ = ["TWINS", "BlockedBloomTwin", "BloomTwin", "FenceTwin", "PGMTwin", "PrefixBloomTwin", "RTreeTwin", "SnarfTwin", "SurfTwin"]
