"""The application class: the one place where a request's unit of work is committed."""

from __future__ import annotations

from typing import Any

from flask import Response, g
from flask_openapi3 import OpenAPI

from sifilma.kernel import deadline, idempotency
from sifilma.kernel.idempotency import StoredAnswer
from sifilma.web import requests


class Application(OpenAPI):
    """Flask with a deadline per request and one commit per request."""

    def full_dispatch_request(self) -> Response:
        """Answer within `REQUEST_DEADLINE` seconds, whatever stands still behind us."""
        with deadline.limit(self.config["REQUEST_DEADLINE"]):
            return super().full_dispatch_request()

    def dispatch_request(self) -> Any:
        """Run the view and commit what it did, or roll it back if it refuses. The answer leaves only afterwards."""
        response: Response = self.make_response(super().dispatch_request())
        unit = requests.unit_of_work()
        if unit is None:
            return response
        if response.status_code >= 400:
            unit.rollback()
            return response
        if g.get("idempotency") is not None:
            actor, key = g.idempotency
            answer = StoredAnswer(response.status_code, response.content_type, response.get_data())
            idempotency.complete(unit.session, actor, key, answer)
        if unit.in_transaction:
            unit.commit()
        g.idempotency = None
        return response
