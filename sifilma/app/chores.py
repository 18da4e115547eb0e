"""What the worker does: each chore with its rhythm, on both dispatchers (`sifilma/dispatch/`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from uuid import UUID

from sifilma.access_review import tasks as access
from sifilma.accounts import consents
from sifilma.activation import tasks
from sifilma.activation.carrying import tasks as carrying
from sifilma.activation.derived.tasks import add_up
from sifilma.activation.suspensions.tasks import suspend_overdue
from sifilma.activation.tokens import tasks as tokens
from sifilma.app.audit_commands import show_checkpoint, sign_checkpoint, take_entries
from sifilma.app.leavers import pseudonymise_leavers
from sifilma.app.retention import forget_old
from sifilma.audit import rounds
from sifilma.custody import rotation
from sifilma.destruction import tasks as destructions
from sifilma.dispatch.contract import FILES, MESSAGES, ROWS, TOKENS, Chore, Turn, Waiting
from sifilma.handover import tasks as handovers
from sifilma.handover.discrepancies import tasks as discrepancies
from sifilma.jobs import service as jobs
from sifilma.jobs import worker
from sifilma.kernel.context import Context
from sifilma.kernel.ids import uuid7
from sifilma.lost_access.tasks import tell_people
from sifilma.notifications import outbox
from sifilma.notifications.delivery import deliver
from sifilma.own_files import queries as own_files
from sifilma.own_files import writer
from sifilma.reconciliation import telling
from sifilma.regions.sources import place_check
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from sifilma.web.command import command_context

SOON, MINUTE = 10, 60
"""Seconds between two runs: of what others wait for, and of what happens by the day."""
CARRIED = "manifests issued anew"
LONG = 110.0
"""Seconds for a chore that walks over many things in one run."""
PAPERS = 1800.0
"""Seconds for the papers of one run, which begins none after a minute of a kind. The longest took 129 s, for 100,000 cards."""


def _in_one(act: Callable[[Context], int]) -> Callable[[], int]:
    """Return the act as one transaction."""

    def run() -> int:
        with command_context() as ctx:
            return act(ctx)

    return run


def _tools() -> worker.Tools:
    held = resources()
    places = partial(place_check, held.settings.home)
    return worker.Tools(command_context, held.settings, held.hsm, held.files, places, _name(os.getpid()))


@cache
def _name(_process: int) -> str:
    """Return this process's name among the workers. It is not that of a worker forked before, whose last statement may still run."""
    return str(uuid7())


def _issue_tokens() -> int:
    held = resources()
    return tokens.issue(command_context, held.settings, held.hsm)


def _issue_tokens_of(request_id: UUID) -> Turn:
    held = resources()
    return tokens.issue_one(command_context, held.settings, held.hsm, request_id)


def _carry() -> int:
    held = resources()
    return carrying.carry(command_context, held.settings, held.hsm)


def _deliver() -> int:
    return deliver(command_context, resources().settings)


def _reserve() -> int:
    held = resources()
    return telling.reserve(command_context, held.settings, held.hsm)


def _tell() -> int:
    held = resources()
    return telling.tell(command_context, held.settings, held.hsm)


def _store_papers() -> int:
    held = resources()
    stores = (handovers.store_papers, discrepancies.store_papers, destructions.store_papers)
    return sum(store(command_context, held.settings, held.files) for store in stores)


def _waiting_files(ctx: Context) -> Sequence[Waiting]:
    return [Waiting(*row) for row in ctx.session.execute(jobs.waiting_query())]


def _waiting_own_files(ctx: Context) -> Sequence[Waiting]:
    return [Waiting(*row) for row in ctx.session.execute(own_files.waiting_query())]


CHORES: dict[str, Chore] = {
    MESSAGES: Chore(_deliver, False, due=lambda ctx: bool(outbox.due(ctx)), most_seconds=LONG),  # codes for signing in go on, too
    ROWS: Chore(lambda: worker.work(_tools()), True, turn=lambda job_id: worker.turn(_tools(), job_id), waiting=_waiting_files),
    TOKENS: Chore(_issue_tokens, True, turn=_issue_tokens_of, waiting=tokens.list_waiting),
    FILES: Chore(
        lambda: writer.work(command_context, resources().settings),
        True,  # when a file ends is reckoned from when it was made
        turn=lambda file_id: writer.turn(command_context, resources().settings, file_id),
        waiting=_waiting_own_files,
        most_seconds=LONG,
    ),
    "own files ended": Chore(_in_one(writer.end_old), True, MINUTE, most_seconds=LONG),
    CARRIED: Chore(_carry, True, SOON, most_seconds=LONG),
    "entries taken into the log": Chore(take_entries, False, SOON, most_seconds=LONG),  # an order, not a time
    "numbers reserved at the witness": Chore(_reserve, True, SOON),
    "statements told to the witness": Chore(_tell, True, due=lambda ctx: telling.is_due(ctx, resources().settings)),
    "checkpoints signed": Chore(sign_checkpoint, True, SOON),
    "checkpoints witnessed": Chore(show_checkpoint, False, SOON),  # what was signed is shown, whatever the clock says
    "tokens expired": Chore(_in_one(tasks.expire_tokens), True, SOON, most_seconds=LONG),
    "requests expired": Chore(_in_one(tasks.expire_requests), True, SOON, most_seconds=LONG),
    "manifests expired": Chore(_in_one(tasks.expire_manifests), True, SOON, most_seconds=LONG),
    "cards suspended for their place": Chore(_in_one(suspend_overdue), True, SOON, most_seconds=LONG),
    "unused accounts marked": Chore(_in_one(lambda ctx: access.mark_dormant(ctx, resources().settings)), True, MINUTE, most_seconds=LONG),
    "unused accounts disabled": Chore(
        _in_one(lambda ctx: access.disable_dormant(ctx, resources().settings)), True, MINUTE, most_seconds=LONG
    ),
    "access reviews opened": Chore(_in_one(lambda ctx: access.open_reviews(ctx, resources().settings)), True, MINUTE, most_seconds=LONG),
    "access reviews closed": Chore(_in_one(access.close_reviews), True, MINUTE, most_seconds=LONG),
    "temporary roles ended": Chore(_in_one(access.end_roles), True, SOON),
    "changes of cards added up": Chore(_in_one(lambda ctx: add_up(ctx, resources().targets.calendar)), False, SOON, most_seconds=LONG),
    "data keys sealed anew": Chore(
        lambda: rotation.seal_anew(command_context, resources().settings, resources().hsm), False, MINUTE, most_seconds=LONG
    ),
    "papers stored": Chore(_store_papers, False, SOON, most_seconds=PAPERS),  # what a paper states was dated when it was issued
    "known people asked": Chore(_in_one(lambda ctx: consents.ask_known_people(ctx, resources().settings)), True, SOON),
    "people asked for whom help was asked": Chore(_in_one(lambda ctx: tell_people(ctx, resources().settings)), False, SOON),
    "questions expired": Chore(_in_one(consents.expire_consents), True, SOON),
    "people reminded": Chore(lambda: remind(command_context, resources().settings, resources().site), True, MINUTE, most_seconds=LONG),
    "old rows forgotten": Chore(
        _in_one(lambda ctx: forget_old(ctx, resources().settings, resources().files)), True, MINUTE, most_seconds=LONG
    ),
    "people given a pseudonym": Chore(
        _in_one(lambda ctx: pseudonymise_leavers(ctx, resources().settings)), True, MINUTE, most_seconds=LONG
    ),
    "rows found changed past the service": Chore(lambda: rounds.compare(command_context), False, SOON),
}
