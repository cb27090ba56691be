"""The model: what a database must answer, as plain sorted dicts. No engine code, no tricks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sortedcontainers import SortedDict

State = dict[str, dict[bytes, bytes]]
Operation = tuple[str, str, bytes, bytes]  # (put | delete | delete_range, keyspace, key or start, value or stop)


def change(space: SortedDict, kind: str, first: bytes, second: bytes) -> None:
    """Apply one operation to a keyspace in place. O(log n), of a range O(log n) a key."""
    if kind == "put":
        space[first] = second
    elif kind == "delete":
        space.pop(first, None)
    else:
        for key in list(space.irange(first, second, inclusive=(True, False))):
            del space[key]


def apply(state: State, operations: Iterable[Operation]) -> State:
    """Return the state after the operations, in order; the old one is left as it was."""
    new = {name: SortedDict(space) for name, space in state.items()}
    for kind, name, first, second in operations:
        change(new.setdefault(name, SortedDict()), kind, first, second)
    return {name: dict(space) for name, space in new.items()}


def scan(
    space: dict[bytes, bytes],
    start: bytes | None = None,
    stop: bytes | None = None,
    *,
    prefix: bytes | None = None,
    reverse: bool = False,
    limit: int | None = None,
) -> list[tuple[bytes, bytes]]:
    """Return what a scan of one keyspace yields."""
    keys = sorted(
        k for k in space if (start is None or k >= start) and (stop is None or k < stop) and (prefix is None or k.startswith(prefix))
    )
    if reverse:
        keys.reverse()
    return [(k, space[k]) for k in keys[:limit]]


class Model:
    """A database that remembers which of its states a power loss may bring back: those since the last one known to be durable.

    ``state`` is the newest acknowledged one, changed in place; `freeze` copies it.
    """

    def __init__(self) -> None:
        self.state: dict[str, SortedDict] = {"default": SortedDict()}
        self._durable: State = {"default": {}}
        self._since: list[list[Operation]] = []

    def freeze(self) -> State:
        """Return a copy of the newest state."""
        return {name: dict(space) for name, space in self.state.items()}

    def write(self, operations: Iterable[Operation], *, durable: bool = False) -> None:
        """One acknowledged atomic write; durable when it was synced."""
        done = list(operations)
        for kind, name, first, second in done:
            change(self.state[name], kind, first, second)
        self._since.append(done)
        if durable:
            self.made_durable()

    def made_durable(self) -> None:
        """Everything acknowledged so far was synced."""
        self._durable, self._since = self.freeze(), []

    def made_space(self, name: str) -> None:
        """A keyspace was made: that is durable at once, and of what was written before a power loss may still bring back any state."""
        self.state[name], self._durable[name] = SortedDict(), {}

    def dropped_space(self, name: str) -> None:
        """A keyspace was dropped, durably."""
        del self.state[name], self._durable[name]
        self._since = [[o for o in done if o[1] != name] for done in self._since]

    def possible(self) -> Iterator[State]:
        """Yield the states that a power loss may bring back, newest first. O(writes x size), for a few of each."""
        states, now = [self._durable], {name: SortedDict(space) for name, space in self._durable.items()}
        for done in self._since:
            for kind, name, first, second in done:
                change(now[name], kind, first, second)
            states.append({name: dict(space) for name, space in now.items()})
        return reversed(states)

    def went_back(self, found: State) -> bool:
        """Go on from what was found after a power loss. False, and no change, when that is none of the possible states."""
        if all(found != state for state in self.possible()):
            return False
        self.state = {name: SortedDict(space) for name, space in found.items()}
        self.made_durable()
        return True
