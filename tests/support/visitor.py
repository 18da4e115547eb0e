"""Pages over HTTP without a browser: somebody who keeps cookies, fills in forms and reads."""

from __future__ import annotations

import re
from typing import Any

from markupsafe import Markup
from werkzeug.test import TestResponse

from tests.support.world import World


class Visitor:
    """Somebody before the pages, signed in or not. What they see last is `seen`."""

    def __init__(self, world: World, user: str = "", *, fresh: bool = True, language: str = "") -> None:
        self.world = world
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
        """The session's cookie."""
        found = self.client.get_cookie("sifilma_session")
        return found.value if found is not None else ""

    def get(self, path: str, **more: Any) -> TestResponse:
        """Look at a page."""
        return self._answer("GET", path, **more)

    def send(self, path: str, **fields: Any) -> TestResponse:
        """Send a form (a file as `(stream, name)`), with the session's token."""
        return self._answer("POST", path, data={"csrf_token": self.csrf} | fields)

    def _answer(self, method: str, path: str, **more: Any) -> TestResponse:
        headers = {"Accept": "text/html"} | more.pop("headers", {})
        response = self.client.open(path, method=method, headers=headers, buffered=True, **more)
        is_text = (response.mimetype or "").startswith("text/")
        self.seen = words(response.get_data(as_text=True)) if is_text else ""
        return response


def words(html: str) -> str:
    """What is read on a page: without its tags."""
    return " ".join(Markup(re.sub(r"<[^>]*>", " ", html)).unescape().split())


def value_of(response: TestResponse, name: str) -> str:
    """What stands in a field of a page; empty if the field is empty or not there."""
    found = re.search(rf'<(?:input|textarea)[^>]*\bname="{name}"[^>]*>', response.get_data(as_text=True))
    inside = re.search(r'\bvalue="([^"]*)"', found[0]) if found else None
    return str(Markup(inside[1]).unescape()) if inside else ""
