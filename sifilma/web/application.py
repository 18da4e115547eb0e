"""The application class. It commits the unit of work of a request, in this one place."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import IO, Any

from flask import Request, Response, g
from flask_openapi3 import OpenAPI

from sifilma.kernel import deadline, idempotency
from sifilma.kernel.idempotency import StoredAnswer
from sifilma.web import kept, languages, requests
from sifilma.web.streams import Streamed


class Received(Request):
    """A request that closes its temporary files also if its body could not be read to the end: Flask closes those of a whole one only."""

    def _get_file_stream(self, *about: Any, **more: Any) -> IO[bytes]:
        stream = super()._get_file_stream(*about, **more)
        self.__dict__.setdefault("streams", []).append(stream)
        return stream

    def close(self) -> None:
        """Close every file of the body."""
        super().close()
        for stream in self.__dict__.pop("streams", ()):
            stream.close()


class Application(OpenAPI):
    """Flask with a deadline and one commit per request."""

    request_class = Received
    jinja_environment = languages.Environment  # type: ignore[assignment]  # Flask gives no way to say so

    def wsgi_app(self, environ: Any, start_response: Any) -> Any:
        """Answer within `REQUEST_DEADLINE` seconds, even if the database or the HSM does not respond. The teardown is part of it."""
        with deadline.limit(self.config["REQUEST_DEADLINE"]):
            return super().wsgi_app(environ, start_response)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none of ours is asynchronous. Flask would look at each hook and view of each request again."""
        return func

    def dispatch_request(self) -> Any:
        """Run the view and commit its changes, or roll them back if it refuses. The answer is sent after the commit.

        An answer that was sent before could promise an act that is then lost.
        """
        # An exception of the view passes through here, so nothing is committed.
        response: Response = self.make_response(super().dispatch_request())
        unit = requests.unit_of_work()
        if unit is None:
            return response
        # A view may answer a refusal as a page instead of raising it: the status decides.
        if response.status_code >= 400:
            unit.rollback()
            return kept.refused(response)
        response = kept.settle(unit, response)
        # Stored in the transaction of the act, so that a repeated call finds both the act and its answer, or neither.
        if g.get("idempotency") is not None:
            answer = StoredAnswer(response.status_code, response.content_type, response.get_data())
            idempotency.complete(unit.session, g.idempotency, answer)
        if unit.in_transaction:
            unit.commit()
            if response.status_code == HTTPStatus.SEE_OTHER:
                kept.forget_files(unit)
        g.idempotency = None  # completed: `close_request` must not release the key
        if isinstance(response, Streamed):
            response.begin()  # reads by itself, now that nothing is open any more
        return response
