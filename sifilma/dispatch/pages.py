"""What the page of the work says: the names of the chores, and where their objects are shown."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from sifilma.dispatch.contract import FILES, MESSAGES, ROWS, TOKENS
from sifilma.dispatch.queries import Why

NAMES: dict[str, LazyString] = {
    MESSAGES: _("Send messages"),
    ROWS: _("Settle rows of files"),
    TOKENS: _("Make tokens of many cards"),
    FILES: _("Write files that were asked for"),
    "own files ended": _("Delete files whose time is over"),
    "entries taken into the log": _("Take acts into the transparency log"),
    "numbers reserved at the witness": _("Reserve numbers at the witness"),
    "statements told to the witness": _("Tell the witness what happened"),
    "checkpoints signed": _("Sign checkpoints"),
    "checkpoints witnessed": _("Show checkpoints to the witness"),
    "tokens expired": _("Let tokens expire"),
    "requests expired": _("Let activation requests expire"),
    "manifests expired": _("Let manifests expire"),
    "cards suspended for their place": _("Suspend cards for their rejected place"),
    "unused accounts marked": _("Mark unused accounts"),
    "unused accounts disabled": _("Disable unused accounts"),
    "access reviews opened": _("Open confirmations of accounts"),
    "access reviews closed": _("Close confirmations of accounts"),
    "temporary roles ended": _("End temporary roles"),
    "changes of cards added up": _("Add up numbers of cards"),
    "data keys sealed anew": _("Seal data keys anew"),
    "manifests issued anew": _("Issue manifests anew"),
    "papers stored": _("Store papers"),
    "known people asked": _("Ask known people about further accounts"),
    "people asked for whom help was asked": _("Tell people for whom help was asked"),
    "questions expired": _("Let questions about accounts expire"),
    "people reminded": _("Remind people"),
    "old rows forgotten": _("Delete what is old"),
    "people given a pseudonym": _("Give pseudonyms to people who have left"),
    "rows found changed past the service": _("Compare rows with what was recorded"),
}
WHY: dict[Why, LazyString] = {
    Why.PAUSED: _("Operators have paused this task."),
    Why.NO_WORKER: _("No worker has given a sign of life lately."),
    Why.LATER: _("It is tried again later."),
    Why.LIMIT: _("Another turn of its organisation runs: one of a kind at a time."),
    Why.TURN: _("Others come first, or every turn of the workers is taken."),
}
"""Why something waits."""
PAGES = {ROWS: ("job_pages.show", "job_id"), TOKENS: ("activation_pages.show", "request_id")}
"""The pages of the objects that have turns: endpoint, and the name of the object's id in it."""


def name_of(chore: str) -> str:
    """Return what a chore is called on screens."""
    return str(NAMES.get(chore, chore))
