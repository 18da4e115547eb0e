"""The Berita Acara as its form sends it: fields named like the paths of the schema, `witnesses.0.name`."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from sifilma.destruction.schemas import RecordIn
from sifilma.web.forms import Form

ROWS = 4
_WITNESS = re.compile(r"witnesses\.(\d{1,3})\.(\w+)")


def record_of(form: Form, zone: ZoneInfo) -> RecordIn:
    """The record as typed; ValidationError names fields as the form does. The moment is local time of the holder of the cards."""
    rows = _close_ranks(form)
    typed = {name: form.get(name).strip() for name in ("place", "method") if form.get(name).strip()}
    moment = {"executed_at": _local(form.get("executed_at"), zone)} if form.get("executed_at").strip() else {}
    return RecordIn.model_validate(typed | moment | {"official": _below(form, "official."), "witnesses": rows})


def rows_shown(form: Form) -> int:
    """How many rows of witnesses the form shows: those filled in, and some to spare for where no script adds one."""
    return max(ROWS, len(_rows(form)))


def _close_ranks(form: Form) -> list[dict[str, str]]:
    """The witnesses, numbered anew without the rows left empty: what is wrong with one then stands beside it."""
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


def _below(form: Form, prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value.strip() for name, value in form.values.items() if name.startswith(prefix) and value.strip()}


def _local(typed: str, zone: ZoneInfo) -> datetime | str:
    """What a browser's field for date and time sends, in the zone; anything else as it is, for the schema to refuse."""
    try:
        return datetime.fromisoformat(typed.strip()).replace(tzinfo=zone)
    except ValueError:
        return typed
