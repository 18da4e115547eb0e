"""Processes of a node are killed and frozen amid clients: no acknowledged act is lost, none is done twice, and fsck finds nothing."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.chaos.clients import Client, Refused
from tests.chaos.lives import OFFICES, lives
from tests.chaos.node import Node, is_kill
from tests.support.fsck_findings import fsck_findings
from tests.support.world import World

PAUSE = (0.05, 0.9)
"""Seconds between two disturbances, in which the clients act."""
DOWN = 0.3
"""Seconds at most before what was killed is started again, where nobody else does it."""
JOBS_END = 60.0
"""Seconds in which the worker must have done every file: it waits for the lease of a worker that was killed."""
WATCHED = (
    "personalisation.", "handover.", "activation.draft", "activation.submit", "activation.approve", "activation.create", "unit.",
    "manifest.revoke", "card.report", "destruction.", "job.begin",
)  # fmt: skip
"""Beginnings of the actions that nobody but the clients does here."""


@dataclass
class Outcome:
    """What a run did and found. `faults` has a sentence for each thing that was not as it must be."""

    seed: int
    disturbances: Counter[str] = field(default_factory=Counter)
    acts: int = 0
    again: int = 0
    replayed: int = 0
    given_up: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Return the number of kills: what was frozen is not counted."""
        return sum(count for name, count in self.disturbances.items() if is_kill(name))

    def __str__(self) -> str:
        disturbances = ", ".join(f"{count} × {name}" for name, count in sorted(self.disturbances.items()))
        told = f"SEED={self.seed}: {self.kills} kills in {self.seconds:.0f} s ({disturbances}); {self.acts} acts acknowledged"
        again = f"{self.again} requests sent again, {self.replayed} answers replayed, {self.given_up} rows given up"
        return f"{told}, {again}; {len(self.faults)} faults"


class Run:
    """Clients on a node that is disturbed. `play` is one round, and ends with a comparison of journals and database."""

    def __init__(self, world: World, seed: int, clients: int) -> None:
        self.world, self.outcome = world, Outcome(seed)
        self._chance = random.Random(seed)
        self._node = Node(world)
        keys = {f"key of {user}": world.machine(_organisation(world, user)).headers["Authorization"] for user in OFFICES}
        self.clients = [Client(world, self._node.port, random.Random(f"{seed}-{number}"), keys) for number in range(clients)]
        self._lives = [lives(client, list(OFFICES)[number % 2]) for number, client in enumerate(self.clients)]

    def close(self) -> None:
        """End the node."""
        self._node.end()

    def play(self, kills: int, until: float) -> None:
        """Disturb the node until so many processes were killed, or the moment `until` (monotonic) has come; then compare."""
        started, wanted = time.monotonic(), self.outcome.kills + kills
        with self._acting():
            while self.outcome.kills < wanted and time.monotonic() < until and not self.outcome.faults:
                time.sleep(self._chance.uniform(*PAUSE))
                self.outcome.disturbances[self._node.disturb(self._chance)] += 1
                time.sleep(self._chance.uniform(0, DOWN))
                self._node.restore()
        self.outcome.faults += self._compared()
        if self.outcome.faults:
            self.outcome.faults.append(f"the node's log ends: {self._node.log()}")
        self.outcome.seconds += time.monotonic() - started
        for name in ("again", "replayed"):
            setattr(self.outcome, name, sum(getattr(client, name) for client in self.clients))
        self.outcome.acts = sum(len(client.acts) for client in self.clients)

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Let the clients act within the block, each in a thread. After it each goes on to the end of the life it is at."""
        stop = threading.Event()

        def act(number: int) -> None:
            try:
                is_between = True
                while not (stop.is_set() and is_between):
                    is_between = next(self._lives[number])
            except Refused as refused:
                self.outcome.faults.append(f"client {number}: {refused}")
            except Exception as broken:  # noqa: BLE001  # told at the end of the run
                self.outcome.faults.append(f"client {number}: {broken!r}")

        threads = [threading.Thread(target=act, args=(number,)) for number in range(len(self.clients))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    # --- comparison --------------------------------------------------------------------------------------------------

    def _compared(self) -> list[str]:
        """Compare what the clients know with what is stored, and run fsck."""
        self.world.clock.set(datetime.now(UTC))
        unfinished = self._wait_for_files()
        return [*unfinished, *self.compare_acts(), *self._compare_cards(), *fsck_findings(self.world)]

    def _wait_for_files(self) -> list[str]:
        until = time.monotonic() + JOBS_END
        while open_jobs := self.world.sql("SELECT id, state, done, waits_for FROM job WHERE state <> 'completed'"):
            if time.monotonic() > until:
                return [f"the worker has not done {[tuple(row) for row in open_jobs]}"]
            time.sleep(0.05)
        return []

    def compare_acts(self) -> list[str]:
        """Each acknowledged act is recorded exactly once, and no act is recorded that nobody was told of.

        Every act was sent until it was answered, so both sides must agree wholly. The activations of files are the worker's.
        """
        told = Counter((done.action, done.thing) for client in self.clients for done in client.acts)
        rows = self.world.sql(
            "SELECT e.action, coalesce(c.uid, e.object_id) FROM audit_entry e LEFT JOIN card c ON CAST(c.id AS TEXT) = e.object_id"
            " WHERE NOT EXISTS (SELECT 1 FROM job_row r WHERE CAST(r.result_id AS TEXT) = e.object_id)"
        )
        stored = Counter((str(action), str(thing)) for action, thing in rows if str(action).startswith(WATCHED))
        lost = [f"{count} × {act[0]} of {act[1]} acknowledged, {stored[act]} stored" for act, count in (told - stored).items()]
        more = [f"{count} × {act[0]} of {act[1]} stored, {told[act]} acknowledged" for act, count in (stored - told).items()]
        return [*lost, *more]

    def _compare_cards(self) -> list[str]:
        stored = {str(uid): str(state) for uid, state in self.world.sql("SELECT uid, state FROM card WHERE uid IS NOT NULL")}
        known = {uid: state for client in self.clients for uid, state in client.cards.items()}
        known |= self._expected_of_files()
        return [f"card {uid}: {state} for its client, {stored.get(uid)} stored" for uid, state in known.items() if stored.get(uid) != state]

    def _expected_of_files(self) -> dict[str, str]:
        """Return the states of the cards of files: active, or received if the row was given up because worker after worker ended at it."""
        given_up = {str(job) for (job,) in self.world.sql("SELECT id FROM job WHERE failed > 0")}
        self.outcome.given_up = len(given_up)
        files = {uid: job for client in self.clients for uid, job in client.files.items()}
        return {uid: "received" if job in given_up else "active" for uid, job in files.items()}


def _organisation(world: World, user: str) -> str:
    """Return the name of a user's organisation."""
    wanted = world.organisation_of(user)
    return next(name for name, found in world.organisations.items() if found == wanted)
