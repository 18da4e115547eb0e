"""Register all blueprints of pages and public files in one place."""

from __future__ import annotations

from flask import Flask, current_app, g, request
from flask_login import current_user

from sifilma import web
from sifilma.access_review import views as access_review
from sifilma.accounts import api_key_views as api_keys
from sifilma.accounts import own_account_views as own_account
from sifilma.accounts import views as users
from sifilma.activation.archives import views as archive_views
from sifilma.activation.bulk import together_views
from sifilma.activation.bulk import views as bulk_views
from sifilma.activation.carrying import views as carried_views
from sifilma.activation.issuing import history_views as activated_views
from sifilma.activation.issuing import views as activate_views
from sifilma.activation.manifests import views as manifests
from sifilma.activation.requests import views as request_views
from sifilma.activation.review import views as reviews
from sifilma.activation.suspensions import views as suspensions
from sifilma.activation.trust import public_views as activation
from sifilma.approvals import batch_views as approvals
from sifilma.assignment import views as assignment
from sifilma.audit_trail import failure_views as failures
from sifilma.audit_trail import labels, log_views
from sifilma.audit_trail import views as audit
from sifilma.cards import key_views as unit_keys
from sifilma.cards import report_views as card_reports
from sifilma.cards import unit_views as units
from sifilma.cards.outlets import views as outlets
from sifilma.cards.outlets.limits import views as outlet_limits
from sifilma.cards.upkeep import views as unit_upkeep
from sifilma.conversation import views as conversation
from sifilma.destruction import views as destruction
from sifilma.dispatch import views as dispatch
from sifilma.documents import label_sheets, list_views
from sifilma.documents.indonesian import uid_pairs, zone_of
from sifilma.handover import return_views
from sifilma.handover import views as handover
from sifilma.handover.discrepancies import views as discrepancies
from sifilma.identity.permissions import Operation, grants
from sifilma.jobs import views as jobs
from sifilma.kernel.actor import Actor
from sifilma.lost_access import views as lost_access
from sifilma.messages import views as messages
from sifilma.oversight import model_views as models
from sifilma.oversight import reference_views as reference
from sifilma.own_files import views as own_files
from sifilma.personalisation import result_views as personalisation_results
from sifilma.personalisation import views as personalisation
from sifilma.personalisation.blanks import views as blanks
from sifilma.public import views as public
from sifilma.reconciliation import views as reconciliation
from sifilma.regions import views as region_pages
from sifilma.reports import card_views as cards
from sifilma.reports import map_views as readers
from sifilma.reports import organisation_views as organisations
from sifilma.reports import views as home
from sifilma.reports.basis import views as basis_views
from sifilma.reports.bell import views as notices
from sifilma.reports.first_steps import views as first_steps
from sifilma.reports.statistics import views as statistics
from sifilma.reports.way import views as way_views
from sifilma.resources import resources
from sifilma.search import views as search
from sifilma.sign_in import factor_views as factors
from sifilma.sign_in import views as sign_in
from sifilma.sign_in.request_gate import is_fresh
from sifilma.succession import views as succession
from sifilma.web import assets, kept, kept_views, languages, pages
from sifilma.web.navigation import ENTRIES, VISITORS, Entry
from sifilma.web.operations import policy_of

BLUEPRINTS = (
    web.blueprint, assets.blueprint, kept_views.blueprint, home.blueprint, sign_in.blueprint, own_account.blueprint, approvals.blueprint,
    activation.blueprint, units.blueprint, unit_keys.blueprint, unit_upkeep.blueprint, outlets.blueprint, outlet_limits.blueprint,
    card_reports.blueprint,
    personalisation.blueprint, personalisation_results.blueprint, users.blueprint, api_keys.blueprint, organisations.blueprint,
    audit.blueprint, log_views.blueprint,
    factors.blueprint, handover.blueprint, request_views.blueprint, activate_views.blueprint, activated_views.blueprint,
    cards.blueprint, manifests.blueprint, reviews.blueprint, destruction.blueprint, public.blueprint, models.blueprint,
    reference.blueprint, messages.blueprint, readers.blueprint, region_pages.blueprint, jobs.blueprint, bulk_views.blueprint,
    together_views.blueprint, archive_views.blueprint, access_review.blueprint, failures.blueprint, search.blueprint,
    statistics.blueprint, first_steps.blueprint, conversation.blueprint, notices.blueprint, assignment.blueprint,
    discrepancies.blueprint, return_views.blueprint, lost_access.blueprint, succession.blueprint, suspensions.blueprint, blanks.blueprint,
    dispatch.blueprint, carried_views.blueprint, reconciliation.blueprint, own_files.blueprint,
)  # fmt: skip


def register(app: Flask) -> None:
    """Attach the blueprints and the languages, and give templates their functions."""
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    languages.register(app, _zone, _language)
    pages.register(app)
    kept.register(app)
    way_views.register(app)
    basis_views.register(app)
    conversation.register(app)
    assignment.register(app)
    app.jinja_env.filters.update(pairs=uid_pairs, act_words=labels.action, object_words=labels.object_kind, fact_words=labels.fact)
    app.jinja_env.globals.update(
        may=may,
        may_open=may_open,
        needs_code=needs_code,
        navigation=navigation,
        visitors=VISITORS,
        shown_list=list_views.shown_list,
    )
    app.jinja_env.globals.update(label_formats=label_sheets.choices, most_labels=label_sheets.MOST)


def may(operation: str) -> bool:
    """Return whether the signed-in user has a grant of the operation. Pages do not offer what the user may not do."""
    actor: Actor | None = g.get("actor")
    return actor is not None and (operation == Operation.SESSION_SELF or bool(grants(actor, Operation(operation))))


def may_open(endpoint: str) -> bool:
    """Return whether a guide may lead its reader to a page. Strangers sign in first, and are told then."""
    actor: Actor | None = g.get("actor")
    policy = policy_of(current_app.view_functions.get(endpoint))
    if policy is None or actor is None or actor.is_system or policy.operation in (Operation.PUBLIC, Operation.SELF):
        return True
    return may(policy.operation)


def needs_code(operation: str) -> bool:
    """Return whether a form for this operation asks for a one-time code."""
    found = grants(g.actor, Operation(operation))
    asked = operation == Operation.SESSION_SELF or (bool(found) and all(grant.fresh for grant in found))
    return asked and not is_fresh(g.actor, resources().settings)


def navigation() -> list[tuple[Entry, bool]]:
    """Return the side bar's entries for the signed-in user, each with whether this page belongs to it."""
    section = request.path.split("/")[1]
    known = current_app.view_functions
    return [(entry, entry.section == section) for entry in ENTRIES if entry.endpoint in known and may(entry.operation)]


def _zone() -> str:
    actor: Actor | None = g.get("actor")
    chosen = current_user.time_zone if current_user.is_authenticated else ""
    return chosen or str(zone_of(actor.region_code if actor is not None else None))


def _language() -> str:
    return current_user.language if current_user.is_authenticated else ""
