"""What a repair did, in full: what it took, what is lost, what may have come back. Plain values, and as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .inventory import shown


@dataclass(frozen=True)
class Loss:
    """Data of a table that is lost: the stretch of the file, the keys it may have held (None: open), and its sequence numbers.

    ``entries`` and ``deletions`` of the whole table are None where nothing says how many there were. ``restored``: the log still had them.
    """

    file: str
    keyspace: str
    what: str
    offset: int | None
    size: int
    first: bytes | None
    last: bytes | None
    entries: int | None
    deletions: int | None
    min_seq: int
    max_seq: int
    restored: bool = False

    def __str__(self) -> str:
        """Return it as a line."""
        where = self.file + (f", bytes {self.offset} to {self.offset + self.size}" if self.offset is not None else "")
        count = "an unknown number of" if self.entries is None else f"{self.entries}"
        gone = f" ({self.deletions} of them deletions)" if self.deletions else ""
        seqs = f", sequence {self.min_seq} to {self.max_seq}" if self.max_seq else ""
        end = "; the log still had them" if self.restored else ""
        keys = f"keys {shown(self.first)} to {shown(self.last)}"
        return f"{where}: {self.what}; {keys} of keyspace {self.keyspace!r}: {count} entries lost{gone}{seqs}{end}"


@dataclass(frozen=True)
class LostRecords:
    """Records of a log segment that are lost. ``first_seq`` and ``last_seq`` are None where nothing behind them says how many."""

    file: str
    what: str
    offset: int | None
    bytes: int
    first_seq: int | None
    last_seq: int | None

    def __str__(self) -> str:
        """Return it as a line."""
        span = f"writes {self.first_seq} to {self.last_seq or '...'}" if self.first_seq is not None else "an unknown number of writes"
        where = self.file + (f" from byte {self.offset} on" if self.offset is not None else "")
        return f"{where}: {self.what}; {span} lost, {self.bytes} bytes"


@dataclass
class RepairReport:
    """``basis``: "manifest" (the newest state, proven) or "tables" (put together from what was found). Lists are empty when all is well."""

    source: str
    target: str
    basis: str = "manifest"
    why: str = ""
    database: str = ""
    kept: int = 0  # tables taken as they are
    salvaged: int = 0  # tables written anew from their whole blocks
    entries: int = 0  # in the salvaged ones
    records: int = 0  # of the log, replayed
    renamed: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)  # files taken whole from a copy
    lost: list[Loss] = field(default_factory=list)
    lost_records: list[LostRecords] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)  # secondary ones, built again
    problems: list[str] = field(default_factory=list)  # of the new directory, by check

    @property
    def nothing_lost(self) -> bool:
        """Tell whether the repaired database is proven to hold everything."""
        return self.basis == "manifest" and not (self.returned or self.lost_records or any(not x.restored for x in self.lost))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; keys in hexadecimal."""
        row = asdict(self) | {"nothing_lost": self.nothing_lost}
        for plain, loss in zip(row["lost"], self.lost, strict=True):
            plain |= {"first": loss.first and loss.first.hex(), "last": loss.last and loss.last.hex(), "text": str(loss)}
        for plain, records in zip(row["lost_records"], self.lost_records, strict=True):
            plain["text"] = str(records)
        return row

    def __str__(self) -> str:
        """Return it as lines of text."""
        lines = [f"repaired {self.source} into {self.target}, from the {self.basis}" + (f": {self.why}" if self.why else "")]
        lines.append(
            f"{self.kept} tables kept, {self.salvaged} written anew ({self.entries} entries), {self.records} log records replayed"
            + (f", indexes built again: {', '.join(self.indexes)}" if self.indexes else "")
        )
        lines += [f"renamed: {x}" for x in self.renamed]
        lines += [f"taken from the copy: {x}" for x in self.healed]
        lines += [f"lost: {x}" for x in (*self.lost, *self.lost_records)]
        lines += [f"may have come back: {x}" for x in self.returned]
        lines += [f"quarantined: {x}" for x in self.quarantined]
        lines += [f"note: {x}" for x in self.notes]
        lines += [f"still wrong: {x}" for x in self.problems]
        return "\n".join([*lines, "nothing is lost" if self.nothing_lost else "read the lines above: not everything could be proven"])
