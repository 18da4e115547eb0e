"""My files on the web: what was asked for, how far it is, the download, and the page on which a long list is asked for."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, g, make_response, render_template, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.dispatch.turns import Barred
from sifilma.documents import list_views
from sifilma.documents.lists import EXPORTED_ROWS, Export
from sifilma.documents.responses import streamed_attachment
from sifilma.documents.tables.sheets import CSV_TYPE, XLSX_TYPE
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.text import say
from sifilma.kernel.timekeeping.stops import is_worked
from sifilma.own_files import lists, serializers, service
from sifilma.own_files.kinds import KINDS
from sifilma.own_files.models import FileState, OwnFile
from sifilma.own_files.queries import get_file, list_files
from sifilma.own_files.service import NewFile
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_grant
from sifilma.web import languages, replays
from sifilma.web.command import command_context
from sifilma.web.forms import Form
from sifilma.web.links import API
from sifilma.web.operations import operation
from sifilma.web.pages import moment, seen
from sifilma.web.requests import context
from sifilma.web.states import kind as kind_name
from sifilma.web.states import named, state

blueprint = Blueprint("own_file_pages", __name__, url_prefix="/berkas", template_folder="templates")
NO_LIST = say("This is not the address of a list.")
TYPES = {"csv": f"{CSV_TYPE}; charset=utf-8", "xlsx": XLSX_TYPE, "zip": "application/zip"}
EXPORT = Export(
    "berkas",
    {
        _("Asked for"): lambda file: moment(file.created_at),
        _("File"): lambda file: file.filename,
        _("What it is"): lambda file: kind_name(file.kind),
        _("State"): lambda file: str(state(file.state).name),
        _("Rows"): lambda file: file.written,
        _("Kept until"): lambda file: moment(file.ends_at) if file.ends_at else "",
    },
    counted=lambda number, words: ngettext("%(count)s file", "%(count)s files", number, count=words),
    filters={"state": ""},
)


@blueprint.get("")
@operation("session.self")
def index() -> Response:
    """List the actor's own files, newest first."""
    ctx, form = context(), Form(request.args)
    wanted = form.get("state") if form.get("state") in list(FileState) else ""
    return list_views.answer(
        "own_files/files.html", list_files(ctx, wanted), list, EXPORT, form=form, states=named(FileState), worked=is_worked(ctx)
    )


@blueprint.get("/baru")
@operation("session.self")
def new() -> Response:
    """Ask whether a long list is to be written by the worker. `daftar` is the address of its page."""
    return _asked(Form(request.args))


@blueprint.post("")
@operation("session.self")
def ask() -> AnyResponse:
    """Ask for a long list."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        file = service.ask(ctx, wanted_list(form.get("daftar"), form.get("bentuk")))
        return seen("own_file_pages.show", "file_asked", file_id=file.id)
    return _asked(form)


def wanted_list(address: str, form: str, names: tuple[str, str] = ("daftar", "bentuk")) -> NewFile:
    """Return the file of a list by its address and the form. Raise Invalid for an address of no list, Forbidden for one of others.

    `names` are those of the two fields, for the refusal.
    """
    list_name, form_name = names
    if form not in EXPORTED_ROWS:
        raise Invalid.field(form_name, "A list is had as csv or xlsx.")
    if not replays.is_own(address) or address.startswith(API):
        raise Invalid.field(list_name, NO_LIST)
    plain = f"{replays.without(address, {'unduh', 'cursor', 'selesai', 'catatan'})}"
    address = f"{plain}{'&' if '?' in plain else '?'}unduh={form}"
    language = languages.current()
    try:
        require_grant(g.actor, Operation(replays.operation_of(address)), resources().settings)
        with lists.opened(context().actor, address, language) as found:
            return lists.asked_for(found, address, form, language)
    except (Barred, NotFound) as wrong:
        raise Invalid.field(list_name, NO_LIST) from wrong


def _asked(form: Form) -> Response:
    address = form.get("daftar")[:2000]
    chosen = form.get("bentuk") or (replays.fields_of(address).get("unduh", "") if replays.is_own(address) else "")
    shown = {"form": form, "address": address, "chosen": chosen if chosen in EXPORTED_ROWS else "csv", "worked": is_worked(context())}
    shown |= {"back": replays.without(address, {"unduh"}) if replays.is_own(address) else "", "most": EXPORTED_ROWS}
    shown["operation"] = _operation(address)
    page = make_response(render_template("own_files/ask.html", days=resources().settings.keep_own_files_days, **shown))
    page.status_code = form.status
    return page


def _operation(address: str) -> str:
    try:
        return replays.operation_of(urlsplit(address).path) if replays.is_own(address) else ""
    except NotFound:
        return ""


@blueprint.get("/<uuid:file_id>")
@operation("session.self")
def show(file_id: UUID) -> str:
    """Show one file. The page requests `progress` again and again while it is written."""
    return render_template("own_files/file.html", page=serializers.file_page(context(), file_id), form=Form.begun())


@blueprint.get("/<uuid:file_id>/kemajuan")
@operation("session.self")
def progress(file_id: UUID) -> str:
    """Return the part of the page that changes while the file is written."""
    return render_template("own_files/progress.html", page=serializers.file_page(context(), file_id))


@blueprint.post("/<uuid:file_id>/batal")
@operation("session.self")
def cancel(file_id: UUID) -> AnyResponse:
    """Cancel a file, or delete it before its time."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.cancel(ctx, file_id)
        return seen("own_file_pages.show", "cancelled", file_id=file_id)
    return form.again("own_files/file.html", page=serializers.file_page(ctx, file_id))


@blueprint.post("/<uuid:file_id>/unduh")
@operation("session.self", reads_first=True, idempotent=False)
def fetch(file_id: UUID) -> AnyResponse:
    """Return the file. The download is recorded."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        return handed_out(ctx, file_id)
    return form.again("own_files/file.html", page=serializers.file_page(ctx, file_id))


def handed_out(ctx: Context, file_id: UUID) -> Response:
    """Return a file of the actor. Raise as `service.hand_out` does, and StepUpRequired if what it shows needs a fresh code."""
    found: OwnFile = get_file(ctx, file_id)
    require_grant(g.actor, Operation(KINDS[found.kind].operation(found)), resources().settings)
    file = service.hand_out(context(), file_id)
    parts = service.content(command_context, file)
    return streamed_attachment(parts, TYPES[file.form], file.filename)
