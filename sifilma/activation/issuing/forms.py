"""The part of a form that says where machines stand: one form for one card, another for several."""

from __future__ import annotations

from typing import Any

from sifilma.activation.issuing import place_form
from sifilma.kernel.errors import Invalid
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.requests import context


def placed(form: Form, *, follow: bool) -> dict[str, Any]:
    """Return the place as typed, and set the form's selects to it. What was pasted has become latitude and longitude."""
    if not form.errors:
        take_pasted(form)
    found = place_form.look(context(), place_check(resources().settings.home), form.values, follow=follow)
    for name, length in zip(place_form.PARTS, (2, 5, 8, 13), strict=True):
        form.values.setlist(name, [found.levels.part(length)])
    return {"form": form, "place": found, "at": place_form.position_of(form.values)}


def take_pasted(form: Form) -> bool:
    """Put what was pasted into latitude and longitude. Return False, with an error in the form, if it tells no position."""
    try:
        place_form.take_pasted(form.values)
    except Invalid as unreadable:
        form.refuse(unreadable)
        return False
    return True


def without_position(errors: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the errors of a form whose pasted text tells no position: that the position is missing besides is no news."""
    return [error for error in errors if error[0] not in place_form.POSITION]
