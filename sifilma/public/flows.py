"""The two flows of a card from request to manifest, for the diagrams (docs/domain.md)."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _


@dataclass(frozen=True)
class Step:
    """One box of a diagram. `lane` says who acts. `back` is the number of the step to which a returned request goes, 0 for none."""

    lane: str
    text: LazyString
    back: int = 0


@dataclass(frozen=True)
class Flow:
    """One flow: its name, a sentence about it, and its steps."""

    key: str
    title: LazyString
    lead: LazyString
    steps: tuple[Step, ...]


LANES = {
    "office": _("Regency or province office"),
    "institution": _("Institution"),
    "manufacturer": _("Manufacturer"),
    "directorate": _("Directorate"),
    "system": _("SI-FILMA"),
}
FLOWS = (
    Flow(
        "dinas",
        _("Offices: readers and encoders of their own"),
        _("A regency or province office asks for cards for its own machines, reading (R) or reading and writing (RW)."),
        (
            Step("office", _("Registers its machines as units")),
            Step("office", _("Submits a personalisation request with its letter")),
            Step("directorate", _("Another person approves; for RW two of them"), back=2),
            Step("directorate", _("Personalises the cards and issues the BAST")),
            Step("office", _("Compares the cards with the BAST and receives them")),
            Step("office", _("Submits an activation request for the received cards")),
            Step("directorate", _("Another person approves; each card gets its token"), back=6),
            Step("office", _("Activates: card, token, machine and place")),
            Step("system", _("Signs the manifest in the HSM; the office downloads it")),
        ),
    ),
    Flow(
        "lembaga",
        _("Institutions: readers they have bought"),
        _("An institution with an agreement (PKS) buys readers; the manufacturer asks for their cards. Reading (R) only."),
        (
            Step("institution", _("Buys readers and registers them as units")),
            Step("manufacturer", _("Submits the batch of units with the purchase order")),
            Step("directorate", _("Another person approves"), back=2),
            Step("directorate", _("Personalises the cards and hands them to the manufacturer (BAST)")),
            Step("manufacturer", _("Hands the cards to the institution (BAST)")),
            Step("institution", _("Receives the cards and submits an activation request")),
            Step("directorate", _("Another person approves; each card gets its token"), back=6),
            Step("institution", _("Activates: card, token, machine and place")),
            Step("system", _("Signs the manifest in the HSM; the institution downloads it")),
        ),
    ),
)
