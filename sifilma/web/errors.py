"""Map every refusal and every unexpected error to `application/problem+json` (RFC 9457) or to a page, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from flask import Flask, Response, current_app, g, jsonify, render_template, request
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from hsm.errors import HSMError, HSMKeyChanged, HSMMisuse, HSMUnavailable
from sifilma.kernel.errors import (
    Conflict,
    Invalid,
    NotFound,
    OutcomeUnknown,
    SifilmaError,
    StepUpRequired,
    TooLarge,
    TooMany,
    TooOften,
    Unauthenticated,
    Unavailable,
)
from sifilma.kernel.outages import is_outage
from sifilma.resources import resources
from sifilma.web import kept
from sifilma.web.operations import besides
from sifilma.web.pages import LONGEST_WAY, page_url
from sifilma.web.requests import unit_of_work

log = structlog.get_logger()
PROBLEM_BASE = "urn:sifilma:problem:"
_FORM = re.compile(r"[A-Z]\w*$|.*\[")
BACK = "kembali"  # a cookie's name


def register(app: Flask) -> None:
    """Attach the error handlers to the application."""
    app.register_error_handler(SifilmaError, answer)
    app.register_error_handler(ValidationError, answer_validation)
    app.register_error_handler(HTTPException, lambda error: answer(_from_http(error)))
    app.register_error_handler(Exception, _unforeseen)


def answer(error: SifilmaError) -> Response:
    """Return the response for a refusal, in the form the caller asked for. A hook records refusals of signed-in actors (`g.refusal`)."""
    g.refusal = error
    if error.status >= 500:
        log.warning("request refused", type=error.type, detail=error.detail, status=error.status)
    response = _problem(error) if wants_json() else _page_or_simpler(error)
    # The redirect to the sign-in keeps its own status.
    if response.status_code != HTTPStatus.SEE_OTHER:
        response.status_code = error.status
    if isinstance(error, TooMany | Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _unforeseen(error: Exception) -> Response:
    g.cause = type(error).__name__
    return answer(refusal_of(error))


def wants_json() -> bool:
    """Return whether the caller is a program. Paths of the API are always answered in JSON."""
    return request.path.startswith("/api/") or not request.accept_mimetypes.accept_html


def problem(error: SifilmaError) -> dict[str, Any]:
    """Return the members of the problem document (RFC 9457). `detail` never contains input."""
    document: dict[str, Any] = {"type": PROBLEM_BASE + error.type, "title": error.title, "status": error.status}
    if error.detail:
        document["detail"] = error.detail
    document["request_id"] = g.get("request_id", "")
    if isinstance(error, Invalid) and (warnings := g.get("warnings")):
        document["warnings"] = warnings
    extra = dict(error.extra)
    if "errors" in extra:
        extra["errors"] = [found | _pointed(found) for found in extra["errors"]]
    return document | extra


def answer_validation(error: ValidationError) -> Response:
    """Return the response for an input that its schema refuses, with what else is wrong with it (`web.operations.also`)."""
    return answer(from_validation(error, besides(current_app.view_functions.get(request.endpoint or ""))))


def from_validation(error: ValidationError, more: Sequence[Mapping[str, Any]] = ()) -> Invalid:
    """Return field errors without the input, which may be a token or a password; then `more`, of fields without an error so far."""
    errors = [
        {"field": _field(item["loc"]) or "body", "message": item["msg"].removeprefix("Value error, ")}
        for item in error.errors(include_url=False, include_input=False, include_context=False)
        if _field(item["loc"]) or not item["loc"]  # else that the input is not of the other form that a body may have
    ]
    known = {name for found in errors for name in (found["field"], found["field"].partition(".")[2])}
    errors += [dict(found) for found in more if found["field"] not in known]
    return Invalid("Some fields cannot be accepted as they are.", errors=errors)


def _field(loc: Sequence[str | int]) -> str:
    """Return the path of a field, without the names that pydantic gives to the forms of a body: `UnitIn`, `list[UnitIn]`."""
    return ".".join(str(part) for part in loc if isinstance(part, int) or not _FORM.match(part))


def _pointed(error: Mapping[str, Any]) -> dict[str, str]:
    """Return the JSON Pointer (RFC 6901) of what an error is about, as a URI fragment. A row of a file, and the whole body, have none."""
    if "row" in error or error.get("field", "body") in ("", "body"):
        return {}
    parts = [part.replace("~", "~0").replace("/", "~1") for part in str(error["field"]).split(".")]
    if "item" in error:
        parts.append(str(error["item"] - 1))
    return {"pointer": "#" + "".join(f"/{quote(part)}" for part in parts)}


def _problem(error: SifilmaError) -> Response:
    response = jsonify(problem(error))
    response.content_type = "application/problem+json"
    return response


def _page_or_simpler(error: SifilmaError) -> Response:
    """Return the error's page. Where making it fails, as the database may fail at any moment, return the page that a stranger sees."""
    try:
        return _page(error)
    except Exception as fault:  # noqa: BLE001  # whatever it is, the answer is still that to the first error
        _tell_of_page(fault)
    if (unit := unit_of_work()) is not None:
        unit.rollback()
    _forget_names()
    return _html(render_template("web/error.html", error=error, request_id=g.get("request_id", ""), fields=[]))


def _tell_of_page(fault: Exception) -> None:
    log.error("error page failed", error=type(fault).__name__, exc_info=None if is_outage(fault) else fault)


def _page(error: SifilmaError) -> Response:
    if isinstance(error, Unauthenticated):
        return _to_sign_in()
    if (unit := unit_of_work()) is not None:  # the error may have broken the transaction, and the page queries who is signed in
        unit.rollback()
    if isinstance(error, StepUpRequired):
        return _ask_code(error)
    if error.type in (Unavailable.type, OutcomeUnknown.type) or isinstance(error, TooOften):  # its page asks the database nothing
        _forget_names()
    # Only after an outage that saved nothing is the same form worth sending again, and no page repeats a password or token.
    again = isinstance(error, Unavailable | TooOften) and not isinstance(error, OutcomeUnknown)
    fields = _typed() if again and not _holds_secrets() else []
    if unit is not None:
        unit.begin_read()
    return _html(render_template("web/error.html", error=error, request_id=g.get("request_id", ""), fields=fields))


def _ask_code(error: SifilmaError) -> Response:
    """Return the page that asks for a fresh code and sends the form again with it. Its files are kept meanwhile."""
    fields, files = _typed(), kept.keep_files()
    fields += [(name, key) for name, keys in files.items() for key in keys]
    if (unit := unit_of_work()) is not None:
        unit.begin_read()
    lost = any(file.filename for file in request.files.values()) and not files
    return _html(render_template("web/step_up.html", error=error, fields=fields, lost_files=lost, names=_names_of(files)))


def _names_of(files: Mapping[str, list[str]]) -> list[str]:
    """Return the names of the files of this request that are kept."""
    return [file.filename or "" for name, file in request.files.items(multi=True) if kept.FILES + name in files and file.filename]


def _to_sign_in() -> Response:
    """Redirect to the first step of signing in. A short-lived cookie, sent to the sign-in pages only, keeps the page to return to.

    A form that was sent after its session had ended is kept (`sign_in.request_gate`): the page to return to shows it as it was left.

    Requests of scripts (`Sec-Fetch-Dest` other than `document`) set no cookie: nobody wants to return to them.
    """
    response = Response(status=303, headers={"Location": "/masuk"})
    way = g.get("way_back") or page_url()
    if request.path != "/" and request.headers.get("Sec-Fetch-Dest", "document") == "document" and len(way) <= LONGEST_WAY:
        response.set_cookie(BACK, way, max_age=900, path="/masuk", httponly=True, samesite="Lax", secure=resources().settings.https)
    return response


def _forget_names() -> None:
    """Treat the user as a stranger on this page: their name is in the database, which may be what does not answer."""
    g.pop("_login_user", None)
    g.actor = None


def _holds_secrets() -> bool:
    """Return whether the form has fields that no page may repeat. The session's CSRF token stands in every form."""
    return any(kept.is_secret(name) for name in request.form if name not in ("csrf_token", "otp_code"))


def _html(page: str) -> Response:
    return Response(page, content_type="text/html; charset=utf-8")


def _typed() -> list[tuple[str, str]]:
    """Return the fields of a form that lacks its one-time code. They are sent again with the code, so nothing typed is lost."""
    return [(name, value) for name, value in request.form.items(multi=True) if name != "otp_code"]


def _from_http(error: HTTPException) -> SifilmaError:
    if error.code == HTTPStatus.NOT_FOUND:
        return NotFound()
    if error.code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge("The request is larger than this service accepts.")
    refusal = SifilmaError(error.description or "", type="http-" + str(error.code or 500))
    refusal.status = error.code or 500
    refusal.title = error.name
    return refusal


def _from_database(error: SQLAlchemyError) -> SifilmaError:
    cause = getattr(error, "orig", None) or error
    reason = str(cause).splitlines()[:1]
    if isinstance(error, IntegrityError):
        # No fault: constraints and triggers refuse what two requests at the same time could otherwise do together.
        log.info("refused by the database", reason=reason)
        return Conflict("The database refused this: it contradicts what is recorded.", type="refused-by-database")
    outage = is_outage(error)
    log.error("database fault", error=type(cause).__name__, reason=reason, exc_info=None if outage else error)
    return Unavailable("The database is not available right now; nothing was changed.") if outage else SifilmaError()


def _from_hsm(error: HSMError) -> SifilmaError:
    log.error("HSM fault", error=type(error).__name__, reason=str(error))
    if isinstance(error, HSMMisuse):
        return SifilmaError()
    if isinstance(error, HSMKeyChanged):
        return Unavailable(
            "The HSM holds another key than this installation was set up with. Nothing was made with it, nothing was used up.",
            retry_after=60, type="hsm-wrong-key",
        )  # fmt: skip
    wait = round(error.retry_after) if isinstance(error, HSMUnavailable) else 60
    return Unavailable(
        "The HSM is not available right now; nothing was changed, nothing was used up.", retry_after=max(1, wait), type="hsm-unavailable"
    )


def refusal_of(error: Exception) -> SifilmaError:
    """Return the refusal that an exception amounts to.

    An unexpected exception is logged once with its trace. The answer tells nothing of it.
    """
    match error:
        case SifilmaError():
            return error
        case StaleDataError():
            return Conflict("Somebody else changed this a moment ago. Look again.")
        case PoolTimeout():
            return Unavailable("All database connections are busy.")
        case SQLAlchemyError():
            return _from_database(error)
        case HSMError():
            return _from_hsm(error)
    log.error("unexpected error", exc_info=error)
    return SifilmaError()
