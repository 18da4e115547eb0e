"""A form as a user filled it in: what they typed, what was wrong with it, and the page that shows both again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any, TypeVar

from flask import Response, make_response, render_template, request
from flask_babel import gettext
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.datastructures import MultiDict

from hsm.errors import HSMCredential, HSMKeyAmbiguous, HSMKeyChanged, HSMKeyMissing, HSMUnavailable
from sifilma.kernel.context import Context
from sifilma.kernel.days import read_day
from sifilma.kernel.errors import Conflict, Faults, Invalid, OutcomeUnknown, SifilmaError, TooMany, Unauthenticated, Unavailable
from sifilma.kernel.schemas import faults_of, parsed
from sifilma.web import errors, kept
from sifilma.web.field_names import with_name
from sifilma.web.requests import SAFE
from sifilma.web.texts import field_text, translate

Model = TypeVar("Model", bound=BaseModel)
Also = Callable[[Mapping[str, Any]], Faults]
ROWS = "rows"
"""The error that stands for those of the rows of a file, which have a table of their own."""
CONFIRMED = "confirmed_warnings"
"""The field with the mark of the warnings that were confirmed."""
_ITEM = re.compile(r"(.+)\.(\d+)")
REFUSALS = (Invalid, Conflict, Unauthenticated, TooMany, ValidationError)
# HSMMisuse is not listed: it is a bug, which no second attempt cures.
_HSM = (HSMUnavailable, HSMCredential, HSMKeyMissing, HSMKeyAmbiguous, HSMKeyChanged)
FAULTS = (Unavailable, *_HSM, OperationalError, InterfaceError, PoolTimeout, StaleDataError, IntegrityError)
"""Something the act needs does not answer, or another request was faster. The form stays as typed and can be sent again."""


class Unsettled(Exception):  # no error: a question
    """What was to be saved has warnings that nobody has confirmed. `mark` names them."""

    def __init__(self, mark: str) -> None:
        super().__init__(mark)
        self.mark = mark


@dataclass
class Form:
    """`values` are the typed texts (empty for a new form). `errors` are pairs of field and message, in the order of the form.

    `rows` are the errors of rows in an uploaded file, `warnings` what was noticed beside them; `notes` are a reviewer's notes by field.
    `places` says where the items of a list were typed (`listed`); `unsettled` is the mark of warnings that are yet to be confirmed;
    `action` is the path it was sent to; `cells` says that the rows were typed into the form, so that an error can lead to its cell.
    `differences` are field, typed text and stored text where somebody else changed what the form was filled in with (`stand_on`).
    """

    values: MultiDict[str, str] = field(default_factory=MultiDict)
    errors: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    status: int = 200
    retry_after: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    places: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    unsettled: str = ""
    cells: bool = False
    action: str = ""
    differences: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def sent(cls) -> Form:
        """Return the form of this request."""
        return cls(MultiDict(request.form), action=request.path)

    @classmethod
    def of(cls, **values: Any) -> Form:
        """Return a form that is filled in with stored values."""
        return cls(MultiDict({name: _shown(value) for name, value in values.items() if value is not None}))

    @classmethod
    def begun(cls, **values: Any) -> Form:
        """Return the form that the person left at this page and asked for (`web.kept`), else one filled in with `values`."""
        found = kept.begun()
        return cls(found) if found is not None else cls.of(**values)

    def stand_on(self, stored: Form) -> None:
        """Raise Conflict (`changed-meanwhile`) if what is stored is not what this form was filled in with, by its `revision`.

        The form then shows what differs, and carries the present revision: sent again, it overwrites knowingly. A form without a
        revision, as a program may send it, is taken as it is.
        """
        now = stored.get("revision")
        if self.get("revision") in ("", now):
            return
        pairs = ((name, _lines(self.values.getlist(name)), _lines(stored.values.getlist(name))) for name in stored.values)
        self.differences = [(name, mine, theirs) for name, mine, theirs in pairs if name != "revision" and mine != theirs]
        self.values.setlist("revision", [now])
        raise Conflict("This was changed meanwhile, in another tab or by somebody else.", type="changed-meanwhile")

    def get(self, name: str, default: str = "") -> str:
        """Return what was typed in a field."""
        return self.values.get(name, default)

    def day(self, name: str) -> date | None:
        """Return the day that was typed in a field, None if it is empty. Raise Invalid for what is no day, or out of range."""
        typed = self.get(name).strip()
        try:
            return read_day(typed) if typed else None
        except ValueError as wrong:
            raise Invalid.field(name, wrong.args[0]) from None

    def within(self, group: str) -> dict[str, str]:
        """Return what was typed in the fields of a group (`group.name`), by their names. Empty fields are left out."""
        typed = {name.removeprefix(f"{group}."): value.strip() for name, value in self.values.items() if name.startswith(f"{group}.")}
        return {name: value for name, value in typed.items() if value}

    def listed(self, name: str, boxes: str, lines: str) -> list[str]:
        """Return the list `name`: the checked `boxes`, and the `lines` of a text field. What is named twice counts once.

        An error of an item is then told at the field in which it was typed, with its line.
        """
        found = dict.fromkeys(self.values.getlist(boxes), (boxes, 0))
        for number, line in enumerate(self.get(lines).splitlines(), start=1):
            if line.strip():
                found.setdefault(line.strip(), (lines, number))
        self.places[name] = list(found.values())
        return list(found)

    def also_listed(self, name: str, listed: Sequence[str], file: str, rows: Mapping[int, str]) -> list[str]:
        """Return the list `name`, so far `listed`, with what stands in the rows of a file.

        An error of an item is told at the file, with its row.
        """
        found = dict(zip(listed, self.places[name], strict=True))
        for number, value in rows.items():
            found.setdefault(value, (file, number))
        self.places[name] = list(found.values())
        return list(found)

    @property
    def count(self) -> int:
        """Return how many things are wrong: fields, and rows of a file."""
        return len([name for name, _ in self.errors if name != ROWS]) + len({error["row"] for error in self.rows})

    @property
    def summary(self) -> list[tuple[str, str]]:
        """Return each error with the field that its link leads to, in words that name the field."""
        return [(name, with_name(name, text) if name else text) for name, text in self.errors]

    def error(self, name: str) -> str:
        """Return the message for a field, empty if nothing is wrong."""
        return " ".join(dict.fromkeys(text for found, text in self.errors if found == name))

    def model(self, schema: type[Model], also: Also | None = None, **more: Any) -> Model:
        """Validate the form with the schema that the API uses. Empty fields count as not given.

        Raise ValidationError; with `also` Invalid, which names what is wrong with the other fields besides (`kernel.schemas.parsed`).
        """
        # A browser sends an empty text for each field left out; the API leaves the member out.
        typed = {name: self.values[name].strip() for name in schema.model_fields if self.values.get(name, "").strip()}
        return parsed(schema, typed | more, also)

    def settle(self, ctx: Context) -> None:
        """Raise Unsettled for warnings that nobody has confirmed yet: nothing is saved, and the form asks whether to save anyway.

        Whoever sends the form again confirms exactly these warnings.
        """
        if not ctx.warnings:
            return
        mark = mark_of(ctx.warnings)
        if self.get(CONFIRMED) != mark:
            raise Unsettled(mark)
        ctx.warnings.clear()  # read already, so the next page does not repeat them

    @contextmanager
    def attempt(self, ctx: Context) -> Iterator[None]:
        """Run what the form asks for. A refusal, or an outage, is kept for the page, and all changes of the block are rolled back."""
        try:
            yield
        except (*REFUSALS, *FAULTS, Unsettled) as refused:
            ctx.uow.rollback()
            self.warnings = [translate(warning) for warning in ctx.warnings]
            self.refuse(errors.refusal_of(refused) if isinstance(refused, FAULTS) else refused)
            self._keep_files(is_asked=not isinstance(refused, SQLAlchemyError))
            ctx.uow.begin_read()  # for the page with the form

    def _keep_files(self, *, is_asked: bool) -> None:
        """Keep the files that were not refused, so that the form sent again has them. `is_asked`: the database answers."""
        if request.method in SAFE:  # the filters of a list
            return
        refused = {name for name, _ in self.errors} | (kept.TABLES if self.rows else frozenset())
        for name in {name for name, _ in self.errors if name not in kept.SEVERAL}:  # it was kept before, and is not accepted after all
            self.values.poplist(kept.FILES + name)
        sent = {name for name, file in request.files.items(multi=True) if file.filename}
        found = kept.keep_files(refused) if is_asked and sent - refused else {}
        for field_name, keys in found.items():
            before = self.values.getlist(field_name) if field_name.removeprefix(kept.FILES) in kept.SEVERAL else []
            self.values.setlist(field_name, before + keys)
        # A table with wrong rows is corrected before it is chosen again, and its errors say so.
        if sent - kept.TABLES - {name.removeprefix(kept.FILES) for name in found}:
            self.warnings.append(gettext("Files must be chosen again afterwards: a browser does not send them twice."))

    def refuse(self, refused: Exception) -> None:
        """Take over what was wrong, in the language of the page."""
        if isinstance(refused, Unsettled):
            self.unsettled = refused.mark
            return
        if isinstance(refused, ValidationError):
            refused = faults_of(refused).refusal()
        assert isinstance(refused, SifilmaError)  # noqa: S101  # REFUSALS
        self.status = refused.status
        given = refused.extra.get("errors", [])
        if isinstance(refused, Invalid):
            self.rows += [error | {"message": translate(error["message"])} for error in given if "row" in error]
        told = [self._told(error) for error in given if "row" not in error]
        self.errors += [one for one in dict.fromkeys(told) if one not in self.errors]
        if self.rows:
            self.errors.append((ROWS, gettext("Some rows cannot be accepted. They are listed below; nothing was saved.")))
        if isinstance(refused, Unavailable):
            self.retry_after = refused.retry_after
            self.errors.append(("", _kept(refused)))
        elif isinstance(refused, TooMany):
            self.retry_after = refused.retry_after
            self.errors.append(("", gettext("Too many attempts. Try again in %(seconds)s seconds.", seconds=refused.retry_after)))
        elif not self.errors:
            self.errors.append(("", translate(refused.detail or refused.title)))

    def _told(self, error: Mapping[str, Any]) -> tuple[str, str]:
        """Return an error's field and words. That of an item stands at the field in which the item was typed."""
        field, sentence, item = str(error["field"]), error["message"], error.get("item", 0)
        if (found := _ITEM.fullmatch(field)) and found[1] in self.places:  # as schemas name it, counted from 0
            field, item = found[1], int(found[2]) + 1
        words = field_text(field, sentence)
        if not item or len(self.places.get(field, ())) < item:
            return field, words
        place, line = self.places[field][item - 1]
        return (place, gettext("Line %(row)s: %(message)s", row=line, message=words)) if line else (place, words)

    def again(self, template: str, **values: Any) -> Response:
        """Return the page with the form as typed and its errors. The status makes `dispatch_request` roll back."""
        response = make_response(render_template(template, form=self, **values), self.status if self.errors else 200)
        if self.retry_after:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


def _lines(texts: list[str]) -> str:
    return "\n".join(text.replace("\r\n", "\n").strip() for text in texts)


def _shown(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _kept(refused: Unavailable) -> str:
    """Return a message that names what does not answer and says that nothing typed is lost."""
    if isinstance(refused, OutcomeUnknown):
        return translate(refused.detail)
    return " ".join([translate(refused.detail or refused.title), gettext("What you typed is still here: send it again in a moment.")])


def mark_of(warnings: Iterable[str]) -> str:
    """Return the mark of warnings, by which a form says that these were read."""
    return sha256("\n".join(map(str, warnings)).encode()).hexdigest()[:32]
