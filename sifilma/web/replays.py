"""Open a page's list outside its request: what the worker writes is what the page shows, to whoever may see it now.

The view itself is called, with the actor of the present, under the page's own address. It gives its list to `TAKER` in place of a page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import current_app, g, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.urls import iri_to_uri

from sifilma.kernel.actor import Actor
from sifilma.kernel.db import db
from sifilma.kernel.errors import NotFound
from sifilma.kernel.unit_of_work import own_reading
from sifilma.web.languages import COOKIE
from sifilma.web.operations import policy_of

TAKER = "list_taker"
"""The name in `g` of the function that is given the list of this request."""


@contextmanager
def opened(actor: Actor, address: str, language: str, admit: Callable[[str], None]) -> Iterator[Any]:
    """Give the list of the page with this address (path and query), as this actor has it in this language.

    It is read with a unit of work of its own, for reading, which ends with the block; pages' functions may be called within the block.
    `admit` is given the name of the page's operation, and raises if the actor may not do it. Raise NotFound for an address of no list.
    """
    app, found = current_app._get_current_object(), list[Any]()  # type: ignore[attr-defined]  # the proxy's own way
    headers = {"Cookie": f"{COOKIE}={language}"}
    with app.app_context(), app.test_request_context(iri_to_uri(address), headers=headers):
        view = app.view_functions.get(request.endpoint or "")
        policy = policy_of(view)
        if request.routing_exception is not None or view is None or policy is None:
            raise NotFound()
        with own_reading(db.sessionmaker) as unit:
            g.actor, g.uow, g.request_id = actor, unit, ""
            setattr(g, TAKER, found.append)
            admit(policy.operation)
            try:
                view(**(request.view_args or {}))
            except HTTPException as refused:
                raise NotFound() from refused
            if not found:
                raise NotFound()
            yield found[0]


@contextmanager
def spoken(actor: Actor, language: str) -> Iterator[None]:
    """Have words, days and times in the block as this person's pages have them. What is read for that is read with a unit of its own."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # as above
    request_of_language = app.test_request_context("/", headers={"Cookie": f"{COOKIE}={language}"})
    with app.app_context(), request_of_language, own_reading(db.sessionmaker) as unit:
        g.actor, g.uow, g.request_id = actor, unit, ""
        yield


def operation_of(address: str) -> str:
    """Return the name of the operation of the page with this address. Raise NotFound if there is none."""
    parts = urlsplit(iri_to_uri(address))
    try:
        endpoint, _ = current_app.url_map.bind("").match(parts.path, method="GET")
    except HTTPException as refused:
        raise NotFound() from refused
    policy = policy_of(current_app.view_functions.get(endpoint))
    if policy is None:
        raise NotFound()
    return policy.operation


def without(address: str, names: set[str]) -> str:
    """Return an address without some fields of its query."""
    parts = urlsplit(address)
    kept = [(name, value) for name, value in fields_of(address).items(multi=True) if name not in names]
    return f"{parts.path}?{urlencode(kept)}" if kept else parts.path


def fields_of(address: str) -> MultiDict[str, str]:
    """Return the fields of an address's query."""
    # As `request.args` has them. A request context in a request would share its `g`, and end its unit of work and its idempotency key.
    return MultiDict(parse_qsl(urlsplit(iri_to_uri(address)).query, keep_blank_values=True, errors="replace"))


def is_own(address: str) -> bool:
    """Return whether an address is a path on this site, and nothing else."""
    try:
        parts = urlsplit(address)
    except ValueError:  # as of "//["
        return False
    if "\\" in address:  # browsers read it as a slash: "/\\host" is another site
        return False
    return address.startswith("/") and not address.startswith("//") and not parts.scheme and not parts.netloc and not parts.fragment
