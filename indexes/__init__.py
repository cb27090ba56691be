"""Table-level indexes: point filters, range filters and block searches, native, each with a readable twin in `indexes.twins`.

>>> import indexes
>>> indexes.FILTERS["bloom"](bits_per_key=8)
BloomSettings(bits_per_key=8)
"""

from .filters import BlockedBloom, Bloom, PointFilter, filter_class
from .native import FilterObject, FilterOps, OpenSearch, PythonFilter, SearchOps, xxh3
from .native_ranges import PythonRangeFilter, RangeFilterObject, RangeOps
from .range_registry import (
    RANGE_FILTERS,
    NoRangeFilter,
    PrefixBloomSettings,
    RangeFilterSettings,
    SnarfSettings,
    SurfSettings,
    accepts_params,
    range_ops,
    range_ops_address,
    register_range_filter,
)
from .registry import (
    BUILT_IN,
    FILTERS,
    SEARCHES,
    BinarySettings,
    BlockedBloomSettings,
    BloomSettings,
    FenceSettings,
    FilterSettings,
    LearnedSettings,
    NoFilter,
    SearchSettings,
    filter_ops,
    filter_ops_address,
    register_filter,
    register_search,
    search_ops,
    search_ops_address,
)

__all__ = [
    "BUILT_IN",
    "FILTERS",
    "RANGE_FILTERS",
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
    "LearnedSettings",
    "NoFilter",
    "NoRangeFilter",
    "OpenSearch",
    "PointFilter",
    "PrefixBloomSettings",
    "PythonFilter",
    "PythonRangeFilter",
    "RangeFilterObject",
    "RangeFilterSettings",
    "RangeOps",
    "SearchOps",
    "SearchSettings",
    "SnarfSettings",
    "SurfSettings",
    "accepts_params",
    "filter_class",
    "filter_ops",
    "filter_ops_address",
    "range_ops",
    "range_ops_address",
    "register_filter",
    "register_range_filter",
    "register_search",
    "search_ops",
    "search_ops_address",
    "xxh3",
]
