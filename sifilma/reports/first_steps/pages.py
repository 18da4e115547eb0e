"""The first steps of the actor's organisation, by its kind, in one statement. An organisation that has taken all sees none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy import ColumnElement, exists, select

from sifilma.activation.models import ActivationRequest, Manifest
from sifilma.cards.models import DeviceModel, Unit
from sifilma.handover.models import RECEIPTS, Handover
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.oversight.models import Agreement
from sifilma.personalisation.models import PersonalisationRequest


@dataclass(frozen=True)
class Kind:
    """A step that organisations of a kind take: its words, what it is for, and the page on which it is taken (`operation`: who may)."""

    key: str
    words: LazyString
    why: LazyString
    button: LazyString
    endpoint: str
    operation: Operation


@dataclass(frozen=True)
class FirstStep:
    """A step, whether it is taken, whether it is the next one, and whether the actor may take it."""

    kind: Kind
    done: bool
    next: bool
    may: bool


UNITS = Kind(
    "units", _("Register your units"), _("Each reader or encoder, with its hardware number: cards are bound to them."),
    _("Register a unit"), "unit_pages.new", Operation.UNIT_REGISTER,
)  # fmt: skip
LETTER = Kind(
    "letter", _("Send the letter that asks for cards"), _("How many cards, for which function, with the letter as a PDF."),
    _("New request"), "personalisation_pages.new", Operation.PERSONALISATION_SUBMIT,
)  # fmt: skip
CARDS = Kind(
    "cards", _("Receive the cards"), _("The directorate personalises them and hands them over with a BAST, which you confirm."),
    _("To the BASTs"), "handover_pages.index", Operation.HANDOVER_RECEIVE,
)  # fmt: skip
REQUEST = Kind(
    "request", _("Ask for their activation"), _("A second letter names the received cards; after its approval each card has a token."),
    _("Ask for activation"), "activation_pages.new", Operation.ACTIVATION_SUBMIT,
)  # fmt: skip
MANIFEST = Kind(
    "manifest", _("Activate the first card"), _("With its token, in its unit: you get the manifest and load it into the unit."),
    _("To the activation requests"), "activation_pages.index", Operation.ACTIVATE,
)  # fmt: skip
AGREEMENT = Kind(
    "agreement", _("Have an agreement (PKS)"), _("The directorate records it. Without one nothing is approved for an institution."),
    _("To the organisations"), "organisation_pages.index", Operation.REFERENCE_READ,
)  # fmt: skip
ORDERED = Kind(
    "ordered", _("Order cards from your manufacturer"), _("The manufacturer of your units asks for the cards with your purchase order."),
    _("To the requests"), "personalisation_pages.index", Operation.PERSONALISATION_VIEW,
)  # fmt: skip
MODEL = Kind(
    "model", _("Have a model certified"), _("Apply for the test and the certificate of a reader or encoder."),
    _("To the models"), "model_pages.index", Operation.MODEL_APPLY,
)  # fmt: skip
SOLD = Kind(
    "sold", _("Have a buyer register its units"), _("Units of your models that wait for a card appear in the template of your batch."),
    _("To the units"), "unit_pages.index", Operation.UNIT_READ,
)  # fmt: skip
BATCH = Kind(
    "letter", _("Ask for cards for a buyer"), _("With your letter, the purchase order and a batch with a row for each unit."),
    _("New request"), "personalisation_pages.new", Operation.PERSONALISATION_SUBMIT,
)  # fmt: skip
PASSED_ON = Kind(
    "passed_on", _("Hand the cards over to the buyer"), _("With a BAST of your own. The buyer asks for the activation."),
    _("Issue a BAST"), "handover_pages.new", Operation.HANDOVER_ISSUE,
)  # fmt: skip
OFFICE = (UNITS, LETTER, CARDS, REQUEST, MANIFEST)
STEPS = {
    OrganisationKind.REGENCY_OFFICE: OFFICE,
    OrganisationKind.PROVINCE_OFFICE: OFFICE,
    OrganisationKind.INSTITUTION: (AGREEMENT, UNITS, ORDERED, CARDS, REQUEST, MANIFEST),
    OrganisationKind.MANUFACTURER: (MODEL, SOLD, BATCH, CARDS, PASSED_ON),
}


def steps(ctx: Context) -> list[FirstStep]:
    """Return the steps of the actor's organisation in their order; none for the directorate, or when all are taken."""
    kinds = STEPS.get(ctx.actor.organisation_kind) if ctx.actor.organisation_kind else None
    if not kinds:
        return []
    found = built_once.rows(ctx, _taken_query)[0]._asdict()
    ahead = [kind.key for kind in kinds if not found[kind.key]]
    return [FirstStep(kind, found[kind.key], kind.key == ahead[0], bool(grants(ctx.actor, kind.operation))) for kind in kinds if ahead]


def _taken_query(ctx: Context, _: None) -> Any:
    """Return the query of which steps are taken, of any kind of organisation, each by its key."""
    own = ctx.actor.organisation_id
    P, H, A = PersonalisationRequest, Handover, ActivationRequest  # noqa: N806  # as the selects read
    sold = select(DeviceModel.id).where(DeviceModel.manufacturer_id == own, _is_any(Unit, Unit.model_id, DeviceModel.id))
    taken = {
        "agreement": exists().where(Agreement.organisation_id == own),
        "model": exists().where(DeviceModel.manufacturer_id == own),
        "units": _is_any(Unit, Unit.organisation_id, own),
        "sold": sold.exists(),
        "letter": _is_any(P, P.requester_id, own, P.submitted_at.is_not(None)),
        "ordered": _is_any(P, P.buyer_id, own, P.submitted_at.is_not(None)),
        "cards": _is_any(H, H.receiver_id, own, H.state.in_(RECEIPTS)),
        "request": _is_any(A, A.organisation_id, own, A.submitted_at.is_not(None)),
        "manifest": _is_any(Manifest, Manifest.organisation_id, own),
        "passed_on": _is_any(H, H.issuer_id, own),
    }
    return select(*(condition.label(key) for key, condition in taken.items()))


def _is_any(model: Any, owner: Any, own: Any, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that an owner has a row. By EXISTS PostgreSQL would read the table up to it, as if all had equally many."""
    first = select(model.id).where(owner == own, *which).order_by(owner, model.id).limit(1)
    return cast("ColumnElement[bool]", first.scalar_subquery().is_not(None))
