"""What the pages of models, cases and changes of reference data show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from sqlalchemy import func, or_, select

from sifilma.approvals.four_eyes import Objection
from sifilma.cards.models import DeviceModel, Unit
from sifilma.cards.queries import units_query
from sifilma.cards.serializers import TimelineStep, timeline
from sifilma.documents.indonesian import WIB
from sifilma.documents.lists import Export
from sifilma.identity.models import Organisation, Person
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing
from sifilma.oversight.cases import OPEN, WAY, cases_query, models_query
from sifilma.oversight.models import CASE, CERTIFIED, CHANGE, CertificateKind, ModelCase, ModelCertificate, ReferenceChange
from sifilma.oversight.reference import PROPOSALS
from sifilma.web.states import state

EXPORT = Export(
    "model",
    {
        _("Model"): lambda line: line.model.name,
        _("Manufacturer"): lambda line: line.maker,
        _("Function"): lambda line: ", ".join(line.model.functions),
        _("Test"): lambda line: state(line.test.state).name,
        _("Test valid until"): lambda line: line.test.until or "",
        _("TKDN"): lambda line: state(line.tkdn.state).name,
        _("TKDN valid until"): lambda line: line.tkdn.until or "",
    },
    orders={"nama": (_("Model"), DeviceModel.name)},
    counted=lambda number, words: ngettext("%(count)s model", "%(count)s models", number, count=words),
    filters={"q": "", "state": ""},
)


@dataclass(frozen=True)
class Shown:
    """A certificate with its state today: `in_force` or `expired`, or `absent` if there is none."""

    state: str
    certificate: ModelCertificate | None = None

    @property
    def until(self) -> date | None:
        """Return the last day of the certificate, or None if there is none."""
        return self.certificate.valid_until if self.certificate else None


@dataclass(frozen=True)
class ModelLine:
    """A model in a list, with the certificate of each kind that is (or was) valid longest.

    `open` is the number of open applications, or None if the actor may not see cases.
    """

    model: DeviceModel
    maker: str
    test: Shown
    tkdn: Shown
    open: int | None


@dataclass(frozen=True)
class ModelPage:
    """A model as its page shows it. `units` (a number) and `cases` are None if the actor may not see them."""

    line: ModelLine
    certificates: list[Shown]
    units: int | None
    cases: list[ModelCase] | None


@dataclass(frozen=True)
class CasePage:
    """A case as its page shows it. `objection` says why the actor cannot certify it; it is None if they can."""

    case: ModelCase
    steps: list[TimelineStep]
    recorded_by: str
    objection: Objection | None


@dataclass(frozen=True)
class ChangePage:
    """A change of reference data as its page shows it. `is_mine`: the actor proposed it."""

    change: ReferenceChange
    rows: list[dict[str, str]]
    steps: list[TimelineStep]
    is_mine: bool


def list_models(ctx: Context, text: str, state: str) -> Listing[DeviceModel]:
    """Return the models the actor may see, by a part of their name or of their maker's, and by the state of one of their applications."""
    query = models_query(ctx)
    if text:
        named = select(Organisation.id).where(Organisation.name.icontains(text, autoescape=True))
        query = query.where(or_(DeviceModel.name.icontains(text, autoescape=True), DeviceModel.manufacturer_id.in_(named)))
    if state:
        wanted = cases_query(ctx).with_only_columns(ModelCase.model_id).where(ModelCase.state == state)
        query = query.where(DeviceModel.id.in_(wanted))
    return query, DeviceModel.id


def lines(ctx: Context, models: Sequence[DeviceModel]) -> list[ModelLine]:
    """Return the lines of a list with makers, certificates and open applications, in three queries for all models."""
    query = select(Organisation.id, Organisation.name).where(Organisation.id.in_({model.manufacturer_id for model in models}))
    makers: dict[UUID, str] = dict(ctx.session.execute(query).all())
    shown, waiting = _certificates(ctx, models), _open(ctx, models)
    sees = bool(grants(ctx.actor, Operation.MODEL_CASE_VIEW))
    return [
        ModelLine(
            model,
            makers.get(model.manufacturer_id, ""),
            _best(shown[model.id], CertificateKind.TEST),
            _best(shown[model.id], CertificateKind.TKDN),
            waiting.get(model.id, 0) if sees else None,
        )
        for model in models
    ]


def _certificates(ctx: Context, models: Sequence[DeviceModel]) -> dict[UUID, list[Shown]]:
    """Return the certificates of certified cases by model, the one valid longest first."""
    found: dict[UUID, list[Shown]] = {model.id: [] for model in models}
    today = ctx.now.astimezone(WIB).date()
    query = select(ModelCase.model_id, ModelCertificate).join(ModelCertificate, ModelCertificate.model_case_id == ModelCase.id)
    query = query.where(ModelCase.model_id.in_(found), ModelCase.state.in_(CERTIFIED)).order_by(ModelCertificate.valid_until.desc())
    for model_id, certificate in ctx.session.execute(query):
        found[model_id].append(Shown("expired" if certificate.valid_until < today else "in_force", certificate))
    return found


def _best(shown: list[Shown], kind: CertificateKind) -> Shown:
    return next((one for one in shown if one.certificate and one.certificate.kind == kind), Shown("absent"))


def _open(ctx: Context, models: Sequence[DeviceModel]) -> dict[UUID, int]:
    query = cases_query(ctx).with_only_columns(ModelCase.model_id, func.count(ModelCase.id), maintain_column_froms=True)
    query = query.where(ModelCase.model_id.in_([model.id for model in models]), ModelCase.state.in_(OPEN)).group_by(ModelCase.model_id)
    return dict(ctx.session.execute(query).all())


def model_page(ctx: Context, model: DeviceModel) -> ModelPage:
    """Return the page of a model: its certificates (with expired ones), its units, its applications."""
    units = cases = None
    if grants(ctx.actor, Operation.UNIT_READ):
        units = ctx.session.scalar(units_query(ctx).with_only_columns(func.count(Unit.id)).where(Unit.model_id == model.id)) or 0
    if grants(ctx.actor, Operation.MODEL_CASE_VIEW):
        cases = list(ctx.session.scalars(cases_query(ctx).where(ModelCase.model_id == model.id).order_by(ModelCase.id.desc())))
    return ModelPage(lines(ctx, [model])[0], _certificates(ctx, [model])[model.id], units, cases)


def case_page(ctx: Context, case: ModelCase) -> CasePage:
    """Return the page of a case."""
    person = ctx.session.get(Person, case.submitted_by_person) if case.submitted_by_person else None
    return CasePage(case, timeline(ctx, CASE.kind, case.id), person.name if person else "", WAY.objection(ctx, case))


def change_page(ctx: Context, change: ReferenceChange) -> ChangePage:
    """Return the page of a change of reference data."""
    rows = [{name: str(value or "") for name, value in row.items()} for row in change.content["rows"]]
    return ChangePage(change, rows, timeline(ctx, CHANGE.kind, change.id), PROPOSALS.is_own(ctx, change))


def proposers(ctx: Context, changes: Sequence[ReferenceChange]) -> list[tuple[ReferenceChange, str]]:
    """Return changes with the names of their proposers, in one query for all names."""
    query = select(Person.id, Person.name).where(Person.id.in_({change.proposed_by_person for change in changes}))
    names: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return [(change, names[change.proposed_by_person]) for change in changes]
