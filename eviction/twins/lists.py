"""What the twins share that keep several queues: a queue is a dict of key -> weight, oldest first."""

from __future__ import annotations

Queue = dict[int, int]


def size(*queues: Queue) -> int:
    """Return the weight of all keys."""
    return sum(sum(queue.values()) for queue in queues)


def oldest(queue: Queue) -> int:
    """Return the oldest key."""
    return next(iter(queue))


def pop_oldest(queue: Queue) -> tuple[int, int]:
    """Take out the oldest: (key, weight)."""
    key = oldest(queue)
    return key, queue.pop(key)


def move(key: int, source: Queue, target: Queue) -> None:
    """Make a key the newest of a queue, which may be the one it is in."""
    target[key] = source.pop(key)


def share(capacity: int, fraction: float) -> int:
    """Return a part of the capacity, rounded down, but at least 1: so every part works at any capacity."""
    return max(1, int(capacity * fraction))


def add_ghost(ghosts: Queue, key: int, weight: int, room: int) -> None:
    """Remember an evicted key, and forget the oldest until the ghosts weigh at most ``room`` (but keep the newest)."""
    ghosts[key] = weight
    while size(ghosts) > room and len(ghosts) > 1:
        pop_oldest(ghosts)


def line(name: str, queue: Queue, stars: dict[int, int] | None = None) -> str:
    """Return a queue as the native policies write it: newest first, a star for each count in ``stars``."""
    return f"{name}:" + "".join(f" {key}{'*' * (stars or {}).get(key, 0)}" for key in reversed(queue)) + "\n"
