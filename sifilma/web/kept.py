"""Nothing typed is lost: keep the fields and files of a form that was not accepted, and give them back to whom they belong.

A form is kept where its session has ended or its CSRF token is that of a former session, and while it is filled in (`kept_views`). Its
files are kept wherever it is shown again. Secrets are never kept (`is_secret`), and nothing is done with a kept form by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID, uuid4

import structlog
from flask import Flask, Response, g, make_response, redirect, request
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kept_forms import service
from sifilma.kept_forms.models import KeptFile
from sifilma.kept_forms.service import Fields, File, Page
from sifilma.kernel.errors import SifilmaError, Unavailable
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import resources
from sifilma.web import requests
from sifilma.web.pages import own_address, page_url, without_notes
from sifilma.web.requests import context

T = TypeVar("T")
log = structlog.get_logger()
WAY, FORM, ID, FILES = "lanjut", "kept_form", "form_id", "kept."
"""The name of a kept form in a URL; the fields of its id with its revision, of the id a form was shown with, and of kept files."""
SEVERAL = frozenset({"photos"})
"""Fields with several files: new ones stand beside those that are kept. Elsewhere a new file takes the place of the kept one."""
TABLES = frozenset({"batch", "units", "keys", "results", "file"})
"""Fields with a table. One with wrong rows is not kept: it is to be put right and chosen anew."""
_SECRET = frozenset({"password", "current", "repeat", "token", "otp", "secret", "seed", "pin", "puk", "credential", "recovery"})
_OWN = frozenset({FORM, ID, "kept_page", "kept_action"})


def register(app: Flask) -> None:
    """Give the templates what they show of kept forms and files."""
    app.jinja_env.globals.update(
        form_id=uuid4,
        kept_form=_mark,
        kept_files=files_of,
        kept_note=_note,
        unfinished_forms=unfinished,
        begun_at=lambda: g.get("begun_at"),
    )


def is_secret(name: str) -> bool:
    """Return whether a field may hold a password, token, code or key: it is never kept, and no page repeats it."""
    return name == "code" or not _SECRET.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def typed() -> Fields:
    """Return the fields of this request's form that may be kept. A private key in a field for a public one is left out."""
    texts = request.form.items(multi=True)
    return [(name, text) for name, text in texts if not is_secret(name) and name not in _OWN and not ('"kty"' in text and '"d"' in text)]


# --- a form whose session is gone ------------------------------------------------------------------------------------


def sent_token() -> str:
    """Return the CSRF token of this request's form, empty where it is no form of a page. A form that is too large has none."""
    is_page = request.method not in requests.SAFE and request.headers.get("Sec-Fetch-Dest", "document") == "document"
    if not is_page or request.path.startswith("/api/") or request.mimetype not in requests.FORMS:
        return ""
    try:
        return request.form.get("csrf_token", "")
    except HTTPException:
        return ""


def leave(user_id: UUID) -> str:
    """Keep this request's form for an account, and return the address that shows it again. Empty if there is nothing to keep, or no way."""
    path, _, query = own_address(page_url(**{WAY: None})).partition("?")
    page, fields, ctx = Page(path, query, request.path), typed(), context()
    files = _files_sent()
    if path == "/" or len(path) > 300 or len(query) > 900 or len(request.path) > 300 or not (fields or files):
        return ""

    def write(session: Session) -> UUID:
        if before := saved():
            service.replace_form(session, user_id, before[0])
        kept = _add(session, user_id, files, ctx.now)
        replaced = {name for name in kept if name.removeprefix(FILES) not in SEVERAL}
        all_fields = [(name, text) for name, text in fields if name not in replaced]
        all_fields += [(name, key) for name, keys in kept.items() for key in keys]
        return service.add_form(session, resources().settings, user_id, page, all_fields, ctx.now)[0]

    made = _safely(lambda: ctx.uow.separately(write))
    return f"{path}?{query + '&' if query else ''}{WAY}={made}" if made else ""


def begun() -> MultiDict[str, str] | None:
    """Return the fields of the kept form that the URL of this page names, or None: there is none, or it is not the actor's."""
    form_id = _uuid(request.args.get(WAY, ""))
    found = service.find_form(context(), resources().settings, form_id) if form_id and request.method in requests.SAFE else None
    if found is None or found[0].path != request.path:
        return None
    g.kept_form, g.begun_at = (found[0].id, found[0].revision), found[0].saved_at
    values = MultiDict(found[1])
    g.begun_note = (found[0].action, values.get("note", ""))
    return values


def _note(action: str) -> str:
    """Return the note that was typed in the form that is sent to this path, where a page has several forms with one."""
    if request.method not in requests.SAFE:
        return request.form.get("note", "") if request.path == action else ""
    of, note = g.get("begun_note", ("", ""))
    return str(note) if of == action else ""


def unfinished() -> Sequence[service.Left]:
    """Return the forms that the actor left at this page, unless the page shows one of them already."""
    here = request.method in requests.SAFE and "begun_at" not in g and g.actor.user_id is not None
    return service.forms_at(context(), request.path) if here else ()


def saved() -> tuple[UUID, int] | None:
    """Return id and revision of the kept form that this page or this request's form comes from."""
    if "kept_form" not in g:
        is_form = request.method not in requests.SAFE and request.mimetype in requests.FORMS
        form_id, _, revision = request.form.get(FORM, "").partition(".") if is_form else ("", "", "")
        key = _uuid(form_id)
        g.kept_form = (key, int(revision)) if key and re.fullmatch(r"[0-9]{1,9}", revision) else None
    found: tuple[UUID, int] | None = g.kept_form
    return found


def mark(found: tuple[UUID, int]) -> str:
    """Return how a form names what it is kept as."""
    return f"{found[0]}.{found[1]}"


def _mark() -> str:
    found = saved()
    return mark(found) if found else ""


# --- files -----------------------------------------------------------------------------------------------------------


def keep_files(refused: Collection[str] = ()) -> dict[str, list[str]]:
    """Keep the files of this request, those of refused fields aside, in a transaction of its own. Return ids by the field for them.

    What the unit of work has not committed is discarded. If they cannot be kept, that is logged and nothing is returned.
    """
    ctx, files = context(), [(name, file) for name, file in _files_sent() if name not in refused]
    user_id = ctx.actor.user_id
    if user_id is None or not files:
        return {}
    return _safely(lambda: ctx.uow.separately(lambda session: _add(session, user_id, files, ctx.now))) or {}


def uploads(name: str) -> list[File]:
    """Return the files of a field: those that were chosen, and those that are kept for it. A field for one file prefers the chosen one."""
    chosen = [_read(file) for file in request.files.getlist(name) if file.filename]
    if chosen and name not in SEVERAL:
        return chosen
    return service.open_files(context(), resources().settings, resources().files, _ids(request.form.getlist(FILES + name))) + chosen


def files_of(values: MultiDict[str, str], name: str) -> Sequence[KeptFile]:
    """Return the kept files that a form names for a field."""
    return service.list_files(context(), _ids(values.getlist(FILES + name)))


def _files_sent() -> list[tuple[str, File]]:
    return [(name, _read(file)) for name, file in request.files.items(multi=True) if file.filename and not is_secret(name)]


def _read(file: FileStorage) -> File:
    file.stream.seek(0)  # who asked before may have read it
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    return File("".join(one for one in name if one.isprintable()) or "berkas", file.stream.read())


def _add(session: Session, user_id: UUID, files: Sequence[tuple[str, File]], now: datetime) -> dict[str, list[str]]:
    made = service.add_files(session, resources().settings, resources().files, user_id, [file for _, file in files], now)
    kept: dict[str, list[str]] = {}
    for (name, _), one in zip(files, made, strict=True):
        kept.setdefault(FILES + name, []).append(str(one.id))
    return kept


def _safely(keep: Callable[[], T]) -> T | None:
    """Return what `keep` gives, or None if it cannot work: the answer to the request must not depend on it."""
    try:
        return keep()
    except (SQLAlchemyError, SifilmaError) as fault:
        log.warning("form not kept", error=type(fault).__name__)
        return None


def _ids(texts: Sequence[str]) -> list[UUID]:
    return [key for text in texts[: service.MOST_FILES] if (key := _uuid(text))]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


# --- a form that was sent --------------------------------------------------------------------------------------------


def answer_again() -> AnyResponse | None:
    """Return the redirect to the outcome if this very form was accepted before, so that sending it again does nothing a second time.

    The same form with other contents is another form. What leads to sessions, tokens and links (not `idempotent`) is never noted.
    """
    found, form_id = requests.policy(), None
    if request.method not in requests.SAFE and request.mimetype in requests.FORMS and not request.path.startswith("/api/"):
        form_id = _uuid(request.form.get(ID, ""))
    if form_id is None or g.actor.user_id is None or found is None or not found.idempotent:
        return None
    content = [request.method, request.full_path, *requests.form_parts(lambda name: name in _OWN or name in ("csrf_token", "otp_code"))]
    g.sent_form = (form_id, service.mac_of(resources().settings, json.dumps(content).encode()))
    return _outcome()


def _outcome() -> AnyResponse | None:
    outcome = service.find_outcome(context(), *g.sent_form)
    return redirect(f"{outcome}{'&' if '?' in outcome else '?'}selesai=sent_before", 303) if outcome else None


def settle(unit: UnitOfWork, response: Response) -> Response:
    """Note in the transaction of an act that its form was accepted, and delete what was kept of it. Return the answer.

    Of two equal forms at the same time the second is rolled back and gets the outcome of the first.
    """
    if response.status_code != 303 or not ("sent_form" in g or saved()):
        return response
    found = saved()
    unit.begin_write()
    unit.session.flush()  # what fails here is the act's
    if found:
        service.finish_form(context(), found, request.path)
    if "sent_form" in g:
        try:
            form_id, mac = g.sent_form
            service.note_sent(context(), form_id, mac, without_notes(response.location or "/"))
        except IntegrityError:
            unit.rollback()
            return make_response(_outcome() or response)
    return response


def refused(response: Response) -> Response:
    """Return the outcome of an equal form that was accepted while this one was refused, else the refusal, which is rolled back already."""
    return make_response(_outcome() or response) if "sent_form" in g and response.status_code == 409 else response


def forget_files(unit: UnitOfWork) -> None:
    """Delete the kept files that an accepted form brought, once its answer is made: the act has copies of its own."""
    user_id: UUID | None = g.actor.user_id if "actor" in g else None
    ids = _ids([text for name, text in request.form.items(multi=True) if name.startswith(FILES)])
    store = resources().files
    if user_id is None or not ids:
        return
    owner = user_id

    def drop(session: Session) -> None:
        try:
            service.drop_files(session, store, owner, ids)
        except Unavailable:
            session.rollback()  # the worker deletes them in a week

    unit.afterwards(drop)
