"""What the worker does, whose steps are made to fail as well: it delivers messages, and does the rows of a file."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Protocol

from sifilma.app.worker_commands import run_job
from sifilma.jobs import worker
from sifilma.jobs.worker import Tools
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.delivery import deliver
from sifilma.notifications.outbox import Recipient
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.command import command_context
from tests.activation.bulk.sheets import HEADER, rows_of, sent, sheet, worked
from tests.chaos.seams import Seams, Step
from tests.notifications import receivers
from tests.support.world import World

OFFICE = "magetan.kepala"
COUNT = 3
"""Messages, or rows of a file, of one round."""

NEWEST = "SELECT id FROM job ORDER BY id DESC LIMIT 1"
MADE = f"SELECT COUNT(*) FROM job_row r JOIN activation a ON a.id = r.result_id WHERE r.job_id = ({NEWEST})"


class Chore(Protocol):
    """One task of the worker. After any single fault, later rounds must bring it to its end."""

    name: str

    def prepare(self) -> None:
        """Make something to do."""
        ...

    def round(self) -> None:
        """Do one round, as the worker does: what fails is left to the next."""
        ...

    def faults(self, step: Step) -> list[str]:
        """Return what is not as it must be after a step of this kind has failed and further rounds were done."""
        ...


class Delivery:
    """Messages are sent by a real HTTP gateway. Each arrives; one whose sending could not be recorded arrives twice, with the same key."""

    name = "delivery of messages"

    def __init__(self, world: World, seams: Seams) -> None:
        self._world = world
        self._gateway: AbstractContextManager[receivers.Received] = receivers.gateway(fails=partial(seams.falls, Step.MESSAGE))
        self._received = self._gateway.__enter__()
        self._seen = 0

    def close(self) -> None:
        """Stop the gateway."""
        self._gateway.__exit__(None, None, None)

    def prepare(self) -> None:
        """Write messages, after everything that was written before has left."""
        while self._world.sql("SELECT 1 FROM outbox_message WHERE state = 'queued'"):
            self._world.clock.advance(seconds=60)  # what failed before is tried again later
            self.round()
        self._seen = len(self._received.items)
        with self._world.context() as ctx:
            for number in range(COUNT):
                to = Recipient(Channel.SMS, f"+62812000{self._seen:03}{number}")
                outbox.enqueue(ctx, self._world.settings, to, "reminder", "", "1 hal")

    def round(self) -> None:
        """Deliver what is due."""
        settings = self._world.settings.model_copy(update={"sms_webhook_url": f"http://127.0.0.1:{self._received.port}/", "smtp_host": ""})
        run_job(self.name, lambda: deliver(self._world.context, settings))

    def faults(self, step: Step) -> list[str]:
        """Require that every message left, and only the one at which the database failed a second time."""
        arrived = Counter(str(headers["Idempotency-Key"]) for headers, _ in self._received.items[self._seen :])
        waiting = self._world.sql("SELECT state, last_error FROM outbox_message WHERE channel = 'sms' AND state <> 'sent'")
        most = COUNT if step is Step.MESSAGE else COUNT + 1
        wrong = [f"a message is {state} ({error})" for state, error in waiting]
        if len(arrived) != COUNT or arrived.total() > most:
            wrong.append(f"{COUNT} messages arrived {arrived.total()} times under {len(arrived)} keys")
        return wrong


class Rows:
    """A file of activations is done: each row once, and a wrong token counts one try."""

    name = "rows of a file"

    def __init__(self, world: World) -> None:
        self._world = world

    def prepare(self) -> None:
        """Upload a file whose last row has a wrong token, after every other file is done."""
        worked(self._world)
        ready = self._world.ready(OFFICE, "R", COUNT)
        rows = rows_of(ready)
        rows[-1][HEADER.index("token")] = "salah"
        sent(self._world.client(OFFICE), sheet(rows))

    def round(self) -> None:
        """Work on the file."""
        with self._world.app.app_context():
            held = resources()
            places = partial(place_check, held.settings.home)
            run_job(self.name, lambda: worker.work(Tools(command_context, held.settings, held.hsm, held.files, places), 5))

    def faults(self, step: Step) -> list[str]:
        """Require that every row has one result and every right one an activation."""
        job, made = self._one(f"SELECT state, done, failed FROM job WHERE id = ({NEWEST})"), self._one(MADE)
        tries = self._one("SELECT MAX(tries) FROM token WHERE state = 'issued'")
        wrong = [] if job == ("completed", COUNT, 1) else [f"the file is {job}"]
        if (made, tries) != ((COUNT - 1,), (1,)):
            wrong.append(f"{made[0]} activations were made of {COUNT - 1} right rows, {tries[0]} tries counted")
        return wrong

    def _one(self, statement: str) -> tuple[Any, ...]:
        [row] = self._world.sql(statement)
        return tuple(row)
