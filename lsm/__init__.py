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
from .backup import Backup
from .backups import Backups, Pruned
from .batch import BadRange, Batch
from .codecs import CODECS
from .collectors import Collector, ValueState, ValueView
from .compile import CompileError, compile_component, get_include
from .db import DB, open
from .decisions import Decision
from .encryption import KeyReport
from .errors import (
    BackupError,
    BusyError,
    Cancelled,
    ClosedError,
    CorruptionError,
    EncryptionError,
    Error,
    InvalidOptions,
    IOFailure,
    LockedError,
    NotADatabase,
    PlanRefused,
    ReadOnlyError,
    RestoreError,
    TooLarge,
)
from .health import Health
from .history import Step, history
from .keyspace import Keyspace
from .memory import MemoryReport
from .options import (
    CacheOptions,
    CompactionOptions,
    Options,
    RowCacheOptions,
    ScrubOptions,
    StallOptions,
    TableOptions,
    ValueLogOptions,
    WalOptions,
)
from .plan import CompactionPolicy, Plan, TreeView
from .policies import register_policy
from .recover import RecoveryReport, SegmentReport
from .registry import (
    ADMISSIONS,
    ALLOCATIONS,
    ARBITERS,
    COLLECTORS,
    COMPACTIONS,
    CUTS,
    GRANULARITIES,
    LAYOUTS,
    MEMTABLES,
    PICKERS,
    SCHEDULERS,
    TRIGGERS,
    register_compaction,
)
from .restore import Restored
from .scan import Chunk, Scan
from .snapshot import Snapshot
from .stats import LevelStats, Stats, ValueStats
from .untrusted import Limits
from .version import Level, Run, TableInfo, ValueInfo, Version

__version__ = "0.1.0"
assert native.OK == 0
__all__ = [
    "ADMISSIONS",
    "ALLOCATIONS",
    "ARBITERS",
    "CODECS",
    "COLLECTORS",
    "COMPACTIONS",
    "CUTS",
    "DB",
    "GRANULARITIES",
    "LAYOUTS",
    "MEMTABLES",
    "PICKERS",
    "SCHEDULERS",
    "TRIGGERS",
    "Backup",
    "BackupError",
    "Backups",
    "BadRange",
    "Batch",
    "BusyError",
    "CacheOptions",
    "Cancelled",
    "Chunk",
    "ClosedError",
    "Collector",
    "CompactionOptions",
    "CompactionPolicy",
    "CompileError",
    "CorruptionError",
    "Decision",
    "EncryptionError",
    "Error",
    "Health",
    "IOFailure",
    "InvalidOptions",
    "KeyReport",
    "Keyspace",
    "Level",
    "LevelStats",
    "Limits",
    "LockedError",
    "MemoryReport",
    "NotADatabase",
    "Options",
    "Plan",
    "PlanRefused",
    "Pruned",
    "ReadOnlyError",
    "RecoveryReport",
    "RestoreError",
    "Restored",
    "RowCacheOptions",
    "Run",
    "Scan",
    "ScrubOptions",
    "SegmentReport",
    "Snapshot",
    "StallOptions",
    "Stats",
    "Step",
    "TableInfo",
    "TableOptions",
    "TooLarge",
    "TreeView",
    "ValueInfo",
    "ValueLogOptions",
    "ValueState",
    "ValueStats",
    "ValueView",
    "Version",
    "WalOptions",
    "compile_component",
    "get_include",
    "history",
    "keys",
    "open",
    "register_compaction",
    "register_policy",
]
