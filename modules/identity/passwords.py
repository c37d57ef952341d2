"""Passwords: the rules for new ones, and hashing that cannot take the process down."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from pwdlib.hashers.argon2 import Argon2Hasher

from coffee_core.domain.errors import FieldError, InputError, UnavailableError
from modules.identity.settings import IdentitySettings

T = TypeVar("T")

COMMON = frozenset(
    (
        "coffee-demo",
        "password12",
        "password123",
        "password1234",
        "passwordpassword",
        "1234567890",
        "0123456789",
        "9876543210",
        "12345678910",
        "123456789a",
        "1q2w3e4r5t",
        "qwertyuiop",
        "qwerty12345",
        "qwerty1234",
        "q1w2e3r4t5",
        "iloveyou123",
        "welcome123",
        "letmein123",
        "changeme123",
        "administrator",
        "admin12345",
        "abcdefghij",
        "abc1234567",
        "football123",
        "baseball123",
        "superman123",
        "trustno1234",
    )
)
"""Of ten and more characters: what is tried first, and the demo's own."""


def unified(password: str) -> str:
    """One form for what different keyboards send for the same characters (NFKC: NIST SP 800-63B section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, email: str, settings: IdentitySettings) -> str:
    """The password, unified; `InputError` says which rule it breaks. Length counts, composition does not (the same
    section of NIST's): no rule asks for digits or signs."""
    text = unified(password)
    folded = text.casefold()
    local = email.partition("@")[0]
    if not settings.password_min <= len(text) <= settings.password_max:
        detail = f"must have {settings.password_min} to {settings.password_max} characters"
    elif folded in COMMON or len(set(folded)) < 4:
        detail = "is one of those that are tried first: choose another"
    elif email in folded or (len(local) >= 4 and local in folded):
        detail = "must not hold the e-mail address"
    else:
        return text
    raise InputError(f"the password {detail}", errors=[FieldError("/password", detail)])


class Verified(NamedTuple):
    """Whether it was the password, and if its hash should be made anew because the settings have changed."""

    good: bool
    outdated: bool = False


class PasswordHasher:
    """argon2id in threads. `hash_concurrency` bounds the memory, `hash_queue` the waiting; beyond that: 503."""

    def __init__(self, settings: IdentitySettings) -> None:
        self.verified = 0
        """Verifications that were computed."""
        self.busiest = 0
        """Hashes that were computed at one moment, at most."""
        self._argon2 = Argon2Hasher(
            time_cost=settings.hash_passes, memory_cost=settings.hash_memory_kib, parallelism=settings.hash_lanes
        )
        self._room = settings.hash_concurrency + settings.hash_queue
        self._held = 0
        self._running = 0
        self._threads = ThreadPoolExecutor(settings.hash_concurrency, thread_name_prefix="password")
        self._dummy: str | None = None

    async def hash(self, password: str) -> str:
        """The encoded hash, with its parameters and a salt of its own."""
        return await self._in_thread(lambda: self._argon2.hash(password))

    async def verify(self, password: str, stored: str | None) -> Verified:
        """Compare with a stored hash; without one (there is no such user) with a hash that nothing matches, so that
        both take the same work."""
        return await self._in_thread(lambda: self._verify(password, stored))

    def close(self) -> None:
        """Compute no more; what has begun runs to its end in its thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, stored: str | None) -> Verified:
        if self._dummy is None:
            self._dummy = self._argon2.hash(secrets.token_urlsafe(32))
        self.verified += 1
        matches = self._argon2.verify(unified(password), self._dummy if stored is None else stored)
        if stored is None or not matches:
            return Verified(good=False)
        return Verified(good=True, outdated=self._argon2.check_needs_rehash(stored))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._held >= self._room:
            raise UnavailableError("too many people sign in at this moment", retry_after=2)
        self._held += 1
        loop = asyncio.get_running_loop()

        def counted() -> T:
            self._running += 1  # under the interpreter's lock: threads of one process
            self.busiest = max(self.busiest, self._running)
            try:
                return work()
            finally:
                self._running -= 1

        def done(_: Future[T]) -> None:
            try:
                loop.call_soon_threadsafe(self._leave)
            except RuntimeError:  # the loop has ended before the thread: nobody counts any more
                return

        future = self._threads.submit(counted)
        future.add_done_callback(done)  # of the thread's own future: a caller that leaves does not free the thread
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self._held -= 1
