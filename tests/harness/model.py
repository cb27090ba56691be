"""The model: what a database must answer, as plain dicts. No engine code, no tricks."""

from __future__ import annotations

from collections.abc import Iterable

from sortedcontainers import SortedDict

State = dict[str, dict[bytes, bytes]]
Operation = tuple[str, str, bytes, bytes]  # (put | delete | delete_range, keyspace, key or start, value or stop)


def apply(state: State, operations: Iterable[Operation]) -> State:
    """Return the state after the operations, in order; the old one is left as it was."""
    new = dict(state)
    for kind, name, first, second in operations:
        space = SortedDict(new.get(name, {}))
        if kind == "put":
            space[first] = second
        elif kind == "delete":
            space.pop(first, None)
        else:
            for key in list(space.irange(first, second, inclusive=(True, False))):
                del space[key]
        new[name] = dict(space)
    return new


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
    """A database that remembers which of its states a power loss may bring back.

    ``state`` is the newest acknowledged one. ``possible`` are all states since the last one that is known to be durable, oldest
    first: after a power loss the database must equal one of them.
    """

    def __init__(self) -> None:
        self.state: State = {"default": {}}
        self.possible: list[State] = [self.state]

    def write(self, operations: Iterable[Operation], *, durable: bool = False) -> None:
        """One acknowledged atomic write; durable when it was synced."""
        self.state = apply(self.state, operations)
        self.possible.append(self.state)
        if durable:
            self.made_durable()

    def made_durable(self) -> None:
        """Everything acknowledged so far was synced."""
        self.possible = [self.state]

    def lost_power(self, found: State) -> None:
        """Check what a reopen found after a power loss and go on from there."""
        if found not in self.possible:
            raise AssertionError(
                f"after power loss: {found}\nis none of the {len(self.possible)} states since the last sync: {self.possible}"
            )
        self.state = found
        self.made_durable()
