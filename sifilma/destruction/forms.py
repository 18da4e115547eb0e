"""Read the form of the Berita Acara. Its fields are named by their paths in the schema, such as `witnesses.0.name`."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from sifilma.destruction.schemas import RecordIn
from sifilma.kernel.days import read_moment
from sifilma.kernel.schemas import parsed
from sifilma.web.forms import Also, Form

ROWS = 4
_WITNESS = re.compile(r"witnesses\.(\d{1,3})\.(\w+)")


def record_of(form: Form, zone: ZoneInfo, also: Also) -> RecordIn:
    """Return the record as typed. The moment is read as local time in `zone`, that of the holder of the cards.

    Raise Invalid, which names the fields as the form does, with what `also` finds wrong in the fields that could be read.
    """
    rows = _close_ranks(form)
    typed = {name: form.get(name).strip() for name in ("place", "method") if form.get(name).strip()}
    moment = {"executed_at": _local(form.get("executed_at"), zone)} if form.get("executed_at").strip() else {}
    return parsed(RecordIn, typed | moment | {"official": form.within("official"), "witnesses": rows}, also)


def rows_shown(form: Form) -> int:
    """Return how many rows of witnesses the form shows: those filled in, at least ROWS. A browser without script cannot add rows."""
    return max(ROWS, len(_rows(form)))


def _close_ranks(form: Form) -> list[dict[str, str]]:
    """Return the witnesses without empty rows, and rename their fields in the form to match.

    Errors name a witness by its index in this list, so the form needs the same numbers to show them beside the right row.
    """
    rows = _rows(form)
    for name in [name for name in form.values if _WITNESS.fullmatch(name)]:
        del form.values[name]
    for number, row in enumerate(rows):
        form.values.update({f"witnesses.{number}.{name}": value for name, value in row.items()})
    return rows


def _rows(form: Form) -> list[dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    for name, value in form.values.items():
        if (found := _WITNESS.fullmatch(name)) and value.strip():
            rows.setdefault(int(found[1]), {})[found[2]] = value.strip()
    return [rows[number] for number in sorted(rows)]


def _local(typed: str, zone: ZoneInfo) -> datetime | str:
    """Return the moment in `zone` if `typed` is one, as a browser sends it, else `typed`, which the schema refuses."""
    try:
        return read_moment(typed, zone)
    except ValueError:
        return typed
