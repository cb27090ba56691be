"""How costs grow: one row a layout."""

from __future__ import annotations

from dataclasses import dataclass

from .cost import Mark, cost


@dataclass(frozen=True)
class Orders:
    """O() of each cost. T size ratio, L levels, B entries a page, s entries in a range, p rate of one filter e^(-M/N), K and Z runs."""

    update: str
    zero_result: str
    existing: str
    short_range: str
    long_range: str
    space: str


ORDERS = {
    "leveling": Orders("T*L/B", "p", "1", "L", "s/B", "1/T"),
    "1-leveling": Orders("T*L/B", "p", "1", "L", "s/B", "1/T"),
    "lazy-leveling": Orders("(L+T)/B", "p", "1", "1+T*(L-1)", "s/B", "1/T"),
    "tiering": Orders("L/B", "p*T", "1+p*T", "T*L", "T*s/B", "T"),
    "fluid": Orders("(L*T/K+T/Z)/B", "p*K^(1/T)*Z^((T-1)/T)", "1+p*Z", "Z+K*(L-1)", "Z*s/B", "Z-1+1/T"),
}


@cost("C20", "how costs grow", "O() of pages, or of obsolete entries a live one", "Dostoevsky (SIGMOD 2018) Figures 6, 8; Luo and Carey "
      "(VLDB Journal 2020) Table 1", (Mark.PDF,), "")  # fmt: skip
def orders() -> dict[str, Orders]:
    """Asymptotic costs of leveling, lazy leveling, tiering and Fluid LSM, filters by Monkey. They are what C6, C9, C11 and C13 to C19 come
    to without constants; the tests hold the two together."""
    return dict(ORDERS)
