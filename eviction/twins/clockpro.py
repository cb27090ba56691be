"""CLOCK-Pro (Jiang, Chen and Zhang, CLOCK-Pro: an effective improvement of the CLOCK replacement, USENIX ATC 2005, 3.2 to 3.4), adaptive.

Where the paper is silent, as its authors' program: promotion fails when the hot hand comes to the page before it finds an unused hot one;
while the cache fills, pages are hot as long as there is room for hot ones; an immediate repeat of the last key tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HOT, COLD, TEST, GHOST = "hot", "cold", "test", "ghost"  # TEST: cold, resident, in its test period


@dataclass
class Page:
    """What is known of a key in the list."""

    state: str
    weight: int
    used: bool = False


class ClockPro:
    """A cache of keys with weights. order: keys, oldest first; hands: where the next search for the oldest of a kind begins."""

    def __init__(self, capacity: int, cold: float = 0.01, ghosts: float = 2) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.least = max(int(capacity * cold), min(2, capacity))
        self.ghosts_most = int(capacity * ghosts)
        self.ghost_nodes = int(capacity * ghosts + 2)
        self.order: list[int] = []
        self.pages: dict[int, Page] = {}
        self.hands: dict[str, int | None] = {HOT: None, COLD: None, TEST: None}
        self.last: int | None = None
        self.room = 0  # for cold pages
        self._more_room(0)

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        page = self.pages.get(key)
        if page is not None and page.state != GHOST:
            page.used |= key != self.last
            self.last = key
            return True
        if weight > self.c:
            return False
        while self._weigh(HOT, COLD, TEST) + weight > self.c:
            self._evict()
        filling = not self._weigh(COLD, TEST, GHOST) and self._weigh(HOT) + weight <= self._hot_most()
        hot = self._can_promote(key, weight) if self._state(key) == GHOST else filling
        if key in self.pages:
            self._unlink(key)
        self.order.append(key)
        self.pages[key] = Page(HOT if hot else TEST, weight)
        self.last = key
        if self._weigh(HOT):
            self._settle_hot()
        return False

    def _state(self, key: int) -> str | None:
        return self.pages[key].state if key in self.pages else None

    def _weigh(self, *states: str) -> int:
        return sum(p.weight for p in self.pages.values() if p.state in states)

    def _hot_most(self) -> int:
        return max(0, self.c - self.room)

    def _more_room(self, by: int) -> None:
        most = max(self.least, self.c - self.least if self.c > self.least else self.c)
        self.room = min(most, max(self.least, 0, self.room + by))

    # The list and its hands

    def _newer(self, key: int) -> int | None:
        at = self.order.index(key) + 1
        return self.order[at] if at < len(self.order) else None

    def _unlink(self, key: int) -> None:
        for hand, at in self.hands.items():
            if at == key:
                self.hands[hand] = self._newer(key)
        self.order.remove(key)
        del self.pages[key]

    def _to_front(self, key: int, state: str) -> None:
        page = self.pages[key]
        self._unlink(key)
        self.order.append(key)
        self.pages[key] = Page(state, page.weight)

    def _settle(self, hand: str, kind: Callable[[Page], bool]) -> int | None:
        at = self.hands[hand]
        if at is None and self.order:
            at = self.order[0]
        while at is not None and not kind(self.pages[at]):
            at = self._newer(at)
        self.hands[hand] = at
        return at

    def _end_test(self, key: int) -> None:
        page = self.pages[key]
        if page.state == GHOST:
            self._more_room(-page.weight)
            self._unlink(key)
        elif page.state == TEST:
            page.state = COLD
            self._more_room(page.weight if page.used else -page.weight)

    def _settle_hot(self) -> None:
        """The hot hand rests at the oldest hot page; what is below it has had its time."""
        if self.hands[HOT] is None:
            self.hands[HOT] = self.order[0]
        while (at := self.hands[HOT]) is not None and self.pages[at].state != HOT:
            self.hands[HOT] = self._newer(at)
            self._end_test(at)

    def _run_hot(self, until: int | None) -> bool:
        """Go on to an unused hot page, which turns cold; False when the hand comes to `until` first."""
        while self._weigh(HOT):
            at = self.hands[HOT]
            if at is None:
                at = self.order[0]
            self.hands[HOT] = at
            if at == until:
                return False
            self.hands[HOT] = self._newer(at)
            if self.pages[at].state != HOT:
                self._end_test(at)
            elif self.pages[at].used:
                self._to_front(at, HOT)
            else:
                self._to_front(at, COLD)
                self._settle_hot()
                return True
        return False

    def _can_promote(self, key: int, weight: int) -> bool:
        self._more_room(weight)
        while self._weigh(HOT) + weight > self._hot_most():
            if self._state(key) not in (TEST, GHOST) or not self._run_hot(key):
                return False
        return True

    def _evict(self) -> None:
        while True:
            key = self._settle(COLD, lambda p: p.state in (COLD, TEST))
            if key is None:
                self._run_hot(None)
                continue
            page = self.pages[key]
            if not page.used:
                break
            self._to_front(key, HOT if page.state == TEST and self._can_promote(key, page.weight) else TEST)
        if key == self.last:
            self.last = None
        if page.state == TEST and sum(p.state == GHOST for p in self.pages.values()) < self.ghost_nodes:
            page.state = GHOST
            while self._weigh(GHOST) > self.ghosts_most and (at := self._settle(TEST, lambda p: p.state in (TEST, GHOST))) is not None:
                self.hands[TEST] = self._newer(at)
                self._end_test(at)
        else:
            self._unlink(key)

    def dump(self) -> str:
        """Return the list, newest first, as the native policy writes it."""
        marks = {key: "*" if p.used and p.state != GHOST else "" for key, p in self.pages.items()}
        text = "".join(f" {key}/{self.pages[key].state}{marks[key]}" for key in reversed(self.order))
        return f"clockpro: room={self.room}\nlist:{text}\n"
