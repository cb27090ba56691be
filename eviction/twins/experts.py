"""LeCaR (Vietri et al., HotStorage 2018) and CACHEUS (Rodriguez et al., FAST 2021, sections 4 and 5): two experts and what they regret.

Beside other programs, in points of hit ratio on the mean of the shared traces: cacheus is Caffeine's but for chance (+0.1); libCacheSim's
is 5.0 below and has nothing on loops. lecar is 2.0 above libCacheSim's, which forgets the count of a key that comes back: see
csrc/experts.c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .sketch import splitmix

RECENCY, FREQUENCY, NEITHER = 0, 1, 2


def thousandths(x: float) -> float:
    """Round as CACHEUS does between periods."""
    return math.floor(x * 1000 + 0.5) / 1000


@dataclass
class Entry:
    """What is known of a resident or a remembered key; used: when it was used last."""

    weight: int
    count: int
    used: int
    demoted: bool = False
    new: bool = False
    gone: int = 0


class LeCaR:
    """A cache of keys with weights. queues: residents (LeCaR has one), oldest first; histories: evicted keys by expert, oldest first."""

    name = "lecar"

    def __init__(
        self,
        capacity: int,
        *,
        weight: float = 0.5,
        history: float = 0.5,
        rate: float = 0.45,
        discount: float = 0.005,
        slots: int | None = None,
        seed: int = 0,
    ) -> None:
        """Start empty; capacity in weight units. weight: of the recency expert at first; history: the share of the capacity for each."""
        self.c, self.random, self.time = capacity, seed, 0
        self.slots = capacity if slots is None else slots
        self.queues: list[dict[int, Entry]] = [{}, {}]
        self.histories: list[dict[int, Entry]] = [{}, {}]
        self.weights = [weight, 1 - weight]
        self.history_most = int(history * capacity)
        self.rate, self.discount = rate, discount
        self.size = max(1, self.slots)  # how many residents fit: as many as there were at the last eviction

    def request(self, key: int, weight: int = 1) -> bool:
        """Request a key and tell whether it was a hit."""
        self.tick()
        for queue in self.queues:
            if key in queue:
                entry = queue[key]
                entry.count, entry.used = entry.count + 1, self.time
                self.on_hit(key, queue)
                return True
        if weight > self.c:
            return False
        entry = self.on_miss(key, weight)
        while sum(map(_size, self.queues)) + weight > self.c:
            self.evict()
        self.insert(key, entry)
        return False

    def tick(self) -> None:
        """A request begins."""
        self.time += 1

    def on_hit(self, key: int, queue: dict[int, Entry]) -> None:
        """Move the key to where it belongs."""
        queue[key] = queue.pop(key)

    def on_miss(self, key: int, weight: int) -> Entry:
        """Learn from the histories; return the new entry."""
        for expert, history in enumerate(self.histories):
            if key in history:
                old = history.pop(key)
                self.regret(expert, self.discount ** ((self.time - old.gone) / self.size))
                return Entry(weight, old.count + 1, self.time)
        return Entry(weight, 1, self.time)

    def insert(self, key: int, entry: Entry) -> None:
        """The key comes in."""
        self.queues[0][key] = entry

    def rank(self, entry: Entry) -> tuple[int, int]:
        """Return what the frequency expert goes by: the least leaves."""
        return entry.count, entry.used

    def regret(self, expert: int, how_much: float) -> None:
        """An expert's victim was wanted: it loses weight."""
        self.weights[expert] *= math.exp(-self.rate * how_much)
        total = sum(self.weights)
        self.weights = [min(0.99, max(0.01, w / total)) for w in self.weights]

    def draw(self) -> float:
        """Return a number in [0, 1)."""
        self.random, bits = splitmix(self.random)
        return (bits >> 11) * 2.0**-53

    def evict(self) -> None:
        """Ask one expert, at random by weight."""
        held = self.queues[0] | self.queues[1]
        self.size = len(held)
        old = next(iter(self.queues[0] or self.queues[1]))
        rare = min(held, key=lambda k: self.rank(held[k]))
        expert = RECENCY if self.draw() < self.weights[0] else FREQUENCY
        victim = old if expert == RECENCY else rare
        entry = held[victim]
        for queue in self.queues:
            queue.pop(victim, None)
        if old != rare and entry.weight <= self.history_most:
            history = self.histories[expert]
            while history and (_size(history) + entry.weight > self.history_most or len(history) > self.slots // 2):
                del history[next(iter(history))]
            history[victim] = entry
        entry.gone, entry.demoted = self.time, False

    def dump(self) -> str:
        """Return weights, queues and histories, newest first, as the native policy writes them."""
        rows = list(zip(("Q", "S"), self.queues, strict=True))[: 1 + (self.name == "cacheus")]
        text = f"{self.name}: weights={self.weights[0]:.4f},{self.weights[1]:.4f} rate={self.rate:.4f}\n"
        for name, queue in rows:
            keys = (f" {k}/{queue[k].count}{'d' * queue[k].demoted}{'n' * queue[k].new}" for k in reversed(queue))
            text += f"{name}:{''.join(keys)}\n"
        for name, history in zip(("recency", "frequency"), self.histories, strict=True):
            text += f"history of {name}:{''.join(f' {k}' for k in reversed(history))}\n"
        return text


class Cacheus(LeCaR):
    """The same idea with scan-resistant LRU in Q and S, churn-resistant LFU, and a rate that adapts."""

    name = "cacheus"

    def __init__(
        self, capacity: int, *, weight: float = 0.5, history: float = 0.5, q: float = 0.01, slots: int | None = None, seed: int = 0
    ) -> None:
        """Start empty; capacity in weight units. q: the share of Q at first."""
        super().__init__(capacity, weight=weight, history=history, slots=slots, seed=seed)
        self.q_most = max(1, int(q * capacity + 0.5))
        self.s_most = max(0, capacity - self.q_most)
        self.rate = self.now = math.sqrt(2 * math.log(2) / self.size)
        self.reset = min(max(self.rate, 0.001), 1)
        self.last = self.ratio = 0.0
        self.hits = self.requests = self.zeros = self.declines = 0

    def tick(self) -> None:
        """A request begins; at the end of a period the rate adapts."""
        super().tick()
        self.requests += 1
        if self.requests >= self.size:
            self._adapt()

    def on_hit(self, key: int, queue: dict[int, Entry]) -> None:
        """A hit in Q moves to S; of a demoted key, S grows."""
        self.hits += 1
        q, s = self.queues
        entry = queue.pop(key)
        if queue is q:
            if entry.demoted:
                queue[key] = entry  # the border is moved with it still in
                self._move_border(entry.weight, to_s=True)
                del queue[key]
                entry.demoted = False
            if s and _size(s) >= self.s_most:
                self._demote()
        s[key] = entry

    def on_miss(self, key: int, weight: int) -> Entry:
        """Learn from the histories; a key that Q evicted while new makes Q grow."""
        for expert, history in enumerate(self.histories):
            if key in history:
                old = history.pop(key)
                if expert == RECENCY and old.new:
                    self._move_border(weight, to_s=False)
                self.regret(expert, 1)
                self._way = "history"
                return Entry(weight, old.count, self.time)
        q, s = map(_size, self.queues)
        if s < self.s_most and not q:
            self._way = "s"
        else:
            self._way = "q" if s + q < self.c and q < self.q_most else "new"
        return Entry(weight, 1, self.time, new=self._way == "new")

    def insert(self, key: int, entry: Entry) -> None:
        """Into S when it fills or was remembered, else into Q."""
        self.queues[self._way in ("s", "history")][key] = entry
        while self._way in ("history", "new") and self.queues[1] and _size(self.queues[1]) >= self.s_most:
            self._demote()

    def rank(self, entry: Entry) -> tuple[int, int]:
        """Of the least count the most recent leaves."""
        return entry.count, -entry.used

    def _demote(self) -> None:
        key = next(iter(self.queues[1]))
        self.queues[0][key] = self.queues[1].pop(key)
        self.queues[0][key].demoted = True

    def _move_border(self, weight: int, *, to_s: bool) -> None:
        demoted = sum(e.weight for e in self.queues[0].values() if e.demoted)
        fresh = sum(e.weight for e in self.histories[RECENCY].values() if e.new)
        against, in_favour = (demoted, fresh) if to_s else (fresh, demoted)
        by = max(weight, int(weight * in_favour / max(weight, against) + 0.5))
        most = self.c - (self.c > 0)
        if to_s:
            self.s_most = min(most, self.s_most + by)
            self.q_most = self.c - self.s_most
        else:
            self.q_most = min(most, self.q_most + by)
            self.s_most = self.c - self.q_most

    def _adapt(self) -> None:
        """Follow what the last change of the rate did to the hit ratio."""
        ratio = thousandths(self.hits / self.requests)
        change = thousandths(ratio - self.ratio)
        step = thousandths(self.now) - thousandths(self.last)
        if step * change:
            by = abs(self.rate * step)
            self.rate = min(self.rate + by, 1) if step * change > 0 else max(self.rate - by, 0.001)
            self.zeros = self.declines = 0
        elif change <= 0:
            self.zeros += (ratio <= 0 and change == 0) + (change < 0)
            self.declines += change < 0
            self._correct(change)
        self.last, self.now, self.ratio, self.hits, self.requests = self.now, self.rate, ratio, 0, 0

    def _correct(self, change: float) -> None:
        if self.zeros >= 10:
            self.rate, self.zeros = self.reset, 0
        elif change < 0 and self.declines >= 10:
            self.rate, self.declines = self.reset, 0
        elif change < 0:
            if self.rate >= 1:
                self.rate = 0.9
            elif self.rate <= 0.001:
                self.rate = 0.005
            else:
                self.rate = min(self.rate * 1.25, 1) if self.draw() < 0.5 else max(self.rate * 0.75, 0.001)


def _size(entries: dict[int, Entry]) -> int:
    return sum(entry.weight for entry in entries.values())
