"""The frequent questions and their answers."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the page where the problem is solved (empty if there is none)."""

    key: str
    title: LazyString
    answer: LazyString
    endpoint: str = ""
    action: LazyString | None = None


QUESTIONS = (
    Question(
        "token",
        _("The token is refused as wrong. What now?"),
        _(
            "Each token opens one card of one request: make sure that the token stands beside the very UID you activate, and copy it "
            "instead of typing it, for capital and small letters differ. The fifth wrong try cancels it. Then open the activation "
            "request and have this one token issued anew; the other tokens stay as they are."
        ),
        "activation_pages.index",
        _("To the activation requests"),
    ),
    Question(
        "telepon",
        _("My phone with the authenticator app is lost."),
        _(
            "Enter one of your recovery codes in place of the one-time code, then end the sessions you do not know on your profile page "
            "and make new recovery codes. Without recovery codes you need a new invitation: ask the head of your organisation, or, for "
            "people of the directorate, a user administrator, whose proposal a second administrator decides."
        ),
        "accounts.profile",
        _("To the profile"),
    ),
    Question(
        "lokasi",
        _("The place is shown as doubtful, but the machine does stand there."),
        _(
            "Measure once more outdoors, or set the point on the map at the right building, and check the village you chose. If it stays "
            "doubtful, write the reason: the activation goes on, and an operator reviews the place afterwards. Only the coordinates 0/0 "
            "and places outside Indonesia are refused."
        ),
        "activate_pages.form",
        _("To the activation"),
    ),
    Question(
        "bast",
        _("The BAST does not agree with the cards in the box."),
        _(
            "Do not receive it. Refuse the BAST with a note that says which UIDs are missing or too many: the cards go back to the "
            "issuer, who makes a correct one. As long as you have not received it, the issuer can also cancel it."
        ),
        "handover_pages.index",
        _("To the handovers"),
    ),
    Question(
        "terkunci",
        _("A card is locked or damaged."),
        _(
            "Report it on the card's page. Its manifest is revoked and its token cancelled at once; the card cannot be used again and is "
            "to be destroyed before witnesses. For the machine you ask for a new card by a new personalisation request."
        ),
        "card_pages.index",
        _("To the cards"),
    ),
    Question(
        "pindah",
        _("A machine moves to another office. Do I need a new card?"),
        _(
            "No. Submit an activation request of the kind relocation for its card, and activate it again at the new place. The old "
            "manifest counts until the new one is made."
        ),
        "activation_pages.new",
        _("New activation request"),
    ),
    Question(
        "kode",
        _("The one-time code is not accepted."),
        _(
            "A code counts once. Wait until the app shows the next one, and have the phone set its clock by the network: a clock that is "
            "a minute off makes wrong codes."
        ),
    ),
    Question(
        "manifest",
        _("How does somebody else know that a manifest is genuine?"),
        _(
            "Anybody can check the file here without an account, or with free tools without us: the signature, the keys it rests on, and "
            "whether it was revoked meanwhile."
        ),
        "activation.verification_page",
        _("Verify a manifest or paper"),
    ),
)
