"""Public keys of units on the web: the list of proposals, the page of one, proposing a file of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.cards import import_table, proposals
from sifilma.cards.models import KEY_CHANGE, KeyChangeState, UnitKeyChange
from sifilma.cards.schemas import DigestIn
from sifilma.cards.serializers import change_out, organisation_names, timeline
from sifilma.documents import list_views, lists
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.documents.tables.templates import Filled
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.schemas import ApproveIn, NoteIn
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment, seen
from sifilma.web.requests import context
from sifilma.web.states import named, state
from sifilma.web.texts import translate

blueprint = Blueprint("unit_key_pages", __name__, url_prefix="/unit/kunci", template_folder="templates")
EXPORT = Export(
    "kunci-unit",
    {
        _("Units of"): lambda line: line[1],
        _("Proposed by"): lambda line: line[2],
        _("Keys"): lambda line: line[0].count,
        _("State"): lambda line: state(line[0].state).name,
        _("Made"): lambda line: moment(line[0].made_at),
    },
    counted=lambda number, words: ngettext("%(count)s proposal", "%(count)s proposals", number, count=words),
    filters={"state": ""},
)


@blueprint.get("")
@operation("unit.read")
def index() -> Response:
    """List the proposals of public keys."""
    ctx, form = context(), Form(request.args)
    listing = proposals.list_changes(ctx, form.get("state").strip()[:20])
    return list_views.answer(
        "cards/unit_keys.html", listing, lambda changes: _lines(ctx, changes), EXPORT, form=form, states=named(KeyChangeState)
    )


def _lines(ctx: Context, changes: list[UnitKeyChange]) -> list[tuple[UnitKeyChange, str, str]]:
    """Return changes with the names of the holder of the units and of the organisation that proposed."""
    names = organisation_names(ctx, {party for one in changes for party in (one.organisation_id, one.by_organisation_id)})
    return [(one, names[one.organisation_id], names[one.by_organisation_id]) for one in changes]


@blueprint.get("/berkas")
@operation("unit.key.propose")
def new_file() -> Response:
    """Show the form for a file of public keys."""
    return _file(Form.begun())


@blueprint.post("/berkas")
@operation("unit.key.propose")
def propose_file() -> AnyResponse:
    """Propose the public keys of a file: one proposal, all keys or none."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        made = import_table.propose_file(ctx, upload("keys"), resources().settings.batch_max_rows)
        return seen("unit_key_pages.show", "proposed", change_id=made.id)
    return _file(form)


@blueprint.get("/templat.<kind>")
@operation("unit.key.propose")
def template(kind: str) -> Response:
    """Return an empty table with the columns of a file of public keys."""
    return lists.form_table(kind, "kunci-unit", Filled(import_table.KEYS, (), guided=True), translate)


@blueprint.get("/<uuid:change_id>")
@operation("unit.read")
def show(change_id: UUID) -> Response:
    """Show a proposal with its keys."""
    return _page(change_id, Form.begun())


def _named(ctx: Context, change_id: UUID, operation: Operation = Operation.UNIT_KEY_DECIDE) -> str:
    return ", ".join(key.unit.hardware_number for key in proposals.get_change(ctx, change_id, operation).keys[:5])


EXECUTE = Question(
    _("Register the public keys"),
    _("Manifests of these units are encrypted to the new keys from now on; whoever has a former key cannot open them."),
    _named,
    "unit_key_pages.show",
)
REJECT = Question(
    _("Reject the public keys for good"),
    _("The proposal ends here for good, and its proposer reads your note."),
    _named,
    "unit_key_pages.show",
)
WITHDRAW = Question(
    _("Take back the public keys"),
    _("The proposal ends here for good. Keys can be proposed anew."),
    lambda ctx, change_id: _named(ctx, change_id, Operation.UNIT_KEY_PROPOSE),
    "unit_key_pages.show",
)


@blueprint.post("/<uuid:change_id>/ambil")
@operation("unit.key.decide")
def take_up(change_id: UUID) -> AnyResponse:
    """Propose what a program sent."""
    return _done(change_id, "proposed", lambda ctx, form: proposals.take_up(ctx, change_id, form.model(DigestIn).digest))


@blueprint.post("/<uuid:change_id>/laksanakan")
@operation("unit.key.decide", question=EXECUTE)
def execute(change_id: UUID) -> AnyResponse:
    """Register exactly the keys that were seen."""

    def act(ctx: Context, form: Form) -> None:
        given = form.model(ApproveIn)
        proposals.execute(ctx, change_id, given.digest, given.note)

    return _done(change_id, "keys", act)


@blueprint.post("/<uuid:change_id>/tolak")
@operation("unit.key.decide", question=REJECT)
def reject(change_id: UUID) -> AnyResponse:
    """Reject, with a note."""
    return _done(change_id, "rejected", lambda ctx, form: proposals.reject(ctx, change_id, form.model(NoteIn).note))


@blueprint.post("/<uuid:change_id>/tarik")
@operation("unit.key.propose", question=WITHDRAW)
def withdraw(change_id: UUID) -> AnyResponse:
    """Take back what one proposed."""
    return _done(change_id, "taken_back", lambda ctx, form: proposals.withdraw(ctx, change_id, form.model(NoteIn).note))


def _done(change_id: UUID, done: str, act: Callable[[Context, Form], Any]) -> AnyResponse:
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        act(ctx, form)
        return seen("unit_key_pages.show", done, change_id=change_id)
    return _page(change_id, form)


def _page(change_id: UUID, form: Form) -> Response:
    ctx = context()
    found = proposals.get_change(ctx, change_id)
    return form.again(
        "cards/unit_key.html",
        change=change_out(found),
        parties=_lines(ctx, [found])[0][1:],
        by_program=found.api_key_id is not None,
        holders=proposals.is_holders(ctx, found),
        is_mine=found.proposed_by_person == ctx.actor.person_id,
        steps=timeline(ctx, KEY_CHANGE.kind, found.id),
    )


def _file(form: Form) -> Response:
    return form.again("cards/unit_key_file.html", columns=import_table.KEYS, max_rows=resources().settings.batch_max_rows)
