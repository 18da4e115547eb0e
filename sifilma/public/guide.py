"""The parts of a guide, and the steps that several guides share."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _


@dataclass(frozen=True)
class Step:
    """One thing to do, with the endpoint of its page and the text of the link to it. `picture` names one of PICTURES."""

    title: LazyString
    text: LazyString
    endpoint: str
    action: LazyString
    picture: str = ""


@dataclass(frozen=True)
class Guide:
    """The guide of a role. `columns` are the columns of the permission table whose people see it."""

    key: str
    title: LazyString
    lead: LazyString
    icon: str
    columns: tuple[str, ...]
    steps: tuple[Step, ...]


PICTURES = {
    "home": _("The home page: what waits, what is awaited and what lapses soon, with figures and charts below."),
    "activation": _("The activation form: card and token first, then the machine and its place on the map."),
    "approval": _("A request with its data on the left, the letter on the right and the decision below the data."),
}

PROFILE = Step(
    _("Take up your invitation"),
    _(
        "Open the one-time link you were given, choose a password and connect the authenticator app on your phone. Then make recovery "
        "codes on your profile page and keep them where the phone is not."
    ),
    "accounts.profile",
    _("Profile and sessions"),
)
STAFF = Step(
    _("Invite your colleagues"),
    _("The head of an organisation invites its staff and makes keys for its programs. Nobody shares an account: every act bears a name."),
    "user_pages.index",
    _("Users"),
)
ACTIVATION = (
    Step(
        _("Request the activation"),
        _("Choose cards you have received, add your letter, and submit. For a machine that moves choose the kind relocation."),
        "activation_pages.new",
        _("New activation request"),
    ),
    Step(
        _("Show the tokens"),
        _(
            "After the approval every card has a token of its own, which counts once and for a limited time. You see them on the "
            "request's page with a fresh one-time code. Nobody at the directorate can see them: do not ask for them by phone, and send "
            "them to nobody."
        ),
        "activation_pages.index",
        _("Activation requests"),
    ),
    Step(
        _("Activate at the machine"),
        _(
            "Enter UID and token, choose the machine, and let the device find the place or set it on the map. If the place is doubtful, "
            "write why it is right."
        ),
        "activate_pages.form",
        _("Activate a card"),
        "activation",
    ),
    Step(
        _("Put the manifest into the machine"),
        _("Download the manifest and load it into this one machine. It opens no other. Until when it counts stands beside it."),
        "activated_pages.index",
        _("Activations"),
    ),
    Step(
        _("Report what happens later"),
        _("A card that is damaged, locked or lost is reported at once: its manifest is revoked. A card found again is activated anew."),
        "card_pages.index",
        _("Cards"),
    ),
)

BEGIN = Step(
    _("Begin with what waits"),
    _("The home page lists what waits for you, the oldest first, and how long it has waited."),
    "home.show",
    _("Home"),
    "home",
)
