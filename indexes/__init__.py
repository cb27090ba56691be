"""Indexes, native, each with a readable twin in `indexes.twins`: point filters, block searches, R-trees.

>>> import indexes
>>> indexes.FILTERS["bloom"](bits_per_key=8)
BloomSettings(bits_per_key=8)
"""

from .filters import BlockedBloom, Bloom, PointFilter, filter_class
from .native import FilterObject, FilterOps, OpenSearch, PythonFilter, SearchOps, xxh3
from .registry import (
    BUILT_IN,
    FILTERS,
    SEARCHES,
    BinarySettings,
    BlockedBloomSettings,
    BloomSettings,
    FenceSettings,
    FilterSettings,
    NoFilter,
    SearchSettings,
    filter_ops,
    filter_ops_address,
    register_filter,
    register_search,
    search_ops,
    search_ops_address,
)
from .rtree import RTree, RTreeSegment

__all__ = [
    "BUILT_IN",
    "FILTERS",
    "SEARCHES",
    "BinarySettings",
    "BlockedBloom",
    "BlockedBloomSettings",
    "Bloom",
    "BloomSettings",
    "FenceSettings",
    "FilterObject",
    "FilterOps",
    "FilterSettings",
    "NoFilter",
    "OpenSearch",
    "PointFilter",
    "PythonFilter",
    "RTree",
    "RTreeSegment",
    "SearchOps",
    "SearchSettings",
    "filter_class",
    "filter_ops",
    "filter_ops_address",
    "register_filter",
    "register_search",
    "search_ops",
    "search_ops_address",
    "xxh3",
]
