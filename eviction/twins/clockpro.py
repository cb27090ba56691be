"""CLOCK-Pro (Jiang, Chen and Zhang, CLOCK-Pro: an effective improvement of the CLOCK replacement, USENIX ATC 2005, 3.2 to 3.4), adaptive,
and CLOCK-Pro+ (Li, CLOCK-Pro+: improving CLOCK-Pro cache replacement with utility-driven adaptation, SYSTOR 2019).

Pages lie in one list by recency; a page changes place only to go to the head. So a hand is the oldest page of its sort, and what is older
than the hot hand has no test period. Where the paper is silent: pages are hot while the cache warms up, until only the least share of cold
ones is free; an immediate repeat of a request sets no bit; a page that the hot hand comes to before it found an unused hot page is not
promoted (both as in the authors' program); ghosts weigh at most twice the capacity, in CLOCK-Pro+ once. With weights a step of the target
is scaled by the weight, and where no cold page is left the hot hand makes one. Hit for hit Caffeine's simulator; how far the authors' own
program (1.4 points) and libCacheSim's (21) are below is in csrc/clockpro.c.
"""

from __future__ import annotations

from dataclasses import dataclass

HOT, COLD, GHOST = "hot", "cold", "ghosts"


@dataclass
class Page:
    """A page: its sort, whether it is in its test period (a ghost always is), its reference bit, whether the hot hand demoted it."""

    weight: int
    sort: str
    test: bool = False
    bit: bool = False
    demoted: bool = False


class ClockPro:
    """A cache of keys with weights. pages: key -> page, oldest first: the paper's head is last; target: weight for cold pages."""

    name, most_share, ghost_share = "clockpro", 0.99, 2

    def __init__(self, capacity: int) -> None:
        """Start empty; capacity in weight units."""
        self.c = capacity
        self.least = max(int(capacity * 0.01), min(2, max(capacity - 1, min(capacity, 1))))
        self.most = max(self.least, min(int(capacity * self.most_share), capacity - self.least))
        self.target = self.least
        self.pages: dict[int, Page] = {}
        self.last: int | None = None

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        page = self.pages.get(key)
        if page is not None and page.sort != GHOST:
            page.bit = page.bit or key != self.last
            self.last = key
            return True
        if weight > self.c:
            return False
        while self._weight(HOT, COLD) + weight > self.c:
            self._run_cold()
        ghost = self.pages.get(key)  # its test period may have ended meanwhile
        if self._weight(HOT, COLD) + weight <= self.c - self.least and self._weight(HOT) + weight <= self.c - self.target:
            hot = True
        else:
            hot = ghost is not None and self._can_promote(key, ghost, weight)
        self.pages.pop(key, None)
        self.pages[key] = Page(weight, HOT) if hot else Page(weight, COLD, test=True)
        self._pass(self._oldest(HOT))
        self.last = key
        return False

    def _weight(self, *sorts: str) -> int:
        return sum(page.weight for page in self.pages.values() if page.sort in sorts)

    def _oldest(self, sort: str) -> int | None:
        return next((key for key, page in self.pages.items() if page.sort == sort), None)

    def _to_head(self, key: int, page: Page) -> None:
        self.pages.pop(key, None)
        self.pages[key] = page

    def _run_cold(self) -> None:
        """Hand cold: free a page, or find that it is used and look at the next one the next time."""
        key = self._oldest(COLD)
        if key is None:
            self._run_hot(None)
            return
        page = self.pages[key]
        if not page.bit:
            if page.test:
                page.sort = GHOST
                while self._weight(GHOST) > self.c * self.ghost_share:
                    self._end_test(self._oldest(GHOST))
            else:
                del self.pages[key]
        else:
            hot = page.test and self._can_promote(key, page, page.weight)
            if page.demoted:
                self._demoted_used(page)
            self._to_head(key, Page(page.weight, HOT) if hot else Page(page.weight, COLD, test=True))
            self._pass(self._oldest(HOT))  # it may be the only hot page

    def _can_promote(self, key: int, page: Page, weight: int) -> bool:
        """A page that weighs this was used in its test period: is there room for it to be hot, if need be by demoting others?"""
        self._used_in_test(page, weight)
        page.bit = False
        while self._weight(HOT) + weight > self.c - self.target:
            if not page.test and (page.sort == COLD or key not in self.pages):
                return False
            if not self._run_hot(key):
                return False
        return True

    def _run_hot(self, trigger: int | None) -> bool:
        """Hand hot: demote the oldest hot page without its bit; False when the hand comes to the trigger before."""
        while (key := self._oldest(HOT)) is not None:
            page = self.pages[key]
            if not page.bit:
                self._to_head(key, Page(page.weight, COLD, demoted=True))
                self._pass(self._oldest(HOT))
                return True
            self._to_head(key, Page(page.weight, HOT))
            for other in [*self.pages]:
                if other == trigger:
                    self._pass(self._oldest(HOT))
                    return False
                if self.pages[other].sort == HOT:
                    break
                self._look(self.pages[other])
                self._end_test(other)
        return False

    def _pass(self, until: int | None) -> None:
        """End every test period of what is older."""
        for key in [*self.pages] if until is not None else []:
            if key == until:
                break
            self._end_test(key)

    def _end_test(self, key: int | None) -> None:
        assert key is not None
        page = self.pages[key]
        if page.test:
            page.test = False
            self._test_ended(page)
            if page.sort == GHOST:
                del self.pages[key]

    def _move(self, by: int) -> None:
        self.target = min(self.most, max(self.least, self.target + by))

    def _used_in_test(self, page: Page, weight: int) -> None:
        self._move(weight)

    def _test_ended(self, page: Page) -> None:
        self._move(page.weight if page.bit else -page.weight)

    def _look(self, page: Page) -> None:
        """Hand hot, searching, comes past a page."""

    def _demoted_used(self, page: Page) -> None:
        page.demoted = False

    def dump(self) -> str:
        """Return target and sorts, newest first, as the native policy writes them: ? in test, ! demoted, * reference bit."""
        lines = [f"{self.name}: cold={self.target}"]
        for sort in (HOT, COLD, GHOST):
            line = f"{sort}:"
            for key, page in reversed(self.pages.items()):
                if page.sort == sort:
                    marks = ("?" if page.test and sort == COLD else "") + ("!" if page.demoted and self.name == "clockpro+" else "")
                    line += f" {key}{marks}" + ("*" if page.bit else "")
            lines.append(line)
        return "\n".join(lines) + "\n"


class ClockProPlus(ClockPro):
    """CLOCK-Pro whose target moves as ARC's: a used ghost asks for more cold room, a used page that the hot hand demoted for less."""

    name, most_share, ghost_share = "clockpro+", 0.5, 1

    def _demoted(self) -> int:
        return sum(page.weight for page in self.pages.values() if page.demoted)

    def _used_in_test(self, page: Page, weight: int) -> None:
        if page.sort == GHOST:
            self._move(max(1, self._demoted() // self._weight(GHOST)) * weight)

    def _test_ended(self, page: Page) -> None:
        pass

    def _look(self, page: Page) -> None:
        if page.demoted and page.bit:
            self._demoted_used(page)

    def _demoted_used(self, page: Page) -> None:
        self._move(-max(1, self._weight(GHOST) // self._demoted()) * page.weight)
        page.demoted = False
