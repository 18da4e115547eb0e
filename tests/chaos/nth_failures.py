"""The Nth step of an act fails once, for N = 1, 2, …: the act is refused clearly and wholly, and succeeds once when it is sent again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from sifilma.identity.models import User
from sifilma.kernel.db import make_engine
from tests.chaos import snapshot
from tests.chaos.acts import Act, Send
from tests.chaos.chores import Chore
from tests.chaos.seams import Seams, Step
from tests.chaos.snapshot import Delta, Snapshot
from tests.support.fsck_findings import fsck_findings
from tests.support.world import World

KEY_FREE = 15
"""Seconds within which an idempotency key is free again, whatever became of the request that claimed it."""

LOT = 10
"""Objects that are made at once for the long form, whose number of cases is not known before."""

LEASES_END = 61
"""Seconds after which every lease has ended that a failing worker may have left."""

LATER_ROUNDS = 2
"""Rounds of the worker after which everything must be done."""


@dataclass(frozen=True)
class Case:
    """One act, or one round of the worker, of which one step fails."""

    name: str
    step: Step
    nth: int

    def __str__(self) -> str:
        return f"{self.name}, {self.step} {self.nth}"


class Stock:
    """Requests of one act, each for an object of its own. They are made in lots, because a lot costs little more than one."""

    def __init__(self, world: World, act: Act) -> None:
        self._world, self._act = world, act
        self._ready: list[Send] = []

    @property
    def is_empty(self) -> bool:
        """Return whether the next request must be made first."""
        return not self._ready

    def fill(self, count: int) -> None:
        """Make so many requests."""
        if count:
            self._ready += self._act.prepare(self._world, count)

    def take(self) -> Send:
        """Return a request that was not sent yet."""
        if not self._ready:
            self.fill(LOT)
        return self._ready.pop()


class Loop:
    """The loop over acts and their steps in one world. `faults` has a sentence for each thing that was not as it must be.

    `most`: so many steps of each kind, evenly chosen, and fsck once, when the loop is closed; without it every step, and fsck after each
    kind of step of each act.
    """

    def __init__(self, world: World, most: int | None = None) -> None:
        self.world, self._most = world, most
        world.configure(smtp_host="127.0.0.1", smtp_security="none")  # so that a decision writes a message
        world.change(User, email=lambda user: f"{user.username}@contoh.example")
        self.seams = Seams(world)
        self._eye = make_engine(world.settings.database, pool_size=1)  # its own: what fails in the application's pool is the application's
        self._last: Snapshot | None = None
        self.faults: list[str] = []
        self.cases = 0

    def close(self) -> None:
        """Run fsck, and close the connection that looks at the tables."""
        self._examine("at the end")
        self._eye.dispose()

    def run(self, acts: Iterable[Act]) -> None:
        """Fail the steps of each act."""
        for act in acts:
            stock = Stock(self.world, act)
            stock.fill(2)
            whole, counts = self._whole(act, stock)
            self._last = None
            if self._most is not None:
                stock.fill(sum(min(counts.get(step, 0), self._most) for step in self.seams.steps))
            for step in self.seams.steps:
                self._fail(act.name, step, counts, partial(self._try, act=act, stock=stock, whole=whole))

    def run_chores(self, chores: Iterable[Chore]) -> None:
        """Fail the steps of what the worker does."""
        for chore in chores:
            chore.prepare()
            with self.seams.trapped() as trap:
                chore.round()
            for step in self.seams.steps:
                self._fail(chore.name, step, trap.counts, partial(self._try_chore, chore=chore))

    def _fail(self, name: str, step: Step, counts: dict[Step, int], attempt: Callable[[Case], bool]) -> None:
        """Try the steps of one kind, until `attempt` tells that there are no more."""
        for nth in chosen(counts.get(step, 0), self._most):
            if not attempt(Case(name, step, nth)):
                break
            self.cases += 1
        if self._most is None:
            self._examine(f"{name}, {step}")

    def _try_chore(self, case: Case, chore: Chore) -> bool:
        """Let a step fail in one round, and give the worker further rounds. Return whether the step was reached."""
        chore.prepare()
        with self.seams.trapped(case.step, case.nth) as trap:
            chore.round()
        for _ in range(LATER_ROUNDS):
            self.world.clock.advance(seconds=LEASES_END)
            chore.round()
        self._hold(case, chore.faults(case.step))
        return trap.hit

    def _examine(self, where: str) -> None:
        self._hold(where, fsck_findings(self.world))

    def _whole(self, act: Act, stock: Stock) -> tuple[Delta, dict[Step, int]]:
        """Let the act succeed. Return its changes, and its steps by kind. It is done twice: what is made once (a counter) is there then."""
        stock.take()(str(uuid4()))
        send = stock.take()
        before = snapshot.taken(self._eye)
        with self.seams.trapped() as trap:
            answer = send(str(uuid4()))
        assert answer.status_code < HTTPStatus.BAD_REQUEST, answer.get_data(as_text=True)
        changes = snapshot.delta(before, snapshot.taken(self._eye))
        assert changes, f"{act.name} changes nothing"
        return changes, trap.counts

    def _try(self, case: Case, act: Act, stock: Stock, whole: Delta) -> bool:
        """Run one case. Return whether the step was reached: if not, the act has no more steps of this kind."""
        before = None if stock.is_empty else self._last
        send, key = stock.take(), str(uuid4())
        before = before or snapshot.taken(self._eye)
        with self.seams.trapped(case.step, case.nth) as trap:
            refused = self._send(case, send, key)
        if not trap.hit:
            self._last = None  # the act was done
            return False
        after = snapshot.delta(before, snapshot.taken(self._eye))
        is_done = after == whole
        if refused is not None:
            self._look_at(case, act, refused, is_done=is_done)
        if after and not is_done:
            self._hold(case, [f"half of the act is stored: {dict(after)} of {dict(whole)}"])
        if act.is_keyed or not is_done:  # without a key, what is done is refused as a conflict
            self._again(case, send, key)
        self._last = snapshot.taken(self._eye)  # the next case begins with it, unless something is made for it first
        found = snapshot.delta(before, self._last)
        if found != whole:
            self._hold(case, [f"after the second request {dict(found)} instead of {dict(whole)}"])
        return True

    def _send(self, case: Case, send: Send, key: str) -> Any:
        """Send the request. An exception that leaves the application is an answer without a body on a server."""
        try:
            return send(key)
        except Exception as escaped:  # noqa: BLE001  # what the loop is to find
            self._hold(case, [f"no answer: {type(escaped).__name__} left the application ({escaped})"])
            return None

    def _look_at(self, case: Case, act: Act, answer: Any, *, is_done: bool) -> None:
        status, text = answer.status_code, answer.get_data(as_text=True)
        if status < HTTPStatus.BAD_REQUEST:
            if not is_done:
                self._hold(case, [f"acknowledged with {status}, but not stored"])
            return
        wrong = []
        if status != HTTPStatus.SERVICE_UNAVAILABLE or "Retry-After" not in answer.headers:
            wrong.append(f"answered {status} instead of 503 with Retry-After: {text[:300]}")
        if not _is_clear(act, answer, text):
            wrong.append(f"the refusal is not clear: {answer.content_type} {text[:300]}")
        if is_done and "nothing was changed" in text:
            wrong.append("the answer says that nothing was changed, but the act is stored")
        self._hold(case, wrong)

    def _again(self, case: Case, send: Send, key: str) -> None:
        """Send the same request again, until its key is free."""
        answer = self._send(case, send, key)
        for _ in range(0, KEY_FREE, 5):
            if answer is not None and answer.status_code == HTTPStatus.CONFLICT:
                self.world.clock.advance(seconds=5)
                answer = self._send(case, send, key)
        if answer is not None and answer.status_code >= HTTPStatus.BAD_REQUEST:
            self._hold(case, [f"the second request answered {answer.status_code}: {answer.get_data(as_text=True)[:300]}"])

    def _hold(self, where: Case | str, found: list[str]) -> None:
        self.faults += [f"{where}: {one}" for one in found]


def _is_clear(act: Act, answer: Any, text: str) -> bool:
    if "Traceback" in text or "psycopg" in text or "sqlite3" in text:
        return False
    if act.is_page:
        return answer.mimetype == "text/html" and "<h1" in text
    return answer.mimetype == "application/problem+json" and {"type", "title", "status", "request_id"} <= answer.json.keys()


def chosen(count: int, most: int | None) -> Iterator[int]:
    """Return 1, 2, … without end, or `most` of the numbers 1 to `count`, evenly chosen: the first, the last and others between them.

    One number is taken from the middle, of two the second: of two commits the second is the act's.
    """
    if most is None:
        return itertools.count(1)
    if most == 1:
        return iter([count // 2 + 1] if count else [])
    picked = range(count) if count <= most else (round(index * (count - 1) / (most - 1)) for index in range(most))
    return iter(sorted({number + 1 for number in picked}))
