"""Every byte of a table damaged, and every length cut: found by verify, and never a wrong answer, a crash or another error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import lsm
from lsm.merge_twin import Range
from lsm.native_tables import get, ranges, scan
from tests.harness.tables import PATH, SHAPES, Lab, sample

ENTRIES = sample(60)
RANGES = [Range(b"b", b"m", 70), Range(b"u", b"user5", 71)]
NEWEST = {e.key: e for e in reversed(ENTRIES)}


def made(shape: str, mapped: bool) -> tuple[Lab, Callable[[], object], bytes]:
    """Return a lab with a table, what opens it as a database would (size and footer are known), and its bytes."""
    twin, extra = SHAPES[shape]
    lab = Lab()
    props = lab.build(lab.settings(twin, **extra), ENTRIES, RANGES)
    settings = lab.settings(twin, mapped=mapped, **extra)
    return lab, lambda: lab.open(settings, size=props.file_size, crc=props.footer_crc), lab.fs.read_all(PATH)


def answers_rightly_or_refuses(open_table: Callable[[], object]) -> None:
    """Ask everything; a CorruptionError that names the file may come at any point, a wrong answer never."""
    try:
        table = open_table()
    except lsm.CorruptionError as e:
        assert PATH in str(e)
        return
    questions: list[tuple[Callable[[], object], object]] = [(lambda: list(scan(table)), ENTRIES), (lambda: ranges(table), RANGES)]
    questions += [(lambda k=key: get(table, k), entry) for key, entry in NEWEST.items()]
    for ask, right in questions:
        try:
            answer: object = ask()
        except lsm.CorruptionError as e:
            assert PATH in str(e)
        else:
            assert answer == right
    with pytest.raises(lsm.CorruptionError, match=PATH):
        table.verify()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mapped", [False, True], ids=["buffered", "mapped"])
def test_every_flipped_bit_is_found(shape: str, mapped: bool) -> None:
    lab, open_table, whole = made(shape, mapped)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        lab.fs.unlink(PATH)
        lab.fs.write_all(PATH, bytes(damaged))
        try:
            answers_rightly_or_refuses(open_table)
        except BaseException as e:
            e.add_note(f"shape {shape!r}, bit {at % 8} of byte {at}")
            raise


@pytest.mark.parametrize("shape", ["plain", "zstd, two levels"])
def test_every_cut_and_every_appendix_is_found(shape: str) -> None:
    lab, open_table, whole = made(shape, False)
    for data in [*(whole[:n] for n in range(len(whole))), whole + b"\0", whole + whole[-80:]]:
        lab.fs.unlink(PATH)
        lab.fs.write_all(PATH, data)
        with pytest.raises(lsm.CorruptionError, match=PATH):
            open_table()


def test_whole_tables_pass() -> None:
    """The control: the same questions of tables that nobody damaged."""
    for shape in SHAPES:
        _, open_table, _ = made(shape, False)
        table = open_table()
        assert list(scan(table)) == ENTRIES
        assert ranges(table) == RANGES
        assert {k: get(table, k) for k in NEWEST} == NEWEST
        table.verify()


def test_a_missing_table_is_named() -> None:
    lab, open_table, _ = made("plain", False)
    lab.fs.unlink(PATH)
    with pytest.raises(lsm.CorruptionError, match="missing"):
        open_table()


def test_every_block_of_another_table_is_refused() -> None:
    """The same content under another number or database: nothing of it passes, block by block."""
    twin, extra = SHAPES["hash index"]
    for number, database in ((8, None), (7, 5)):
        lab, open_table, whole = made("hash index", False)
        other = Lab() if database is None else Lab(database=database)
        other.build(other.settings(twin, **extra), ENTRIES, RANGES, number=number)
        foreign = other.fs.read_all(PATH)
        assert len(foreign) == len(whole)
        for data in (foreign, foreign[:-120] + whole[-120:]):  # all of it, and with the right footer
            lab.fs.unlink(PATH)
            lab.fs.write_all(PATH, data)
            with pytest.raises(lsm.CorruptionError):
                list(scan(open_table()))
