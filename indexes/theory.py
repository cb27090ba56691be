"""False-positive rates of the filters in closed or summed form, and the number of probes that makes them least.

Bloom: Bloom, CACM 1970; in this form Broder and Mitzenmacher, "Network applications of Bloom filters", Internet Mathematics 2004,
section 2.1.
Counting Bloom: the same with a quarter of the cells.
Blocked Bloom: Putze, Sanders, Singler, WEA 2007, section 3.1 (the Poisson sum), here with the exact occupancy of a block in place of
their approximation of it.
Cuckoo: Fan, Andersen, Kaminsky, Mitzenmacher, CoNEXT 2014, section 5.1.
Ribbon: Dillinger and Walzer, 2021, section 4. Binary fuse and xor: Graf and Lemire, JEA 2022 and 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np


def bloom_fpr(bits_per_key: float, k: int | None = None) -> float:
    """Return (1 - e^(-k / b))^k, k by default the best number of probes. bits_per_key > 0."""
    k = best_k(bits_per_key, bloom_fpr) if k is None else k
    return float(-math.expm1(-k / bits_per_key)) ** k


@lru_cache(maxsize=4096)
def blocked_bloom_fpr(bits_per_key: float, k: int | None = None, block_bits: int = 512) -> float:
    """Return the rate with blocks of block_bits: sum over i of Poisson(i; block_bits / b) * E[(share of bits set by i keys)^k].

    The distribution of the number of set bits follows from throwing them one by one (with repetition) into the block.
    O(k * keys a block * block_bits).
    """
    k = best_k(bits_per_key, blocked_bloom_fpr) if k is None else k
    load = block_bits / bits_per_key
    share = np.arange(block_bits + 1) / block_bits
    bits_set = np.zeros(block_bits + 1)
    bits_set[0] = 1.0
    total = 0.0
    for keys in range(1, int(load + 12 * math.sqrt(load) + 20) + 1):
        for _ in range(k):
            grown = bits_set * share
            grown[1:] += bits_set[:-1] * (1 - share[:-1])
            bits_set = grown
        weight = math.exp(keys * math.log(load) - load - math.lgamma(keys + 1))
        total += weight * float(bits_set @ share**k)
    return total


def best_k(bits_per_key: float, fpr: Callable[[float, int], float]) -> int:
    """Return the number of probes with the least rate (it has one minimum)."""
    k = 1
    while fpr(bits_per_key, k + 1) < fpr(bits_per_key, k):
        k += 1
    return k


def counting_bloom_fpr(bits_per_key: float) -> float:
    """Return the rate of a Bloom filter with a counter of 4 bits for each of its bits."""
    return bloom_fpr(bits_per_key / 4)


def cuckoo_fpr(bits: int, load: float) -> float:
    """Return 1 - (1 - 1 / (2^bits - 1))^(8 load): a probe meets the used ones of eight slots, each alike with that chance."""
    return -math.expm1(8 * load * math.log1p(-1 / (2**bits - 1)))


def ribbon_fpr(columns: float) -> float:
    """Return the rate with a number of columns a key: 2^-columns, and between whole numbers the mean over the parts of the filter that
    have one or the other."""
    whole = math.floor(columns)
    return (1 - columns + whole) * 2.0**-whole + (columns - whole) * 2.0 ** -(whole + 1)


def fingerprint_fpr(bits: int) -> float:
    """Return 2^-bits: binary fuse and xor filters, whose probe compares one fingerprint."""
    return 2.0**-bits
