"""The words of pages for states and kinds: one word for one thing, with a tone and an icon for states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _


@dataclass(frozen=True)
class Shown:
    """A state on a page. `tone` is quiet, wait, good, bad or info. The name always stands beside the colour (WCAG 1.4.1)."""

    name: LazyString
    tone: str
    icon: str


_WAIT, _GOOD, _BAD, _INFO, _QUIET = "wait", "good", "bad", "info", "quiet"
STATES = {
    "draft": Shown(_("Draft"), _QUIET, "pencil"),
    "submitted": Shown(_("Awaiting approval"), _WAIT, "hourglass-split"),
    "returned": Shown(_("To be repaired"), _INFO, "arrow-return-left"),
    "approved": Shown(_("Approved"), _GOOD, "check-circle"),
    "approval_given": Shown(_("Approval given"), _INFO, "check-circle"),
    "rejected": Shown(_("Rejected"), _BAD, "x-circle"),
    "personalising": Shown(_("Being personalised"), _INFO, "cpu"),
    "completed": Shown(_("Completed"), _GOOD, "check-all"),
    "cancelled": Shown(_("Cancelled"), _QUIET, "slash-circle"),
    "expired": Shown(_("Expired"), _QUIET, "clock-history"),
    "issued": Shown(_("Issued"), _WAIT, "send"),
    "received": Shown(_("Received"), _GOOD, "box-arrow-in-down"),
    "partly_received": Shown(_("Received with a discrepancy"), _WAIT, "box-arrow-in-down"),
    "missing": Shown(_("Missing"), _WAIT, "question-circle"),
    "found": Shown(_("Found"), _GOOD, "check-circle"),
    "sent_again": Shown(_("Sent again"), _INFO, "send"),
    "arrived": Shown(_("Came later"), _GOOD, "box-arrow-in-down"),
    "refused": Shown(_("Refused"), _BAD, "x-circle"),
    "redeemed": Shown(_("Used"), _GOOD, "check-circle"),
    "registered": Shown(_("Registered"), _QUIET, "card-list"),
    "personalised": Shown(_("Personalised"), _INFO, "cpu"),
    "handed_over": Shown(_("Handed over"), _WAIT, "truck"),
    "active": Shown(_("Active"), _GOOD, "broadcast"),
    "suspended": Shown(_("Suspended"), _WAIT, "pause-circle"),
    "lost": Shown(_("Lost"), _BAD, "question-circle"),
    "damaged": Shown(_("Damaged"), _BAD, "exclamation-triangle"),
    "locked": Shown(_("Locked"), _BAD, "lock"),
    "revoked": Shown(_("Revoked"), _BAD, "x-octagon"),
    "destroyed": Shown(_("Destroyed"), _QUIET, "trash"),
    "superseded": Shown(_("Superseded"), _QUIET, "arrow-repeat"),
    "proposed": Shown(_("Proposed"), _WAIT, "hourglass-split"),
    "executed": Shown(_("Executed"), _GOOD, "check-circle"),
    "verified": Shown(_("Verified"), _GOOD, "patch-check"),
    "free": Shown(_("Free"), _QUIET, "circle"),
    "none": Shown(_("Not needed"), _QUIET, "circle"),
    "waiting": Shown(_("Awaiting review"), _WAIT, "hourglass-split"),
    "accepted": Shown(_("Accepted"), _GOOD, "check-circle"),
    "asked": Shown(_("Awaiting an answer"), _WAIT, "hourglass-split"),
    "invited": Shown(_("Invited"), _WAIT, "envelope"),
    "disabled": Shown(_("Disabled"), _BAD, "slash-circle"),
    "retried": Shown(_("Failed, will be tried again"), _WAIT, "arrow-repeat"),
    "sent": Shown(_("Sent"), _GOOD, "check-circle"),
    "failed": Shown(_("Given up"), _BAD, "x-circle"),
    "lapsed": Shown(_("Given up: too late"), _BAD, "clock-history"),
    "running": Shown(_("Running"), _GOOD, "broadcast"),
    "queued": Shown(_("Waits for its turn"), _WAIT, "hourglass-split"),
    "stopped": Shown(_("Stopped"), _BAD, "slash-circle"),
    "applied": Shown(_("Applied for"), _WAIT, "envelope-paper"),
    "approved_to_test": Shown(_("Approved to be tested"), _INFO, "send"),
    "tested": Shown(_("Awaiting certification"), _WAIT, "hourglass-split"),
    "certified": Shown(_("Certified"), _GOOD, "patch-check"),
    "reported": Shown(_("Reported to the Minister"), _GOOD, "check-all"),
    "in_force": Shown(_("In force"), _GOOD, "check-circle"),
    "absent": Shown(_("None yet"), _QUIET, "circle"),
    "delivered": Shown(_("Sent by a program"), _WAIT, "hourglass-split"),
    "pending": Shown(_("Awaiting a person"), _WAIT, "hourglass-split"),
    "confirmed": Shown(_("Confirmed"), _BAD, "check-circle"),
    "withdrawn": Shown(_("Withdrawn"), _QUIET, "arrow-return-left"),
    "recorded": Shown(_("Recorded"), _GOOD, "check-circle"),
    "stocked": Shown(_("In the store"), _GOOD, "box-seam"),
    "dropped": Shown(_("Dropped"), _QUIET, "arrow-return-left"),
    "answered": Shown(_("Answered by a relocation"), _GOOD, "check-circle"),
    "lifted": Shown(_("Lifted"), _GOOD, "arrow-return-left"),
    "open": Shown(_("Open"), _GOOD, "shop"),
    "closed": Shown(_("Closed"), _QUIET, "check-all"),
    "working": Shown(_("Working"), _GOOD, "check-circle"),
    "broken": Shown(_("Broken"), _BAD, "tools"),
    "retired": Shown(_("Retired"), _QUIET, "archive"),
    "ready": Shown(_("Ready"), _GOOD, "file-earmark-check"),
    "PASS": Shown(_("Place fits"), _GOOD, "geo-alt"),
    "REVIEW": Shown(_("Place doubtful"), _WAIT, "geo-alt"),
    "FAIL": Shown(_("Place does not fit"), _BAD, "geo-alt"),
}
KINDS = {
    "directorate": _("Directorate"),
    "province_office": _("Province office"),
    "regency_office": _("Regency office"),
    "institution": _("Institution"),
    "manufacturer": _("Manufacturer"),
    "testing": _("Testing"),
    "certification": _("TKDN certification"),
    "test": _("Result of the test"),
    "tkdn": _("TKDN certificate"),
    "organisations": _("Organisations"),
    "agreements": _("Agreements (PKS)"),
    "models": _("Models"),
    "activation": _("Activation of cards"),
    "batch": _("Batch of a manufacturer"),
    "list": _("List"),
    "manifests": _("Manifests"),
    "print": _("Papers to be printed"),
    "intake": _("Batch of many rows"),
    "results": _("Results of personalisation"),
    "new": _("New"),
    "delivery": _("Delivery"),
    "return": _("Return"),
    "agreement_ended": _("The agreement (PKS) has ended"),
    "sanction": _("Sanction"),
    "repair": _("Repair or replacement"),
    "relocation": _("Relocation"),
    "renewal": _("Renewal"),
    "replacement": _("Replacement of a machine"),
    "device": _("From the device"),
    "map": _("Chosen on the map"),
    "typed": _("Typed"),
    "approver": _("Approver"),
    "operator": _("Operator"),
    "auditor": _("Auditor"),
    "user_admin": _("User administrator"),
    "custodian": _("HSM custodian"),
    "head": _("Head"),
    "staff": _("Staff"),
    "nip": _("NIP"),
    "nrp": _("NRP"),
    "employee": _("Employee number"),
    "R": _("R (read)"),
    "RW": _("RW (read and write)"),
}
THINGS = {
    "personalisation_request": _("personalisation request"),
    "handover": _("handover"),
    "discrepancy_card": _("difference of a receipt"),
    "activation_request": _("activation request"),
    "token": _("token"),
    "card": _("card"),
    "manifest": _("manifest"),
    "destruction": _("destruction"),
    "model_case": _("application for a model"),
    "reference_change": _("change of reference data"),
    "job": _("job"),
    "own_file": _("file"),
    "revocation": _("proposal to revoke a manifest"),
    "user_change": _("proposed change of an account"),
    "account_consent": _("consent to a further account"),
    "card_report": _("report of a program on a card"),
    "unit": _("unit"),
    "unit_correction": _("correction of a unit"),
    "unit_key_change": _("proposed public key of units"),
    "personalisation_closing": _("proposal to close a request"),
    "blank_delivery": _("delivery of blank SAMs"),
    "blank_card": _("blank SAM"),
    "place_suspension": _("suspension for a rejected place"),
}


def state(name: str) -> Shown:
    """Return how a state is shown. A state without words is shown by its own name."""
    return STATES.get(name) or Shown(LazyString(lambda: name), _QUIET, "circle")


def named(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return states as the choices of a filter."""
    return [(name, str(state(name).name)) for name in names]


def kind(name: str) -> str:
    """Return the words for a kind (of organisation, request, source or role)."""
    return str(KINDS.get(name, name))


def functions() -> list[tuple[str, str]]:
    """Return the functions of cards as the choices of a filter."""
    return [(name, kind(name)) for name in ("R", "RW")]


def thing(name: str) -> str:
    """Return the words for the object of a life cycle, for use within a sentence."""
    return str(THINGS.get(name, name))
