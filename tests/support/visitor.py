"""A visitor of the pages over HTTP without a browser: keeps cookies, sends forms, reads the answers."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from uuid import UUID

from markupsafe import Markup
from werkzeug.test import TestResponse

from tests.support.world import World


class Visitor:
    """A visitor, signed in or not; `fresh` as in `World.client`. `seen` holds the words of the last answer."""

    def __init__(self, world: World, user: str = "", *, fresh: bool = True, language: str = "") -> None:
        self.client = world.app.test_client()
        self.csrf, self.seen = "", ""
        if user:
            headers = world.client(user, fresh=fresh).headers
            self.csrf = headers["X-CSRF-Token"]
            self.client.set_cookie("sifilma_session", headers["Cookie"].partition("=")[2])
        if language:
            self.client.set_cookie("bahasa", language)

    @property
    def cookie(self) -> str:
        """The value of the session cookie, empty without a session."""
        found = self.client.get_cookie("sifilma_session")
        return found.value if found is not None else ""

    def get(self, path: str, /, **query: str | list[str]) -> TestResponse:
        """Request a page."""
        return self._answer("GET", path, query_string=query or None)

    def send(self, path: str, /, **fields: Any) -> TestResponse:
        """Send a form with the CSRF token of the session. A list becomes many fields of one name, `(stream, name)` a file.

        Questions before acts that cannot be undone count as answered, unless `sure` is given as empty.
        """
        return self._answer("POST", path, data={"csrf_token": self.csrf, "sure": "yes"} | fields)

    def insist(self, path: str, /, **fields: Any) -> TestResponse:
        """Send a form that is asked about because of its warnings, and send it again as it is. It has no files."""
        asked = self.send(path, **fields)
        assert "confirmed_warnings" in asked.get_data(as_text=True), (asked.status_code, self.seen)
        return self.send(path, **fields, confirmed_warnings=value_of(asked, "confirmed_warnings"))

    def text(self, path: str, /, **query: str) -> str:
        """Request a page that must answer 200, and return its words."""
        return words(self.get(path, **query))

    def _answer(self, method: str, path: str, **more: Any) -> TestResponse:
        response = self.client.open(path, method=method, headers={"Accept": "text/html"}, buffered=True, **more)
        is_text = (response.mimetype or "").startswith("text/")
        self.seen = words(response, response.status_code) if is_text else ""
        return response


english = partial(Visitor, language="en")
"""Makes a visitor who reads English, the language of the texts in the code."""


def words(response: TestResponse, status: int = 200) -> str:
    """Return the words of an answer, which must have this status: without tags, one space between words."""
    read = " ".join(Markup(re.sub(r"<[^>]*>", " ", response.get_data(as_text=True))).unescape().split())
    assert response.status_code == status, read
    return read


def landed(response: TestResponse) -> str:
    """Return the redirect target of an accepted form, with the query that names what was done."""
    assert response.status_code == 303, words(response, response.status_code)
    return str(response.location)


def goes_to(response: TestResponse) -> str:
    """Return the redirect target of an accepted form, without its query."""
    return landed(response).partition("?")[0]


def value_of(response: TestResponse, name: str) -> str:
    """Return the value of a field of a page; empty if the field is empty or missing."""
    found = re.search(rf'<(?:input|textarea)[^>]*\bname="{name}"[^>]*>', response.get_data(as_text=True))
    inside = re.search(r'\bvalue="([^"]*)"', found[0]) if found else None
    return str(Markup(inside[1]).unescape()) if inside else ""


def one_id(world: World, statement: str, **values: Any) -> str:
    """Run SQL that selects one id, and return it as URLs write it, on either database."""
    [(found,)] = world.sql(statement, **values)
    return str(UUID(str(found)))
