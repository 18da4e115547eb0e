"""What the forms and lists of all requests share: filters, the day of a letter, and submitting on saving."""

from __future__ import annotations

from datetime import date

from sifilma.approvals.queries import Wanted
from sifilma.documents import lists
from sifilma.documents.indonesian import WIB
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Forbidden
from sifilma.kernel.timekeeping.targets import Targets
from sifilma.web.forms import Form

THEN, SUBMIT = "lalu", "ajukan"
"""The name of the button that says what follows on saving, and its value."""


def wanted(form: Form, targets: Targets) -> Wanted:
    """Return the filter that a form describes. Texts are cut to 100 characters. `targets` say what is late."""
    text, days = form.get("q").strip()[:100], lists.chosen_age(form)
    late = targets if form.get("terlambat") else None
    return Wanted(form.get("state"), text, bool(form.get("menunggu")), form.get("function"), days, late, form.get("pemegang"))


def letter_day(ctx: Context) -> date:
    """Return the day that a new letter is taken to bear: today, in Jakarta."""
    return ctx.now.astimezone(WIB).date()


def submits(ctx: Context, form: Form, operation: Operation) -> bool:
    """Return whether what was saved is submitted at once, as the form says. Raise Forbidden if the actor may not submit."""
    if form.get(THEN) != SUBMIT:
        return False
    if not grants(ctx.actor, operation):
        raise Forbidden()
    return True
