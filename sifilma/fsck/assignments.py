"""Invariants of work that somebody has, and of what people are told by the bell."""

from __future__ import annotations

from sqlalchemy import exists, select

from sifilma.assignment.models import KINDS
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot
from sifilma.reports.task_labels import TASKS

_WAITS = {
    "personalisation_request": "personalisation_request w WHERE w.state IN ('submitted', 'approved', 'personalising') AND w.id",
    "activation_request": "activation_request w WHERE w.state = 'submitted' AND w.id",
    "destruction": "destruction w WHERE w.state IN ('proposed', 'executed') AND w.id",
    "manifest": "revocation w WHERE w.state = 'proposed' AND w.manifest_id",
    "reference_change": "reference_change w WHERE w.state = 'proposed' AND w.id",
    "model_case": "model_case w WHERE w.state IN ('applied', 'approved_to_test', 'tested', 'certified') AND w.id",
    "activation": "activation w WHERE w.review_state = 'waiting' AND w.id",
}
"""Where the objects of each kind wait for operators or approvers."""


@in_snapshot("assignment-waits", "What somebody of the directorate has to do is there, and still waits for somebody.")
def waits(now: Snapshot) -> Found:
    """Compare the states of what is assigned with those in which there is work on it."""
    for kind in KINDS:
        there = f"EXISTS (SELECT 1 FROM {_WAITS[kind]} = a.object_id)"
        query = f"SELECT a.object_id AS id FROM assignment a WHERE a.object_kind = '{kind}' AND NOT {there}"  # constants
        yield from now.find("assignment", query, f"is of a {kind} that waits for nobody")


@in_snapshot("assignment-act", "Whoever has some work got it by the act that is recorded, as an account of the directorate.")
def acts(now: Snapshot) -> Found:
    """Compare the holder with the entry of the act, and with the organisation of the account."""
    given, entry, user, home = bare("assignment"), bare("audit_entry"), bare("user_account"), bare("organisation")
    recorded = exists().where(
        entry.c.id == given.c.act_id,
        entry.c.action.in_(("work.take", "work.give")),
        entry.c.object_id == dashed(given.c.object_id),
        fact(entry.c.data, "to") == dashed(given.c.user_id),
        fact(entry.c.data, "role") == given.c.role,
    )
    yield from now.find("assignment", select(given.c.object_id.label("id")).where(~recorded), "is not what its act records")
    central = exists().where(user.c.id == given.c.user_id, home.c.id == user.c.organisation_id, home.c.kind == "directorate")
    yield from now.find("assignment", select(given.c.object_id.label("id")).where(~central), "is to nobody of the directorate")


@in_snapshot("notice-told", "What the bell tells is told to an account that is there, and is something that has words.")
def told(now: Snapshot) -> Found:
    """Look for notices to nobody and of nothing."""
    notice, user = bare("notice"), bare("user_account")
    query = select(notice.c.id).where(~exists().where(user.c.id == notice.c.user_id))
    yield from now.find("notice", query, "is to an account that is not there")
    yield from now.find("notice", select(notice.c.id).where(notice.c.task.not_in(sorted(TASKS))), "says nothing that has words")
