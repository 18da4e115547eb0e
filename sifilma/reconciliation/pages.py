"""What the page of a reconciliation says: how the database stands to its witness, what is left of each counter, and the names of things."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from config.settings import Settings
from sifilma.kernel.context import Context
from sifilma.reconciliation.models import Decision, OpenQuestion
from sifilma.witness import reserved, row, standing
from sifilma.witness.reserved import Left
from sifilma.witness.standing import Found, State

KINDS: dict[str, LazyString] = {
    "activation_request": _("Activation request"),
    "agreement": _("Agreement (PKS)"),
    "api_key": _("API key"),
    "blank_delivery": _("Delivery of blank SAMs"),
    "card": _("Card"),
    "destruction": _("Destruction"),
    "discrepancy": _("Discrepancy of a BAST"),
    "handover": _("Handover (BAST)"),
    "manifest": _("Manifest"),
    "model_case": _("Application for a model"),
    "organisation": _("Organisation"),
    "personalisation_request": _("Personalisation request"),
    "reference": _("Reference data"),
    "succession": _("Succession of a head"),
    "unit": _("Unit"),
    "user": _("Account"),
}
DECISIONS: dict[Decision, LazyString] = {
    Decision.ENTERED: _("It was entered again"),
    Decision.REVOKED: _("It is revoked"),
    Decision.NOTHING: _("Nothing is to be done"),
}
STATES: dict[State, LazyString] = {
    State.NONE: _("There is no witness: an older database would give numbers out twice."),
    State.SOUND: _("The witness has what this database has."),
    State.AWAY: _("The witness does not answer. Issuing goes on to the end of the numbers that it knows."),
    State.BEHIND: _(
        "An older database was brought back. Nothing is issued until two custodians have reconciled it (sifilma restore reconcile)."
    ),
    State.OLDER: _("The witness has lost statements that it was told. Nothing is told to it until the operators have put it right."),
    State.FORGED: _("The witness holds what this service did not sign. Nothing is told to it until the operators have put it right."),
}


@dataclass(frozen=True)
class Standing:
    """How the database stands to its witness; what is running short; since when something waits to be told (None: nothing)."""

    found: Found
    short: list[Left]
    untold_since: datetime | None

    @property
    def words(self) -> LazyString:
        """Return it as a sentence."""
        return STATES[self.found.state]

    @property
    def is_sound(self) -> bool:
        """Return whether nobody has to do anything about it."""
        return self.found.state in (State.SOUND, State.NONE) and not self.short


def standing_of(ctx: Context, settings: Settings) -> Standing:
    """Return how the database of this context stands to its witness, by the last comparison of this process."""
    found = standing.of(ctx.session).look(ctx.session)
    if found.state is State.NONE:
        return Standing(found, [], None)
    short = [one for one in reserved.left(ctx.session, settings, ctx.now) if one.is_short]
    return Standing(found, short, row.untold_since(ctx.session))


def name_of(kind: str) -> str:
    """Return what a kind of thing is called on screens."""
    return str(KINDS.get(kind, kind))


def decision_name(decision: str) -> str:
    """Return what a decision is called on screens."""
    return str(DECISIONS[Decision(decision)])


def choices_of(question: OpenQuestion) -> list[tuple[str, LazyString]]:
    """Return the decisions that a question has: only a manifest is revoked here."""
    return [(str(one), words) for one, words in DECISIONS.items() if one is not Decision.REVOKED or question.kind == "manifest"]
