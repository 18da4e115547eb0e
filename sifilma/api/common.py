"""What all routes of the API share: paths, pages, answers, multipart forms, the problem document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from flask import Response, request
from flask_openapi3 import APIBlueprint, FileStorage, RequestBody, Tag
from flask_openapi3.utils import parse_body, parse_form
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy import Select

from config.settings import Settings
from sifilma.cards.identifiers import Uid
from sifilma.documents import label_sheets
from sifilma.documents.responses import attachment
from sifilma.documents.service import Upload
from sifilma.kernel import paging
from sifilma.kernel.errors import Faults, Invalid, SifilmaError
from sifilma.kernel.paging import NEWEST_FIRST, Order
from sifilma.kernel.schemas import readable
from sifilma.sign_in.authentication import cookie_name
from sifilma.web import characters
from sifilma.web.links import API
from sifilma.web.operations import View, also
from sifilma.web.requests import context

Item = TypeVar("Item", bound=BaseModel)

REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
SIGNED_IN: list[dict[str, list[str]]] = [{"session": [], "csrf": []}, {"key": []}]


def security_schemes(settings: Settings) -> dict[str, Any]:
    """Return the security schemes for OpenAPI. The session cookie has the name it has on this installation."""
    cookie = {"type": "apiKey", "in": "cookie", "name": cookie_name(settings), "description": "POST /session, then POST /session/otp"}
    return {
        "session": cookie,
        "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token", "description": "with a session, on every unsafe call"},
        "key": {"type": "http", "scheme": "bearer", "description": "an organisation's API key"},
    }


class Problem(BaseModel):
    """RFC 9457. `type` is stable; `errors` names each field that cannot be accepted."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str | None = None
    request_id: str | None = None
    errors: list[dict[str, Any]] | None = None


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the page after it, null at the end."""

    items: list[Item]
    next: str | None


class IdPath(BaseModel):
    """The id of an object."""

    id: UUID


class UidPath(BaseModel):
    """A card's UID. Spaces and colons, as printed on cards, are accepted."""

    uid: Uid


class ListQuery(BaseModel):
    """A page of a list: its length, and the cursor of the page before it."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=paging.MAX_LIMIT)
    cursor: str | None = Field(None, max_length=64)


class StateQuery(ListQuery):
    """A page of a list, by state."""

    state: str | None = Field(None, max_length=20)


class LabelsQuery(BaseModel):
    """The format of a sheet of labels, and the place of the first label on it, counted from 1, where a sheet is used already."""

    model_config = ConfigDict(extra="forbid")

    format: str = Field("3x7", json_schema_extra={"enum": [*label_sheets.FORMATS]})
    start: int = Field(1, ge=1, le=max(one.count for one in label_sheets.FORMATS.values()))

    def sheet(self, settings: Settings, labels: list[label_sheets.Label]) -> Response:
        """Return these labels as a PDF. Raise Invalid without labels, for too many, and for a place that the format does not have."""
        asked = {"format": self.format, "start": str(self.start)}
        return attachment(label_sheets.asked_for(context(), settings, asked, labels), "application/pdf", label_sheets.NAME)


class RequestsQuery(StateQuery):
    """A page of requests, by state, or only those that are late by their service target."""

    late: bool = False


def blueprint(name: str, *, signed_in: bool = True) -> APIBlueprint:
    """Return a blueprint of the API whose routes document the common refusals."""
    return APIBlueprint(
        f"api_{name.replace('-', '_')}",
        __name__,
        url_prefix=API,
        abp_tags=[Tag(name=name)],
        abp_security=SIGNED_IN if signed_in else [],
        abp_responses={status: _refusal(status) for status in REFUSALS},
    )


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    return {"description": status.phrase, "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def file_of(*media_types: str) -> dict[str, Any]:
    """Return the description of an answer that is a file, for the OpenAPI document."""
    schema = {"type": "string", "format": "binary"}
    return {"description": "The file", "content": {media_type: {"schema": schema} for media_type in media_types}}


def answer(model: BaseModel, status: int = 200) -> Response:
    """Return a model as a JSON response."""
    return Response(model.model_dump_json(), status, content_type="application/json")


def page_of(
    query: Select[Any], key: Any, which: ListQuery, show: Callable[[list[Any]], Iterable[BaseModel]], *, order: Order = NEWEST_FIRST
) -> Response:
    """Return one page of a select as JSON. Codes in ascending order need OLDEST_FIRST. Raise Invalid for an unreadable cursor."""
    found = paging.page(context().session, query, key, limit=which.limit, cursor=which.cursor, order=order)
    return answer(Page[Any](items=list(show(found.items)), next=found.next))


def takes(api: APIBlueprint, path: str, body: type[BaseModel], form: type[BaseModel]) -> None:
    """Document that a POST takes either JSON or this multipart form.

    The framework derives the body from the view's parameters, and these can name only one of the two; so the view reads the body itself.
    """
    called = api.paths[API + path].post
    content = {}
    for found, schemas in (parse_body(body), parse_form(form)):
        content.update(found)
        api.components_schemas.update(schemas)
    called.requestBody = RequestBody(content=content, required=True)


def _json_part(value: object) -> object:
    """Return the JSON of a multipart part, which comes as a plain field or as a file of type application/json. Raise ValueError."""
    if isinstance(value, str) or hasattr(value, "read"):
        try:
            value = json.loads(value if isinstance(value, str) else value.read())
        except (ValueError, RecursionError) as broken:  # RecursionError: JSON that is nested too deeply
            raise ValueError("this part must be JSON") from broken
        characters.require_fit("request", value)
    return value


def _file_part(value: object) -> object:
    """Return the part. Raise ValueError for a plain field, which has no file name and is no file."""
    if value is not None and not hasattr(value, "filename"):
        raise ValueError("this part must be a file")
    return value


JsonPart = BeforeValidator(_json_part)
File = Annotated[FileStorage, BeforeValidator(_file_part)]


def tells_all(
    schema: type[BaseModel], faults: Callable[[dict[str, Any], Callable[[str], list[Upload]]], Faults], part: str = ""
) -> Callable[[View], View]:
    """Mark a view: where its input is refused, what is wrong with its other fields is told at once.

    `faults` gets the values of the fields of `schema` that could be read, and a function that returns the uploaded files of a part. The
    JSON is the body, or the multipart form's `part`.
    """

    def besides() -> list[dict[str, Any]]:
        given = _json_of(part)
        if not isinstance(given, dict):
            return []
        try:
            known = dict(schema.model_validate(given))
        except ValidationError as refused:
            known = readable(schema, given, refused)
        try:
            return list(faults(known, _files))
        except SifilmaError:  # the act is refused for another reason; the schema's faults are told first
            return []

    return also(besides)


def _files(part: str) -> list[Upload]:
    found = []
    for file in request.files.getlist(part):
        file.stream.seek(0)
        found.append(Upload(file.filename or "", file.read()))
    return [file for file in found if file.filename]


def _json_of(part: str) -> Any:
    if not part:
        return request.get_json(silent=True)
    try:
        return json.loads(request.form.get(part, "null"))
    except (ValueError, RecursionError):
        return None


def upload(file: FileStorage | None) -> Upload | None:
    """Return an uploaded file, or None if the part is missing or has no file name."""
    if file is None or not file.filename:
        return None
    return Upload(file.filename, file.read())


def needed(file: FileStorage | None, field: str) -> Upload:
    """Return an uploaded file. Raise Invalid if it is missing."""
    found = upload(file)
    if found is None:
        raise Invalid.field(field, "This file is missing.")
    return found
