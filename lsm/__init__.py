"""lsm: an LSM-tree storage engine whose every part can be swapped.

>>> import lsm, recovery
>>> with lsm.open("/inventory", fs=recovery.memory()) as db:
...     db[b"apple"] = b"3"
...     list(db.scan(b"a", b"b"))
[(b'apple', b'3')]
"""

from . import keys as keys
from . import native  # refuses a stale extension
from . import policies as policies
from .batch import BadRange, Batch
from .codecs import CODECS
from .compile import CompileError, compile_component, get_include
from .db import DB, open
from .errors import (
    BusyError,
    Cancelled,
    ClosedError,
    CorruptionError,
    Error,
    InvalidOptions,
    IOFailure,
    LockedError,
    NotADatabase,
    PlanRefused,
    ReadOnlyError,
    TooLarge,
)
from .health import Health
from .keyspace import Keyspace
from .options import CacheOptions, CompactionOptions, Options, RowCacheOptions, StallOptions, TableOptions, WalOptions
from .plan import CompactionPolicy, Plan, TreeView
from .recover import RecoveryReport
from .registry import ALLOCATIONS, COMPACTIONS, LAYOUTS, MEMTABLES, PICKERS, register_compaction
from .scan import Chunk, Scan
from .snapshot import Snapshot
from .stats import LevelStats, Stats
from .version import Level, Run, TableInfo, Version

__version__ = "0.1.0"
assert native.OK == 0
__all__ = [
    "ALLOCATIONS",
    "CODECS",
    "COMPACTIONS",
    "DB",
    "LAYOUTS",
    "MEMTABLES",
    "PICKERS",
    "BadRange",
    "Batch",
    "BusyError",
    "CacheOptions",
    "Cancelled",
    "Chunk",
    "ClosedError",
    "CompactionOptions",
    "CompactionPolicy",
    "CompileError",
    "CorruptionError",
    "Error",
    "Health",
    "IOFailure",
    "InvalidOptions",
    "Keyspace",
    "Level",
    "LevelStats",
    "LockedError",
    "NotADatabase",
    "Options",
    "Plan",
    "PlanRefused",
    "ReadOnlyError",
    "RecoveryReport",
    "RowCacheOptions",
    "Run",
    "Scan",
    "Snapshot",
    "StallOptions",
    "Stats",
    "TableInfo",
    "TableOptions",
    "TooLarge",
    "TreeView",
    "Version",
    "WalOptions",
    "compile_component",
    "get_include",
    "keys",
    "open",
    "register_compaction",
]
