"""How a database is to be opened: what `lsm.open` was told beside the options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .untrusted import Limits

if TYPE_CHECKING:
    from recovery import Clock

    from .encryption import KeySource


@dataclass(frozen=True)
class How:
    """``key``: the master key of the encryption; ``clock``: of time marks in the log; ``limits``: of files that are not trusted."""

    create: bool
    read_only: bool
    key: KeySource | None = None
    clock: Clock | None = None
    limits: Limits | None = None
