"""/api/v1: the services as JSON. The OpenAPI document is generated from the schemas that validate the requests (docs/api.md)."""

from __future__ import annotations

from sifilma.api import (
    access_reviews,
    activation_requests,
    activations,
    assignments,
    audit,
    blank_deliveries,
    cards,
    conversations,
    destructions,
    documentation,
    files,
    handovers,
    head_successions,
    jobs,
    manifests,
    model_cases,
    notices,
    outlets,
    personalisation,
    place_suspensions,
    reference,
    reference_changes,
    sessions,
    units,
    users,
)
from sifilma.api.common import Problem, security_schemes
from sifilma.web.application import Application

__all__ = ["Problem", "register", "security_schemes"]

BLUEPRINTS = (
    sessions.api,
    users.api,
    access_reviews.api,
    reference.api,
    units.api,
    outlets.api,
    cards.api,
    personalisation.api,
    blank_deliveries.api,
    handovers.api,
    activation_requests.api,
    activations.api,
    manifests.api,
    place_suspensions.api,
    destructions.api,
    jobs.api,
    files.api,
    model_cases.api,
    reference_changes.api,
    audit.api,
    conversations.api,
    notices.api,
    assignments.api,
    head_successions.api,
)


def register(app: Application) -> None:
    """Register every route of /api/v1."""
    for api in BLUEPRINTS:
        app.register_api(api)
    app.register_blueprint(documentation.blueprint)
