"""Tables of rows with secondary indexes over keyspaces: begin with `DB.table`."""

from . import bitmaps, fulltext, ordered, slices, spatial
from .kinds import KINDS, IndexType, register_index
from .predicate import Predicate, call, col, intersects, near, text, within
from .table import Moment, Table, UniqueViolation

__all__ = [
    "KINDS",
    "IndexType",
    "Moment",
    "Predicate",
    "Table",
    "UniqueViolation",
    "bitmaps",
    "call",
    "col",
    "fulltext",
    "intersects",
    "near",
    "ordered",
    "register_index",
    "slices",
    "spatial",
    "text",
    "within",
]
