"""A form as a user filled it in: what they typed, what was wrong with it, and the page that shows both again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
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
from sifilma.kernel.errors import Conflict, Invalid, OutcomeUnknown, SifilmaError, TooMany, Unauthenticated, Unavailable
from sifilma.web import errors, kept
from sifilma.web.texts import translate, validation_text

Model = TypeVar("Model", bound=BaseModel)
REFUSALS = (Invalid, Conflict, Unauthenticated, TooMany, ValidationError)
# HSMMisuse is not listed: it is a bug, which no second attempt cures.
_HSM = (HSMUnavailable, HSMCredential, HSMKeyMissing, HSMKeyAmbiguous, HSMKeyChanged)
FAULTS = (Unavailable, *_HSM, OperationalError, InterfaceError, PoolTimeout, StaleDataError, IntegrityError)
"""Something the act needs does not answer, or another request was faster. The form stays as typed and can be sent again."""


@dataclass
class Form:
    """`values` are the typed texts (empty for a new form). `errors` are pairs of field and message, in the order of the form.

    `rows` are the errors of rows in an uploaded file, `warnings` what was noticed beside them; `notes` are a reviewer's notes by field.
    `differences` are field, typed text and stored text where somebody else changed what the form was filled in with (`stand_on`).
    """

    values: MultiDict[str, str] = field(default_factory=MultiDict)
    errors: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    status: int = 200
    retry_after: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    differences: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def sent(cls) -> Form:
        """Return the form of this request."""
        return cls(MultiDict(request.form))

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

    def error(self, name: str) -> str:
        """Return the message for a field, empty if nothing is wrong."""
        return next((text for found, text in self.errors if found == name), "")

    def model(self, schema: type[Model], **more: Any) -> Model:
        """Validate the form with the schema that the API uses. Empty fields count as not given. Raise ValidationError."""
        # A browser sends an empty text for each field left out; the API leaves the member out.
        typed = {name: self.values[name].strip() for name in schema.model_fields if self.values.get(name, "").strip()}
        return schema.model_validate(typed | more)

    @contextmanager
    def attempt(self, ctx: Context) -> Iterator[None]:
        """Run what the form asks for. A refusal, or an outage, is kept for the page, and all changes of the block are rolled back."""
        try:
            yield
        except (*REFUSALS, *FAULTS) as refused:
            ctx.uow.rollback()
            self.warnings = [translate(warning) for warning in ctx.warnings]
            self.refuse(errors.refusal_of(refused) if isinstance(refused, FAULTS) else refused)
            self._keep_files(is_asked=not isinstance(refused, SQLAlchemyError))
            ctx.uow.begin_read()  # for the page with the form

    def _keep_files(self, *, is_asked: bool) -> None:
        """Keep the files that were not refused, so that the form sent again has them. `is_asked`: the database answers."""
        refused = {name for name, _ in self.errors} | (kept.TABLES if self.rows else frozenset())
        for name in {name for name, _ in self.errors if name not in kept.SEVERAL}:  # it was kept before, and is not accepted after all
            self.values.poplist(kept.FILES + name)
        sent = {name for name, file in request.files.items(multi=True) if file.filename}
        if not sent - refused:
            return
        found = kept.keep_files(refused) if is_asked else {}
        for field_name, keys in found.items():
            before = self.values.getlist(field_name) if field_name.removeprefix(kept.FILES) in kept.SEVERAL else []
            self.values.setlist(field_name, before + keys)
        if not found:
            self.warnings.append(gettext("Files must be chosen again afterwards: a browser does not send them twice."))

    def refuse(self, refused: Exception) -> None:
        """Take over what was wrong, in the language of the page."""
        if isinstance(refused, ValidationError):
            self.errors += [(_field(error), validation_text(error)) for error in refused.errors(include_url=False)]
            self.status = 422
            return
        assert isinstance(refused, SifilmaError)  # noqa: S101  # REFUSALS
        self.status = refused.status
        given = refused.errors if isinstance(refused, Invalid) else []
        self.rows += [error | {"message": translate(error["message"])} for error in given if "row" in error]
        self.errors += [(str(error["field"]), translate(error["message"])) for error in given if "row" not in error]
        if self.rows:
            self.errors.append(("rows", gettext("Some rows cannot be accepted. They are listed below; nothing was saved.")))
        if isinstance(refused, Unavailable):
            self.retry_after = refused.retry_after
            self.errors.append(("", _kept(refused)))
        elif isinstance(refused, TooMany):
            self.retry_after = refused.retry_after
            self.errors.append(("", gettext("Too many attempts. Try again in %(seconds)s seconds.", seconds=refused.retry_after)))
        elif not self.errors:
            self.errors.append(("", translate(refused.detail or refused.title)))

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


def _field(error: Mapping[str, Any]) -> str:
    return ".".join(str(part) for part in error["loc"])
