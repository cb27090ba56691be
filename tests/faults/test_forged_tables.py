"""Tables made to deceive: every checksum is right, and what stands under it is not. Refused by name, before memory is taken for it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

import lsm
import recovery
from lsm.memtable_twin import PUT, Entry
from lsm.native_tables import get, scan
from lsm.table_twin import FOOTER, FOOTER_SIZE, Settings, mask
from tests.harness.tables import DATABASE, PATH, Lab

NUMBER = 7
ENTRIES = [Entry(b"key%03d" % i, i + 1, PUT, b"v" * 90) for i in range(40)]
PROPS, INDEX, FILTER, TOMBS = 5, 7, 9, 11  # places of the handles in the footer


class Forgery:
    """A table in the making: its bytes, and the means to change them and make the checksums right again."""

    def __init__(self, *, codec: str = "", mapped: bool = False) -> None:
        self.lab = Lab()
        twin = Settings(block_size=600, filter="bloom")
        self.props = self.lab.build(self.lab.settings(twin, codec=codec), ENTRIES, number=NUMBER)
        self.settings = self.lab.settings(twin, codec=codec, mapped=mapped)
        self.data = bytearray(self.lab.fs.read_all(PATH))
        self.fields = list(FOOTER.unpack(self.data[-FOOTER_SIZE:-4]))

    def handle(self, field: int) -> tuple[int, int]:
        """Offset and size of a block that the footer names."""
        return self.fields[field], self.fields[field + 1]

    def block(self, at: int, size: int, change: Callable[[bytearray], None]) -> None:
        """Change the bytes of a block, not their number."""
        stored = self.data[at : at + size + 1]
        change(stored)
        assert len(stored) == size + 1
        seed = struct.pack("<QQQ", DATABASE, NUMBER, at)
        crc = mask(recovery.crc32c(bytes(stored), recovery.crc32c(seed)))
        self.data[at : at + size + 5] = stored + struct.pack("<I", crc)

    def open(self) -> lsm.native.Table:
        """Write it with a right footer and open it."""
        footer = FOOTER.pack(*self.fields)
        self.data[-FOOTER_SIZE:] = footer + struct.pack("<I", mask(recovery.crc32c(footer)))
        self.lab.fs.unlink(PATH)
        self.lab.fs.write_all(PATH, bytes(self.data))
        return self.lab.open(self.settings, number=NUMBER)

    def first_packed(self) -> tuple[int, int]:
        """Offset and size of the first data block, which begins the file: found by its checksum."""
        for size in range(4, 600):
            seed = struct.pack("<QQQ", DATABASE, NUMBER, 0)
            if (
                mask(recovery.crc32c(bytes(self.data[: size + 1]), recovery.crc32c(seed)))
                == struct.unpack_from("<I", self.data, size + 1)[0]
            ):
                return 0, size
        raise AssertionError("no block at the beginning of the file")


def test_an_honest_forgery_passes() -> None:
    """The control: nothing was changed."""
    for codec in ("", "lz4", "zstd"):
        table = Forgery(codec=codec).open()
        assert list(scan(table)) == ENTRIES
        table.verify()


@pytest.mark.parametrize("mapped", [False, True], ids=["buffered", "mapped"])
@pytest.mark.parametrize("field", [PROPS, INDEX, FILTER, TOMBS], ids=["props", "index", "filter", "tombs"])
@pytest.mark.parametrize(
    ("offset", "size"), [(2**64 - 64, 60), (2**63, 60), (1 << 30, 100), (0, 2**32 - 6), (10, 1 << 28), (2**64 - 5, 2**32 - 1)]
)
def test_a_footer_that_names_what_is_not_there(field: int, offset: int, size: int, mapped: bool) -> None:
    forged = Forgery(mapped=mapped)
    forged.fields[field : field + 2] = offset, size
    with pytest.raises(lsm.CorruptionError, match="footer names a block outside of the file"):
        forged.open()


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_block_that_says_it_holds_more_than_it_can(codec: str) -> None:
    for says in (1 << 30, (1 << 31) + 1, 2**32 - 1):
        forged = Forgery(codec=codec)
        at, size = forged.first_packed()
        forged.block(at, size, lambda b, says=says: b.__setitem__(slice(0, 4), struct.pack("<I", says)))
        with pytest.raises(lsm.CorruptionError, match=f"a block of {size} bytes says it holds {says}"):
            get(forged.open(), b"key000")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("by", [-1, 1, 5])
def test_a_block_that_unpacks_to_another_size(codec: str, by: int) -> None:
    forged = Forgery(codec=codec)
    at, size = forged.first_packed()
    says = struct.unpack_from("<I", forged.data)[0] + by
    forged.block(at, size, lambda b: b.__setitem__(slice(0, 4), struct.pack("<I", says)))
    table = forged.open()
    for ask in (lambda: get(table, b"key000"), lambda: list(scan(table)), table.verify):
        with pytest.raises(lsm.CorruptionError, match="cannot decompress the block"):
            ask()


@pytest.mark.parametrize("kind", [3, 5, 200, 255], ids=["range delete", "5", "200", "255"])
def test_verify_finds_an_entry_of_a_kind_that_there_is_not(kind: int) -> None:
    """Range deletes have a block of their own; an entry of another unknown kind would be merged, kept and copied as if it were one."""
    forged = Forgery()
    at, size = forged.first_packed()
    forged.block(at, size, lambda b: b.__setitem__(3 + len(b"key000"), kind))
    with pytest.raises(lsm.CorruptionError, match="an entry of a kind that there is not"):
        forged.open().verify()


def test_a_codec_that_nobody_knows() -> None:
    forged = Forgery()
    at, size = forged.first_packed()
    forged.block(at, size, lambda b: b.__setitem__(size, 99))
    with pytest.raises(lsm.InvalidOptions, match="codec 99"):
        get(forged.open(), b"key000")


def test_a_filter_that_is_not_well_formed() -> None:
    for place, value in ((0, 2), (1, 9), (2, 0), (2, 65), (3, 1), (8, 1), (15, 255)):
        forged = Forgery()
        forged.block(*forged.handle(FILTER), lambda b, p=place, v=value: b.__setitem__(p, v))
        with pytest.raises(lsm.CorruptionError, match="the filter is not well formed"):
            forged.open()


def test_verify_finds_a_filter_that_denies_a_key() -> None:
    forged = Forgery()
    at, size = forged.handle(FILTER)
    forged.block(at, size, lambda b: b.__setitem__(slice(16, size), bytes(size - 16)))
    with pytest.raises(lsm.CorruptionError, match="the filter denies a key of the table"):
        forged.open().verify()
