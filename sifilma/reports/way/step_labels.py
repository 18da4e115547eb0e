"""What steps, their holders and ends of a way are called on screens; and which pages belong to one queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask_babel import lazy_gettext as _

from sifilma.kernel.timekeeping.targets import APPROVAL, DESTRUCTION, HANDOVER, PERSONALISATION
from sifilma.reports.task_labels import Task

STEPS = {
    "letter": _("Letter"),
    "approval": _("Approval"),
    "personalisation": _("Personalisation"),
    "bast_maker": _("BAST to the manufacturer"),
    "bast": _("Handover (BAST)"),
    "bast_back": _("Return (BAST)"),
    "missing": _("Missing cards"),
    "bast_issued": _("BAST issued"),
    "bast_received": _("Cards received"),
    "request": _("Activation request"),
    "manifest": _("Activation and manifest"),
    "renewal": _("Renewal"),
    "report": _("Report of a program"),
    "place": _("Rejected place"),
    "lost": _("Lost"),
    "damaged": _("Damaged"),
    "locked": _("Locked"),
    "revoked": _("Revoked"),
    "proposal": _("Proposal of the destruction"),
    "destruction_approval": _("Approval of the destruction"),
    "berita_acara": _("Berita Acara"),
    "verification": _("Verification"),
}
TARGETS = {
    "approval": APPROVAL,
    "personalisation": PERSONALISATION,
    "bast_maker": HANDOVER,
    "bast": HANDOVER,
    "bast_received": HANDOVER,
    "bast_back": HANDOVER,
    "destruction_approval": DESTRUCTION,
    "verification": DESTRUCTION,
}
"""The service targets of steps; the approval of an activation request has its own."""
HOLDERS = {"approvers": _("Approvers of the directorate"), "operators": _("Operators of the directorate")}
STATUS = {"done": _("Done"), "current": _("Stands here"), "ahead": _("Lies ahead"), "stopped": _("Ended here")}
ENDS = {
    "rejected": _("It was rejected: nothing waits here."),
    "cancelled": _("It was withdrawn: nothing waits here."),
    "closed": _("It was closed with a remainder: no more cards are made, and nothing waits here."),
    "refused": _("The receiver refused the cards: they are back where they came from."),
    "expired": _("Its tokens have expired: cards that were not activated need a new request."),
    "verified": _("The destruction is verified: nothing waits here any more."),
    "destroyed": _("The card is destroyed: nothing waits here any more."),
    "lost": _("The card is lost: nothing can be done before it is found. Whoever finds it reports it on this page."),
    "suspended": _("The card is suspended: nothing can be done before the suspension ends."),
    "in_use": _("The card is in use."),
}
"""Why nobody has a task, by `Way.why`."""


@dataclass(frozen=True)
class Offer:
    """What may be done besides: the page on which it is done, and the name by which its address is given the cards."""

    task: Task
    cards: str


OFFERS = {
    "give_back": Offer(Task(_("Give it back to its maker or the directorate"), "arrow-return-left", "return_pages.new", ""), "cards"),
    "ask_replacement": Offer(Task(_("Ask for a card in its place"), "envelope-paper", "personalisation_pages.new", ""), "ganti"),
}


@dataclass(frozen=True)
class Queue:
    """What waits in one list: the list's endpoint with its query, and the tasks whose objects it shows."""

    endpoint: str
    tasks: frozenset[str]
    values: dict[str, Any] = field(default_factory=dict)


_MINE = {"menunggu": "1"}
QUEUES = {
    "personalisation_pages.show": Queue(
        "personalisation_pages.index",
        frozenset(
            {
                "approve_personalisation",
                "verify_personalisation",
                "record_results",
                "decide_closing",
                "mend_personalisation",
                "submit_personalisation",
            }
        ),
        _MINE,
    ),
    "activation_pages.show": Queue(
        "activation_pages.index",
        frozenset({"approve_activation", "verify_activation", "mend_activation", "submit_activation"}),
        _MINE,
    ),
    "destruction_pages.show": Queue(
        "destruction_pages.index", frozenset({"approve_destruction", "record_destruction", "verify_destruction"})
    ),
    "handover_pages.show": Queue("handover_pages.index", frozenset({"receive_handover", "issue_handover", "settle_missing"})),
    "manifest_pages.show": Queue("manifest_pages.proposals", frozenset({"decide_revocation"})),
    "review_pages.show": Queue("review_pages.index", frozenset({"review_place"})),
    "card_report_pages.show": Queue("home.show", frozenset({"decide_report"})),
    "suspension_pages.show": Queue("suspension_pages.index", frozenset({"decide_place_suspension"})),
    "unit_key_pages.show": Queue("unit_key_pages.index", frozenset({"decide_unit_keys"})),
    "model_pages.case": Queue("model_pages.index", frozenset({"admit_model", "record_certificate", "certify_model", "report_certificate"})),
    "reference_pages.show": Queue("reference_pages.index", frozenset({"decide_reference"})),
}
"""The queue to which a page leads on after an act, by the page's endpoint."""
DECISIONS = frozenset({
    "verified", "returned", "approved", "rejected", "received", "refused", "recorded", "reviewed", "executed", "certified", "admitted",
    "certificate", "told", "report_confirmed", "report_withdrawn", "withdrawn", "keys", "lifted",
})  # fmt: skip
"""What was done (`web.pages.DONE`) where the way leads back to the list if nothing waits there any more."""
