"""The text form of a tree: written by dump, read by parse; tests state trees in it.

    L0
      run 5: 12[a..f] 4 entries 310 B; 13[g..k) 2 entries 120 B
    L1
      run 3: 9[a..z] 40 entries 2100 B
    value file 8: 40 records 41000 B, live 30 30750 B

Keys are shown as Python would show them without quotes; `)` marks an exclusive end.
"""

from __future__ import annotations

import re

from .version import Edit, TableInfo, Version

_TABLE = re.compile(r"(\d+)\[(.*?)\.\.(.*?)([\])])(?: (\d+) entries)?(?: (\d+) deletions)?(?: (\d+) B)?$")


def show(key: bytes) -> str:
    """Return a key as text: printable ASCII as it is, other bytes as \\xNN."""
    return repr(key)[2:-1]


def _parse_key(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


def show_table(t: TableInfo) -> str:
    """Return a table as text."""
    deletions = f" {t.deletions} deletions" if t.deletions else ""
    return (
        f"{t.number}[{show(t.smallest)}..{show(t.largest)}{')' if t.largest_exclusive else ']'} {t.entries} entries{deletions} {t.size} B"
    )


def dump(version: Version) -> str:
    """Return the tree as text."""
    lines = []
    for level in version.levels:
        lines.append(f"L{level.number}")
        lines += [f"  run {run.id}: " + "; ".join(map(show_table, run.tables)) for run in level.runs]
    live = version.live_values()
    lines += [
        f"value file {v.number}: {v.records} records {v.bytes} B, live {live[v.number][0]} {live[v.number][1]} B" for v in version.values
    ]
    return "\n".join(lines) + "\n"


def parse(text: str) -> Version:
    """Read what dump writes; entries, deletions and bytes may be left out (1, 0, 100). ValueError names the line.

    Value files are passed by.
    """
    added: list[tuple[int, int, TableInfo]] = []
    level = 0
    rows: list[tuple[int, int, list[TableInfo]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("value file "):
            continue
        if head := re.fullmatch(r"L(\d+)", line.strip()):
            level = int(head[1])
            continue
        body = re.fullmatch(r"run (\d+): (.*)", line.strip())
        if not body:
            raise ValueError(f"line {number}: {line!r} is neither a level (L0) nor a run (run 1: ...)")
        tables = []
        for part in body[2].split("; "):
            found = _TABLE.fullmatch(part.strip())
            if not found:
                raise ValueError(f"line {number}: {part!r} is not a table, like 12[a..f] 4 entries 310 B")
            n, low, high, end, entries, deletions, size = found.groups()
            tables.append(
                TableInfo(
                    int(n),
                    int(size or 100),
                    int(entries or 1),
                    int(deletions or 0),
                    _parse_key(low),
                    _parse_key(high),
                    end == ")",
                    max_seq=int(n),
                )
            )
        rows.append((level, int(body[1]), tables))
    for lv, run, tables in reversed(rows):
        added += [(lv, run, t) for t in tables]
    return Version().apply(Edit(0, added=tuple(added)))
