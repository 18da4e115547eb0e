"""Convert the filters of a queue's page for the query."""

from __future__ import annotations

from sifilma.approvals.queries import Wanted
from sifilma.documents import lists
from sifilma.kernel.timekeeping.targets import Targets
from sifilma.web.forms import Form


def wanted(form: Form, targets: Targets) -> Wanted:
    """Return the filter that a form describes. Texts are cut to 100 characters. `targets` say what is late."""
    text, days = form.get("q").strip()[:100], lists.chosen_age(form)
    late = targets if form.get("terlambat") else None
    return Wanted(form.get("state"), text, bool(form.get("menunggu")), form.get("function"), days, late)
