"""Invariants of histories: an object's state is that of its last step, each step is in the table, and each has an act that fits."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import literal, or_, select

from sifilma.accounts.models import CONSENT, USER_CHANGE
from sifilma.activation.models import ACTIVATION_REQUEST, MANIFEST, REVOCATION, TOKEN
from sifilma.activation.suspensions.models import PLACE_SUSPENSION
from sifilma.cards.models import CARD, CARD_REPORT, KEY_CHANGE, UNIT
from sifilma.cards.outlets.models import OUTLET
from sifilma.cards.upkeep.models import CORRECTION
from sifilma.destruction.models import DESTRUCTION
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot, broken
from sifilma.handover.discrepancies.models import DIFFERENCE
from sifilma.handover.models import HANDOVER
from sifilma.jobs.models import JOB
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.oversight.models import CASE, CHANGE
from sifilma.own_files.models import OWN_FILE
from sifilma.personalisation.blanks.models import BLANK_CARD, BLANK_DELIVERY
from sifilma.personalisation.models import CLOSING, PERSONALISATION

CYCLES = (
    PERSONALISATION,
    CARD,
    HANDOVER,
    DIFFERENCE,
    ACTIVATION_REQUEST,
    TOKEN,
    MANIFEST,
    DESTRUCTION,
    CASE,
    CHANGE,
    JOB,
    OWN_FILE,
    REVOCATION,
    USER_CHANGE,
    CONSENT,
    CARD_REPORT,
    KEY_CHANGE,
    PLACE_SUSPENSION,
    CLOSING,
    BLANK_DELIVERY,
    BLANK_CARD,
    UNIT,
    CORRECTION,
    OUTLET,
)
MADE_TOGETHER = ("unit",)
"""Kinds of which one act, on the first of them, makes several."""

_P, _A, _D, _H, _M = "personalisation", "activation", "destruction", "handover", "model_case"
_REPORTED = ("card.report", "card.report_confirm")
_PLACE, _REVIEWED = "place_suspension", "activation.review"
_SUSPENDED = (f"{_PLACE}.execute", f"{_PLACE}.overdue")
_ACTIVATED = (f"{_A}.create", f"{_A}.carry")
_BACK = (f"{_H}.cancel", f"{_H}.refuse")
_FOUND = ("discrepancy.found", "discrepancy.send_again")
ACTS: dict[str, dict[str, tuple[str, ...]]] = {
    "personalisation_request": {
        "draft": (f"{_P}.draft",), "submitted": (f"{_P}.submit",), "returned": (f"{_P}.return",), "approved": (f"{_P}.approve",),
        "rejected": (f"{_P}.reject",), "cancelled": (f"{_P}.cancel",), "personalising": (f"{_P}.results",), "completed": (f"{_P}.results",),
        "closed": (f"{_P}.close",),
    },
    "personalisation_closing": {"proposed": (f"{_P}.close_propose",), "executed": (f"{_P}.close",), "rejected": (f"{_P}.close_reject",)},
    "blank_delivery": {"recorded": ("blank.deliver",), "cancelled": ("blank.cancel",)},
    "blank_card": {
        "stocked": ("blank.deliver", "blank.return", f"{_P}.close"), "issued": ("blank.issue",), "personalised": (f"{_P}.results",),
        "failed": (f"{_P}.results",), "withdrawn": ("blank.cancel", f"{_P}.close"),
    },
    "card": {
        "registered": ("card.register",), "handed_over": (f"{_H}.issue",),
        "personalised": (f"{_P}.results", *_BACK, *_FOUND, f"{_H}.receive", "discrepancy.arrived", "card.report"),
        "received": (f"{_H}.receive", "discrepancy.arrived", *_BACK, *_FOUND, "card.report", "manifest.revoke", "manifest.expire",
                     "card.report_withdraw", "unit.correct_execute"),
        "active": (*_ACTIVATED, "card.report_withdraw", f"{_PLACE}.lift", _REVIEWED),
        "suspended": ("card.report", *_SUSPENDED, *_ACTIVATED),
        "damaged": (*_REPORTED, f"{_P}.results", "discrepancy.record"), "locked": _REPORTED, "lost": (*_REPORTED, "discrepancy.lost"),
        "revoked": (f"{_H}.receive", "discrepancy.arrived", f"{_P}.close"), "destroyed": (f"{_D}.record",),
    },
    "handover": {state: (f"{_H}.{verb}",) for state, verb in
                 (("issued", "issue"), ("received", "receive"), ("partly_received", "receive"), ("cancelled", "cancel"),
                  ("refused", "refuse"))},
    "discrepancy_card": {
        "missing": ("discrepancy.record",), "damaged": ("discrepancy.record",), "found": ("discrepancy.found", *_REPORTED),
        "sent_again": ("discrepancy.send_again",), "arrived": ("discrepancy.arrived",), "lost": ("discrepancy.lost",),
    },
    "activation_request": {
        "draft": (f"{_A}.draft",), "submitted": (f"{_A}.submit",), "returned": (f"{_A}.return",), "approved": (f"{_A}.approve",),
        "rejected": (f"{_A}.reject",), "cancelled": (f"{_A}.cancel",), "completed": (f"{_A}.create",), "expired": (f"{_A}.expire",),
    },
    "token": {
        "issued": (f"{_A}.approve", "token.reissue", "keys.compromise", "keys.reissue"), "redeemed": _ACTIVATED,
        "expired": ("token.expire",),
        "cancelled": ("token.refused", "token.reissue", *_REPORTED, f"{_A}.cancel"),
    },
    "manifest": {"active": (*_ACTIVATED, "card.report_withdraw", f"{_PLACE}.lift", _REVIEWED), "superseded": _ACTIVATED,
                 "suspended": ("card.report", *_SUSPENDED, *_ACTIVATED),
                 "revoked": ("manifest.revoke", "unit.correct_execute", *_REPORTED),
                 "expired": ("manifest.expire",)},
    "destruction": {state: (f"{_D}.{verb}",) for state, verb in (
        ("proposed", "propose"), ("approved", "approve"), ("rejected", "reject"), ("executed", "record"), ("verified", "verify"),
        ("cancelled", "cancel"))},
    "model_case": {
        "applied": (f"{_M}.apply",), "approved_to_test": (f"{_M}.admit", f"{_M}.return"), "tested": (f"{_M}.test",),
        "certified": (f"{_M}.approve",), "reported": (f"{_M}.report",), "rejected": (f"{_M}.reject",), "cancelled": (f"{_M}.cancel",),
    },
    "own_file": {"queued": ("file.ask",), "running": ("file.run",), "ready": ("file.ready",), "stopped": ("file.stop",),
                 "cancelled": ("file.cancel",), "expired": ("file.expire",)},
    "job": {"queued": ("job.begin",), "running": ("job.run",), "completed": ("job.complete",), "stopped": ("job.stop",),
            "cancelled": ("job.cancel",)},
    "revocation": {"proposed": ("manifest.revoke_propose",), "executed": ("manifest.revoke",), "rejected": ("manifest.revoke_reject",)},
    "user_change": {"proposed": ("user.change_propose",), "executed": ("user.change_approve",),
                    "rejected": ("user.change_reject", "user.factor_object")},
    "account_consent": {state: (f"user.consent_{verb}",) for state, verb in
                        (("asked", "ask"), ("accepted", "accept"), ("refused", "refuse"), ("expired", "expire"))},
    "card_report": {"pending": ("card.report",), "confirmed": ("card.report_confirm",), "withdrawn": ("card.report_withdraw",)},
    "place_suspension": {"proposed": (_REVIEWED,), "suspended": _SUSPENDED, "dropped": (f"{_PLACE}.drop",), "lifted": (f"{_PLACE}.lift",),
                         "answered": (f"{_A}.create", _REVIEWED),
                         "closed": ("manifest.revoke", "manifest.expire", "unit.correct_execute", *_REPORTED)},
    "unit_key_change": {"delivered": ("unit.key_deliver",), "proposed": ("unit.key_propose",), "executed": ("unit.key_execute",),
                        "rejected": ("unit.key_reject",)},
    "unit": {"working": ("unit.register", "unit.repair", "rows.adopt"), "broken": ("unit.break", f"{_A}.create"),
             "retired": ("unit.retire",)},
    "outlet": {"open": ("outlet.register", "outlet.reopen", "rows.adopt"), "closed": ("outlet.close",)},
    "unit_correction": {"proposed": ("unit.correct_propose",), "executed": ("unit.correct_execute",), "rejected": ("unit.correct_reject",)},
    "reference_change": {"proposed": ("reference.propose",), "executed": ("reference.execute",), "rejected": ("reference.reject",)},
}  # fmt: skip
"""The acts that lead to each state. An act that newly changes a state must be added here."""

ALWAYS_A_STEP = (
    *(f"{thing}.{verb}" for thing in (_P, _A) for verb in ("draft", "submit", "return", "reject", "cancel")),
    *(f"{_H}.{verb}" for verb in ("issue", "receive", "refuse", "cancel")),
    *(f"discrepancy.{verb}" for verb in ("record", "found", "send_again", "arrived", "lost")),
    *(f"{_M}.{verb}" for verb in ("apply", "admit", "test", "return", "approve", "report", "reject", "cancel")),
    *(f"reference.{verb}" for verb in ("propose", "execute", "reject")),
    *(f"manifest.revoke{verb}" for verb in ("_propose", "", "_reject")),
    *(f"user.change_{verb}" for verb in ("propose", "approve", "reject")), "user.factor_object",
    *(f"user.consent_{verb}" for verb in ("ask", "accept", "refuse", "expire")),
    *(f"job.{verb}" for verb in ("begin", "run", "complete", "stop", "cancel")),
    *(f"{_D}.{verb}" for verb in ("propose", "reject", "record", "verify", "cancel")),
    *(f"unit.key_{verb}" for verb in ("deliver", "propose", "execute", "reject")), "card.report_confirm", "card.report_withdraw",
    *(f"{_P}.close{verb}" for verb in ("_propose", "", "_reject")), *(f"blank.{verb}" for verb in ("deliver", "cancel", "issue", "return")),
    *(f"{_PLACE}.{verb}" for verb in ("execute", "drop", "overdue", "lift")),
    *(f"unit.{verb}" for verb in ("break", "repair", "retire", "correct_propose", "correct_execute", "correct_reject")),
    "outlet.close", "outlet.reopen",
    *_ACTIVATED, f"{_A}.expire", "card.register", "card.report", "manifest.expire", "token.expire", "token.reissue",
)  # fmt: skip
"""Acts that always change a state. An entry of one without a step reports something that did not happen."""


def _list(texts: tuple[str, ...]) -> str:
    return ", ".join(f"'{text}'" for text in texts)


@in_snapshot("state-last-step", "The state of a thing is its last step, and its act is that step's.")
def last_step(now: Snapshot) -> Found:
    """Compare state and act of each object with its last step. Direct SQL past the triggers changes the state without a step."""
    for cycle in CYCLES:
        newest = f"(SELECT MAX(n.id) FROM history n WHERE n.object_kind = '{cycle.kind}' AND n.object_id = o.id)"
        yield from now.find(
            cycle.kind,
            f"SELECT o.id, o.state, COALESCE(h.to_state, 'nothing') AS last FROM {cycle.table} o LEFT JOIN history h ON h.id = {newest}"
            " WHERE h.id IS NULL OR h.to_state <> o.state OR h.act_id <> o.act_id",
            "is {state}; its last step led to {last}, by another act or not at all",
        )


@in_snapshot("steps-in-table", "Every step is in the transition table of its kind.")
def in_table(now: Snapshot) -> Found:
    """Compare each step with the transition table that code and triggers use."""
    for cycle in CYCLES:
        yield from now.find(
            cycle.kind,
            f"SELECT h.object_id AS id, h.from_state, h.to_state FROM history h WHERE h.object_kind = '{cycle.kind}'"
            f" AND NOT ({_steps(cycle)})",
            "went from '{from_state}' to '{to_state}', which the table does not allow",
        )
    yield from now.find(
        "history",
        f"SELECT h.id, h.object_kind FROM history h WHERE h.object_kind NOT IN ({_list(tuple(cycle.kind for cycle in CYCLES))})",
        "is of a kind ({object_kind}) that has no life",
    )


def _steps(cycle: LifeCycle) -> str:
    # The first step has no state before it, which the history writes as an empty text.
    births = [f"(h.from_state = '' AND h.to_state = '{state}')" for state in cycle.initial]
    return " OR ".join(births + [f"(h.from_state = '{t.source}' AND h.to_state = '{t.target}')" for t in cycle.transitions])


@in_snapshot("steps-join", "Each step begins where the one before ended; a life has one birth, its first step.")
def join(now: Snapshot) -> Found:
    """Compare the state in which each step begins with the state in which the step before it ended."""
    return now.find(
        "history",
        "SELECT w.id, w.object_kind, w.from_state, w.before FROM (SELECT h.id, h.object_kind, h.from_state,"
        " COALESCE(LAG(h.to_state) OVER (PARTITION BY h.object_kind, h.object_id ORDER BY h.id), '') AS before FROM history h) w"
        " WHERE w.from_state <> w.before",
        "({object_kind}) begins at '{from_state}', the step before it ended at '{before}'",
    )


@in_snapshot("history-object", "Nothing is deleted: everything that has a history is there.")
def objects(now: Snapshot) -> Found:
    """Look for first steps whose object does not exist."""
    for cycle in CYCLES:
        yield from now.find(
            cycle.kind,
            f"SELECT h.object_id AS id FROM history h LEFT JOIN {cycle.table} o ON o.id = h.object_id"
            f" WHERE h.object_kind = '{cycle.kind}' AND h.from_state = '' AND o.id IS NULL",
            "has a history and is not there",
        )


@in_snapshot("step-act", "Every state change has an audit entry of the same transaction, of an action that leads there.")
def acts(now: Snapshot) -> Found:
    """Compare each step with its audit entry: moment, user, action, and the object if it is of the same kind."""
    yield from now.find(
        "history",
        "SELECT h.id, h.object_kind, h.to_state FROM history h LEFT JOIN audit_entry e ON e.id = h.act_id WHERE e.id IS NULL",
        "({object_kind} became {to_state}) has no audit entry",
    )
    step, entry = bare("history"), bare("audit_entry")
    yield from now.find(
        "history",
        select(step.c.id, step.c.object_kind, step.c.to_state, entry.c.action)
        .join(entry, entry.c.id == step.c.act_id)
        .where(or_(step.c.at != entry.c.at, step.c.user_id.is_distinct_from(entry.c.user_id))),
        "({object_kind} became {to_state}) was not written with its audit entry ({action}): moment or user differ",
    )
    for cycle in CYCLES:
        fits = " OR ".join(f"(h.to_state = '{state}' AND e.action IN ({_list(names)}))" for state, names in ACTS[cycle.kind].items())
        yield from now.find(
            cycle.kind,
            f"SELECT h.object_id AS id, h.to_state, e.action FROM history h JOIN audit_entry e ON e.id = h.act_id"
            f" WHERE h.object_kind = '{cycle.kind}' AND NOT ({fits})",
            "became {to_state} by the act {action}, which does not lead there",
        )
        yield from now.find(
            cycle.kind,
            select(step.c.object_id.label("id"), step.c.to_state, entry.c.action, entry.c.object_id.label("other"))
            .join(entry, entry.c.id == step.c.act_id)
            .where(step.c.object_kind == cycle.kind, entry.c.object_kind == cycle.kind, entry.c.object_id != dashed(step.c.object_id))
            .where(or_(step.c.from_state != "", literal(cycle.kind).not_in(MADE_TOGETHER))),
            "became {to_state} by the act {action} on another one ({other})",
        )


@in_snapshot("act-step", "An act that moves something has moved something.")
def moved(now: Snapshot) -> Found:
    """Check the reverse of `step-act`: each of these acts has a step."""
    return now.find(
        "audit_entry",
        "SELECT e.id, e.action, e.object_kind, e.object_id FROM audit_entry e LEFT JOIN history h ON h.act_id = e.id"
        f" WHERE e.action IN ({_list(ALWAYS_A_STEP)}) AND h.id IS NULL",
        "({action} of {object_kind} {object_id}) moved nothing",
    )


@in_snapshot("act-exists", "Everything that names an act names one that is recorded.")
def exist(now: Snapshot) -> Found:
    """Check the rows that name an act without having a life cycle."""
    tables = (
        "personalisation_result",
        "personalisation_approval",
        "activation_approval",
        "destruction_approval",
        "model_case_approval",
        "activation",
        "reissue",
        "field_note",
    )
    for table in tables:
        yield from now.find(
            table,
            f"SELECT o.id FROM {table} o LEFT JOIN audit_entry e ON e.id = o.act_id WHERE e.id IS NULL",
            "names an act that is not recorded",
        )


@in_snapshot("field-notes", "A note on a field goes with a step that returned a request, and the record of acts has it word for word.")
def field_notes(now: Snapshot) -> Found:
    """Check both directions: also that no note in an audit entry is missing."""
    yield from now.find(
        "field_note",
        "SELECT n.id FROM field_note n LEFT JOIN history h ON h.act_id = n.act_id AND h.to_state = 'returned' WHERE h.id IS NULL",
        "goes with no step that returned something",
    )
    kept: dict[Any, dict[str, str]] = {}
    for note in now.rows("SELECT act_id, field, note FROM field_note"):
        kept.setdefault(note.act_id, {})[note.field] = note.note
    act = bare("audit_entry")
    returns = select(act.c.id, fact(act.c.data, "fields").label("fields")).where(act.c.action.in_((f"{_P}.return", f"{_A}.return")))
    for entry in now.rows(returns):
        if json.loads(entry.fields or "{}") != kept.get(entry.id, {}):
            yield broken("audit_entry", entry.id, "says other notes on fields than are kept")
