"""AES-256-GCM by libcrypto: the vectors of NIST and of the proposal, the package cryptography, and what is refused."""

from __future__ import annotations

import errno
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import recovery

# McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, cases 13 to 16 (also in NIST's CAVS gcmEncryptExtIV256).
_KEY = "feffe9928665731c6d6a8f9467308308" * 2
_TEXT = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
_SEALED = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
VECTORS = [  # key, nonce, aad, text, sealed, tag
    ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    ("00" * 32, "00" * 12, "", "00" * 16, "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
    (_KEY, "cafebabefacedbaddecaf888", "", _TEXT, _SEALED, "b094dac5d93471bdec1a502270e3cc6c"),
    (
        _KEY,
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        _TEXT[:-8],
        _SEALED[:-8],
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
]


@pytest.mark.parametrize("vector", VECTORS)
def test_known_answers(vector: tuple[str, ...]) -> None:
    key, nonce, aad, text, sealed, tag = (bytes.fromhex(v) for v in vector)
    crypto = recovery.load_crypto()
    assert crypto.seal(key, nonce, text, aad) == sealed + tag
    assert crypto.open(key, nonce, sealed + tag, aad) == text


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, 100_001])
def test_it_agrees_with_cryptography(size: int) -> None:
    key, nonce, text, aad = os.urandom(32), os.urandom(12), os.urandom(size), os.urandom(size % 50)
    sealed = recovery.load_crypto().seal(key, nonce, text, aad)
    assert sealed == AESGCM(key).encrypt(nonce, text, aad)
    assert recovery.load_crypto().open(key, nonce, sealed, aad) == text


def test_whatever_is_changed_is_refused() -> None:
    crypto, key, nonce = recovery.load_crypto(), bytes(32), bytes(12)
    sealed = crypto.seal(key, nonce, b"text", b"more")
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(OSError) as caught:
            crypto.open(key, nonce, changed, b"more")
        assert caught.value.errno == errno.EBADMSG
    for other in ((bytes(31) + b"\1", nonce, b"more"), (key, bytes(11) + b"\1", b"more"), (key, nonce, b"mode")):
        with pytest.raises(OSError):
            crypto.open(other[0], other[1], sealed, other[2])
    for bad in ((b"short", nonce), (key, b"short")):
        with pytest.raises(ValueError, match="has 5 bytes"):
            crypto.seal(*bad, b"text")
    with pytest.raises(ValueError, match="has 3 bytes"):
        crypto.open(key, nonce, b"abc")
