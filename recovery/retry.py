"""Retries and a circuit breaker around a target that is elsewhere: a backup store, an archive. Never around a read or write of the engine.

    closed --fail_max failures in a row--> open --reset_after seconds--> half-open --success--> closed
                                            ^                                 |
                                            +------------- failure -----------+

A call is tried a few times, with exponential backoff and full jitter (tenacity; AWS Architecture Blog, "Exponential Backoff And Jitter");
when all attempts failed, that is one failure to the breaker (pybreaker; Nygard, "Release It!"). While it is open, calls are refused.
"""

from __future__ import annotations

import errno
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import pybreaker
import tenacity

from .failures import Severity, classify
from .native import LockHeld

T = TypeVar("T")


class TargetUnavailable(OSError):
    """The circuit breaker is open: the target failed often, and it is not asked for a while."""


class Guard:
    """Makes the calls to one target. Any thread. What it counts is in :attr:`metrics`."""

    def __init__(
        self,
        name: str,
        *,
        attempts: int = 4,
        first_wait: float = 0.1,
        longest_wait: float = 5.0,
        fail_max: int = 3,
        reset_after: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        seed: int | None = None,
    ) -> None:
        """Waits in seconds: up to first_wait, then up to twice that, ..., at most longest_wait. seed: of the jitter."""
        self.name = name
        self._sleep, self._random = sleep, random.Random(seed)
        self._attempts, self._first, self._longest = attempts, first_wait, longest_wait
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.last_error: BaseException | None = None
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=fail_max,
            reset_timeout=reset_after,
            exclude=[lambda e: isinstance(e, LockHeld) or classify(e) is Severity.FATAL],  # a target that somebody uses is well
            throw_new_error_on_trip=False,
            name=name,
        )

    @property
    def state(self) -> str:
        """The breaker's: closed, open or half-open."""
        return str(self._breaker.current_state)

    @property
    def metrics(self) -> dict[str, int]:
        """calls, retries, failures (of whole calls), refused (by the open breaker), and failures by severity."""
        with self._lock:
            names = ("calls", "retries", "failures", "refused", *(s.value for s in Severity))
            return {name: self._counts[name] for name in names}

    def _count(self, *names: str) -> None:
        with self._lock:
            self._counts.update(names)

    def call(self, work: Callable[..., T], *args: Any) -> T:
        """Return work(*args), which may safely be done twice. Raises its last error, or TargetUnavailable without having tried."""
        self._count("calls")
        try:
            return self._breaker.call(self._try, work, *args)  # type: ignore[no-any-return]
        except pybreaker.CircuitBreakerError:
            self._count("refused")
            told = f"; the last error: {self.last_error}" if self.last_error else ""
            raise TargetUnavailable(errno.EAGAIN, f"{self.name} is not asked for a while: it failed too often{told}") from None
        except BaseException as e:
            self.last_error = e
            self._count("failures", classify(e).value)
            raise

    def _try(self, work: Callable[..., T], *args: Any) -> T:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, Exception) and classify(e).retry),
            before_sleep=lambda _: self._count("retries"),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(work, *args)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        return self._random.uniform(0, min(self._longest, self._first * 2 ** (state.attempt_number - 1)))
