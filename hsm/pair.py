"""Two HSMs of which one works while the other one is away. Each has a library, workers, breaker, gate, refused PIN and restart of its own.

Symmetric keys that both hold are equal on both, and whatever was sealed or authenticated by one is opened and checked by the other.
Signing keys are each token's own. So what names its key, as a manifest does, is made whole by one token (`HSM.through`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from hsm.adapter import HSMPrivateKey
from hsm.errors import (
    HSMCredential,
    HSMError,
    HSMKeyAmbiguous,
    HSMKeyChanged,
    HSMKeyMissing,
    HSMRefused,
    HSMUnavailable,
)
from hsm.keys import Exact, label_of
from hsm.token import HSM, WATCH_EVERY, Health, Operations

T = TypeVar("T")
PROBE_EVERY = 1.0  # seconds
ANEW_EVERY = 10.0  # seconds between two new starts of the library of a token that is out and shows keys as missing
HANGING = 4
"""Calls of a token that may hang before no more is asked of it: each keeps a thread."""
_AWAY = (HSMUnavailable, HSMCredential, HSMRefused)
_KEY = (HSMKeyMissing, HSMKeyAmbiguous, HSMKeyChanged)
NOT_RECORDED = "its keys are not recorded"


class HSMPair(HSM):
    """Two tokens. The first one does the work; while it is out, the second does.

    A token goes out at its first failure, and comes back once a thread in the background found that it signs and that its keys are what
    was recorded; callers do not wait for that. A call waits `patience` seconds for a token while the other one could do it, and the
    token's own time-out else. A fault of one key sends the call to the other token; the token itself goes out if a look at all its keys
    finds one that differs. HSMMisuse is the caller's mistake at both, and goes to nobody else.

    `away` is called when a token goes out, with its label and the reason, and `back` when it comes back; once in each process.
    """

    def __init__(self, first: HSM, second: HSM, patience: float = 1.0) -> None:
        super().__init__(first.config)
        self._tokens = (first, second)
        self.away: Callable[[str, str], None] = lambda _label, _reason: None
        self.back: Callable[[str], None] = lambda _label: None
        self._out: dict[str, _Out] = {}
        self._keepers: dict[str, _Keeper] = {}
        self._limit, self._patience = _Limit(), patience
        for one in self._tokens:
            one.timeout = self._limit.get

    @property
    def tokens(self) -> tuple[HSM, ...]:
        """Return both, the first one first."""
        return self._tokens

    @property
    def wrong(self) -> Mapping[str, str]:
        """Return what differs on either token, by the label of the token and that of the key."""
        return {f"{one.label}/{label}": told for one in self._tokens for label, told in one.wrong.items()}

    @property
    def out(self) -> Mapping[str, str]:
        """Return why a token is not used now, by its label."""
        return {label: told.reason for label, told in self._out.items()}

    def is_in(self, one: HSM) -> bool:
        """Return whether a token is used now. One whose keys are not recorded is not, while the other's are."""
        return one.label not in self._out and (bool(one.recorded()) or not any(other.recorded() for other in self._tokens))

    def through(self, act: Callable[[HSM], T]) -> T:
        """Run `act` with the token that is in use, and with the other one if that fails.

        Raise HSMUnavailable if a token is away that may hold what the other one lacks, else what was raised last.
        """
        usable = [one for one in self._tokens if self.is_in(one)] or self._tokens
        faults: list[HSMError] = []
        for one in usable:
            try:
                with self._limit.of(None if one is usable[-1] else self._patience):
                    return act(one)
            except (*_AWAY, *_KEY) as fault:
                self._failed(one, fault)
                faults.append(fault)
        gone = next((fault for fault in faults if isinstance(fault, _AWAY)), None)
        if gone is None and len(usable) < len(self._tokens):
            told = "; ".join(f"token {label}: {reason}" for label, reason in self.out.items())
            raise HSMUnavailable(f"{faults[-1]}, and the other HSM is away: {told}") from faults[-1]
        raise gone or faults[-1]

    def run(self, function: Callable[[Operations], T]) -> T:
        """Run several operations on one token, as `HSM.run` does."""
        return self.through(lambda one: one.run(function))

    def current(self, label: str) -> Exact:
        """Return the label of the key that is in use for a role, the same on both tokens."""
        return label if isinstance(label, Exact) else label_of(label, self.versions().get(label, 1))

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the public half of the key on the token that is in use now."""
        return self.through(lambda one: one.public_key(label))

    def private_key(self, label: str) -> HSMPrivateKey:
        """Return the key on the token that is in use now."""
        return self.through(lambda one: _private_key(one, label))

    def check(self) -> Health:
        """Check both tokens. One that is out is not asked: whoever waits for the answer would wait for its time-out."""
        found = {one.label: self._check(one) for one in self._tokens}
        used = next((health for health in found.values() if health.ok), found[self._tokens[0].label])
        problem = "; ".join(f"token {label}: {health.last_error}" for label, health in found.items() if not health.ok)
        return Health(used.ok, used.generation, used.restarts, problem, found)

    def _check(self, one: HSM) -> Health:
        reason = self.out.get(one.label) or ("" if self.is_in(one) else NOT_RECORDED)
        if reason:
            return Health(False, one.module.generation, one.module.restarts, reason)
        with self._limit.of(self._patience):
            health = one.check()
        if not health.ok:
            self._put_out(one, health.last_error)
        return health

    def read_back(self) -> Mapping[str, str]:
        """Compare the recorded keys of both tokens. Return what differs, as `wrong` does. Raise only if neither answers."""
        faults = []
        for one in self._tokens:
            try:
                one.read_back()
            except HSMError as fault:
                faults.append(fault)
        if len(faults) == len(self._tokens):
            raise faults[0]
        return self.wrong

    def watch(self, every: float = WATCH_EVERY) -> None:
        """Look at both tokens in the background, each in a thread of its own: now, every so many seconds, after each new start."""
        for one in self._tokens:
            self._keep(one, every)

    def unwatch(self) -> None:
        """End what `watch` began."""
        for keeper in self._keepers.values():
            keeper.end()
        self._keepers = {}

    def close(self) -> None:
        """Finalise both libraries, and forget which token was out."""
        self.unwatch()
        for one in self._tokens:
            one.close()
        self._out.clear()

    # --- in and out -------------------------------------------------------------------------------------------------

    def _failed(self, one: HSM, fault: HSMError) -> None:
        if isinstance(fault, _AWAY):
            self._put_out(one, str(fault))
        else:
            self._keep(one).wanted = True

    def _put_out(self, one: HSM, reason: str) -> None:
        mine = _Out(reason)
        # One step for all threads, and no lock that a fork could leave held: whoever puts it in tells it.
        if self._out.setdefault(one.label, mine) is mine:
            self.away(one.label, reason)
        self._keep(one)

    def _put_in(self, one: HSM) -> None:
        if self._out.pop(one.label, None) is not None:
            self.back(one.label)

    def _keep(self, one: HSM, every: float | None = None) -> _Keeper:
        """Return who looks at a token in the background. A forked child has none of its parent's threads, and starts its own."""
        keeper = self._keepers.get(one.label)
        if keeper is None or not keeper.is_alive():
            keeper = self._keepers[one.label] = _Keeper(self, one)
            with suppress(RuntimeError):  # no memory or no thread is left; a later failure tries again
                keeper.start()
        if every is not None:
            keeper.every = every
        return keeper

    def keeps(self, keeper: _Keeper) -> bool:
        """Return whether a thread still is the one that looks: of two that were started at once, one ends."""
        return self._keepers.get(keeper.one.label) is keeper

    def look(self, one: HSM) -> None:
        """See whether a token signs and its keys are what was recorded, and put it out or in. Ask nothing of one in which calls hang."""
        if one.module.hanging(one.config) >= HANGING:
            self._put_out(one, "calls hang")
            return
        try:
            wrong = one.read_back()
            if not wrong:
                one.sign_of_life()
        except HSMError as fault:
            self._put_out(one, str(fault))
            return
        if wrong:
            out = self._out.get(one.label)
            if out is not None and "missing" in wrong.values() and time.monotonic() - out.ended >= ANEW_EVERY:
                # A library may hold on to what it saw while the token was away. The next look starts it anew.
                out.ended = time.monotonic()
                one.module.close()
            self._put_out(one, "; ".join(f"{label}: {told}" for label, told in wrong.items()))
        else:
            self._put_in(one)


class _Limit(threading.local):
    """How long a call of this thread waits for a token: not long while the other one could do it."""

    seconds: float | None = None

    def get(self) -> float | None:
        return self.seconds

    @contextmanager
    def of(self, seconds: float | None) -> Iterator[None]:
        """Have calls of this thread wait so long within the block; None is the token's own time-out."""
        before, self.seconds = self.seconds, seconds
        try:
            yield
        finally:
            self.seconds = before


class _Keeper(threading.Thread):
    """Looks at one token: every second while it is out, when a fault of a key was met, after a new start, and every so many seconds."""

    def __init__(self, pair: HSMPair, one: HSM) -> None:
        super().__init__(name=f"hsm-{one.label}", daemon=True)
        self.one, self.every, self.wanted = one, WATCH_EVERY, False
        self._pair, self._ended = pair, threading.Event()

    def end(self) -> None:
        """Have the thread end."""
        self._ended.set()

    def run(self) -> None:
        """Look until the process ends, or `HSMPair.unwatch`."""
        seen, looked = -1, 0.0
        while not self._ended.wait(min(PROBE_EVERY, self.every)) and self._pair.keeps(self):
            due = self.wanted or self.one.label in self._pair.out or time.monotonic() - looked >= self.every
            if due or self.one.module.generation != seen:
                self.wanted, looked = False, time.monotonic()
                self._pair.look(self.one)
                seen = self.one.module.generation


@dataclass(eq=False)
class _Out:
    """Why a token is out, and when its library was ended for it (`time.monotonic`)."""

    reason: str
    ended: float = -inf


def _private_key(one: HSM, label: str) -> HSMPrivateKey:
    one.public_key(label)  # raises where the token is away
    return HSMPrivateKey(one, label)
