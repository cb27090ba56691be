"""eviction.cached: the habits of functools.lru_cache and cachetools; one call a missing key at a time; coroutines."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import eviction

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@eviction.cached("lru", maxsize=3)
def square(x: int) -> int:
    """Square."""
    calls.append(x)
    return x * x


def test_a_function_is_remembered() -> None:
    square.cache_clear()
    assert [square(x) for x in (2, 3, 2, 4, 5, 2)] == [4, 9, 4, 16, 25, 4]
    assert calls == [2, 3, 4, 5]
    assert square.cache_info() == (2, 4, 3, 3)
    assert square.cache_info() == eviction.CacheInfo(hits=2, misses=4, maxsize=3, currsize=3)
    assert square.cache_parameters() == {"maxsize": 3, "typed": False, "policy": "lru", "ttl": None}
    square.cache_clear()
    assert square.cache_info() == (0, 0, 3, 0)
    assert square(2) == 4
    assert calls[-1] == 2


def test_it_looks_like_the_function() -> None:
    assert (square.__name__, square.__doc__, square.__module__) == ("square", "Square.", __name__)
    assert square.__wrapped__(7) == 49
    assert inspect.signature(square).parameters.keys() == {"x"}
    assert copy.copy(square) is copy.deepcopy(square) is pickle.loads(pickle.dumps(square)) is square
    assert "square" in repr(square)
    assert weakref.ref(square)() is square
    assert square.cache_key is None
    assert square.cache.policy == "lru"
    square.mine = 5  # type: ignore[attr-defined]
    assert square.__dict__["mine"] == 5


def test_every_way_to_write_it() -> None:
    @eviction.cached
    def bare(x: int) -> int:
        return x

    @eviction.cached()
    def empty(x: int) -> int:
        return x

    shared: eviction.Cache[Any, Any] = eviction.Cache("sieve", 7)

    @eviction.cached(shared)
    def given(x: int) -> int:
        return x

    assert bare(1) == empty(1) == given(1) == 1
    assert (bare.cache_info().maxsize, empty.cache_info().maxsize, given.cache_info().maxsize) == (128, 128, 7)
    assert dict(shared.items()) == {1: 1}
    with pytest.raises(TypeError, match="used as @cached"):
        eviction.cached("lru", len)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="no eviction policy"):
        eviction.cached("lur")(len)


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("maxsize", [None, 0, 1, 2, 5])
def test_as_functools(maxsize: int | None, typed: bool) -> None:
    def function(*args: Any, **named: Any) -> Any:
        return args, named

    ours, theirs = eviction.cached("lru", maxsize, typed=typed)(function), functools.lru_cache(maxsize, typed)(function)
    chance = random.Random(3)
    values = [1, 1.0, True, "1", None, (1,), (1, 2), "a", 2, -1, -2]
    for _ in range(3000):
        args = [chance.choice(values) for _ in range(chance.randrange(3))]
        names = chance.sample("abc", chance.randrange(3))
        named = {name: chance.choice(values) for name in names}
        assert ours(*args, **named) == theirs(*args, **named)
        assert ours.cache_info() == theirs.cache_info()


def test_arguments_that_cannot_be_hashed() -> None:
    for args, named in (([[]], {}), ([1], {"a": []})):
        with pytest.raises(TypeError, match="unhashable"):
            eviction.cached("lru")(lambda *a, **n: 1)(*args, **named)


def test_none_is_a_value() -> None:
    @eviction.cached
    def nothing(x: int) -> None:
        calls.append(x)

    assert nothing(1) is nothing(1) is None
    assert calls == [1]


def test_exceptions_are_not_remembered() -> None:
    @eviction.cached
    def fails(x: int) -> int:
        calls.append(x)
        if len(calls) < 3:
            raise ZeroDivisionError
        return x

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fails(1)
    assert fails(1) == fails(1) == 1
    assert len(calls) == 3
    assert fails.cache_info()[:2] == (1, 3)


def test_methods() -> None:
    class Shape:
        def __init__(self, side: int) -> None:
            self.side = side

        @eviction.cached("clock", 10)
        def area(self, times: int = 1) -> int:
            """Area."""
            calls.append(self.side)
            return self.side**2 * times

        @classmethod
        @eviction.cached
        def name(cls) -> str:
            return cls.__name__

        @staticmethod
        @eviction.cached
        def one(x: int) -> int:
            return x

    a, b = Shape(2), Shape(3)
    bound = a.area
    assert [a.area(), b.area(), a.area(), bound(), bound(times=2), Shape.area(a)] == [4, 9, 4, 4, 8, 4]
    assert calls == [2, 3, 2]
    assert Shape.area.cache_info().hits == 3
    assert (Shape.name(), a.one(5), a.area.__doc__) == ("Shape", 5, "Area.")


def test_keys() -> None:
    @eviction.cached(key=lambda self, x, *, log=None: x)
    def function(self: object, x: int, *, log: Any = None) -> int:
        calls.append(x)
        return x

    assert function([], 1, log={}) == function({}, 1) == 1
    assert calls == [1]
    assert function.cache_key is not None
    assert function.cache_key({}, 5) == 5
    with pytest.raises(TypeError):
        function()


def test_times_weights_and_pins() -> None:
    now = [0.0]

    @eviction.cached("lru", 10, ttl=5, getsizeof=len, timer=lambda: now[0])
    def text(n: int) -> str:
        calls.append(n)
        return "x" * n

    assert [len(text(n)) for n in (3, 3, 11, 11)] == [3, 3, 11, 11]
    assert calls == [3, 11, 11], "what does not fit is returned, not remembered"
    text.cache.pin(3)
    text(9)
    assert text.cache_info().currsize == 3
    now[0] = 5.0
    text(3)
    assert calls == [3, 11, 11, 9, 3]

    @eviction.cached(getsizeof=lambda value: -1)
    def bad() -> int:
        return 1

    for _ in range(2):
        with pytest.raises(ValueError, match="integer of 0 and more"):
            bad()


def test_recursion() -> None:
    @eviction.cached("s3fifo", None)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(150) == 9969216677189303386214405760200
    assert fibonacci.cache_info() == (148, 151, None, 151)

    @eviction.cached
    def endless(n: int) -> int:
        return endless(n)

    with pytest.raises(RecursionError):
        endless(1)
    assert endless.cache_info().currsize == 0


def in_threads(n: int, work: Callable[[int], Any]) -> list[Any]:
    results: list[Any] = [None] * n

    def run(at: int) -> None:
        try:
            results[at] = work(at)
        except Exception as problem:
            results[at] = problem

    threads = [threading.Thread(target=run, args=(at,), daemon=True) for at in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "somebody waits without end"
    return results


@pytest.mark.threads
def test_one_call_a_missing_key() -> None:
    begun = threading.Event()

    @eviction.cached
    def slow(x: int) -> int:
        calls.append(x)
        begun.wait(10)
        time.sleep(0.02)
        return x

    def work(at: int) -> int:
        if at == 7:
            begun.set()
        return slow(at % 2)

    assert in_threads(8, work) == [0, 1] * 4
    assert sorted(calls) == [0, 1]
    assert slow.cache_info() == (6, 2, 128, 2)


@pytest.mark.threads
@pytest.mark.parametrize("fits", [True, False])
def test_waiting_for_what_raises_or_does_not_fit(fits: bool) -> None:
    running: list[int] = []

    @eviction.cached(maxsize=10, getsizeof=lambda value: 1 if fits else 11)
    def fails(x: int) -> int:
        running.append(1)
        assert len(running) == 1, "one at a time"
        time.sleep(0.005)
        calls.append(x)
        running.pop()
        if fits and len(calls) < 4:
            raise ZeroDivisionError
        return x

    results = in_threads(6, lambda at: fails(5))
    assert len([r for r in results if isinstance(r, ZeroDivisionError)]) == (3 if fits else 0)
    assert results.count(5) == (3 if fits else 6)
    assert len(calls) == (4 if fits else 6)


@pytest.mark.threads
def test_who_would_wait_for_each_other_do_not() -> None:
    both = threading.Barrier(2)
    depth: list[int] = []

    @eviction.cached
    def ping(x: int) -> int:
        depth.append(x)
        if len(depth) <= 2:
            both.wait(10)
        return x if len(depth) > 6 else 1 + ping(1 - x)

    results = in_threads(2, ping)
    assert all(isinstance(r, int) for r in results), results


@pytest.mark.threads
def test_clearing_while_a_call_is_under_way() -> None:
    inside, go = threading.Event(), threading.Event()

    @eviction.cached
    def slow(x: int) -> int:
        calls.append(x)
        inside.set()
        go.wait(10)
        return len(calls)

    def work(at: int) -> int:
        if at == 0:
            return slow(1)
        inside.wait(10)
        slow.cache_clear()
        go.set()
        return slow(1)

    assert in_threads(2, work)[0] in (1, 2)
    assert slow(1) == 2, "what began before the clearing is not remembered"


@pytest.mark.threads
@pytest.mark.parametrize("policy", ["lru", "wtinylfu"])
def test_many_threads(policy: str) -> None:
    @eviction.cached(policy, 20, ttl=1e6)
    def double(x: tuple[int, str]) -> int:
        calls.append(x)
        return 2 * x[0]

    def work(at: int) -> None:
        chance = random.Random(at)
        for _ in range(2000):
            x = chance.randrange(60)
            assert double((x, "x")) == 2 * x
            if not chance.randrange(300):
                double.cache.clear()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert in_threads(4, work) == [None] * 4
    finally:
        sys.setswitchinterval(before)
    info = double.cache_info()
    assert info.hits + info.misses == 8000
    assert info.misses == len(calls)
    assert double.cache.check() is None


def test_keys_that_fail_to_compare() -> None:
    class Key:
        broken = False

        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            if Key.broken:
                raise ZeroDivisionError
            return self is other

    @eviction.cached
    def function(key: Key) -> int:
        calls.append(key)
        Key.broken = len(calls) == 2
        return len(calls)

    first, second = Key(), Key()
    assert function(first) == 1
    with pytest.raises(ZeroDivisionError):
        function(second)
    Key.broken = False
    assert (function(second), function(second), function(first)) == (3, 3, 1)


def test_cycles_are_collected() -> None:
    class Big: ...

    def make() -> weakref.ref[Any]:
        big = Big()

        @eviction.cached
        def function(x: Any) -> Any:
            return (x, function, big)

        function(big)
        return weakref.ref(big)

    gone = make()
    gc.collect()
    assert gone() is None


def test_coroutines() -> None:
    @eviction.cached("sieve", 4)
    async def slow(x: int) -> int:
        """Slow."""
        calls.append(x)
        await asyncio.sleep(0.001)
        return x * x

    async def work() -> None:
        assert await slow(2) == await slow(2) == 4
        assert await asyncio.gather(*(slow(at % 3) for at in range(9))) == [0, 1, 4] * 3
        assert sorted(calls) == [0, 1, 2]
        assert slow.cache_info() == (8, 3, 4, 3)

    assert inspect.iscoroutinefunction(slow)
    assert slow.__doc__ == "Slow."
    asyncio.run(work())
    slow.cache_clear()
    calls.clear()
    asyncio.run(work())  # in another loop


def test_coroutines_that_fail_or_are_cancelled() -> None:
    @eviction.cached
    async def fails(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.001)
        if len(calls) < 3:
            raise ZeroDivisionError
        return x

    async def work() -> None:
        first = asyncio.create_task(fails(1))
        others = [asyncio.create_task(fails(1)) for _ in range(4)]
        await asyncio.sleep(0)
        others[0].cancel()  # one who waits
        first.cancel()  # the one who calls
        results = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(r) for r in results] == [asyncio.CancelledError, asyncio.CancelledError, ZeroDivisionError, int, int]

    asyncio.run(work())
    assert len(calls) == 3


def test_coroutines_that_would_wait_for_each_other() -> None:
    @eviction.cached
    async def ping(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.001)
        return x if len(calls) > 6 else 1 + (await asyncio.gather(ping(1 - x)))[0]

    async def work() -> list[int]:
        return await asyncio.wait_for(asyncio.gather(ping(0), ping(1)), 20)

    assert all(isinstance(r, int) for r in asyncio.run(work()))


def test_coroutines_as_methods_with_keys_and_sizes() -> None:
    class Client:
        @eviction.cached(maxsize=3, key=lambda self, name: name, getsizeof=len)
        async def fetch(self, name: str) -> str:
            calls.append(name)
            return name

    async def work() -> None:
        for client in (Client(), Client()):
            assert [await client.fetch(name) for name in ("abc", "abc", "long")] == ["abc", "abc", "long"]

    asyncio.run(work())
    assert calls == ["abc", "long", "long"]
