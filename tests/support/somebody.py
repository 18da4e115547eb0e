"""Pages over HTTP without a browser: forms are sent as a browser sends them."""

from __future__ import annotations

import html
import io
import re
from typing import Any

from tests.support.world import World


class Pages:
    """Somebody with a running session, looking at pages."""

    def __init__(self, world: World, username: str, *, fresh: bool = True) -> None:
        given = world.client(username, fresh=fresh).headers
        self._csrf = given["X-CSRF-Token"]
        self._headers = {"Cookie": given["Cookie"], "Accept": "text/html"}
        self._client = world.app.test_client(use_cookies=False)

    def get(self, path: str, **query: str) -> Any:
        """One page; the answer is a werkzeug TestResponse (Any, as in `world.Client`)."""
        return self._client.get(path, headers=self._headers, query_string=query or None)

    def post(self, path: str, form: dict[str, Any], **files: list[tuple[str, bytes]]) -> Any:
        """A form; files by field, as (name, bytes)."""
        data: dict[str, Any] = {"csrf_token": self._csrf} | form
        for name, sent in files.items():
            data[name] = [(io.BytesIO(content), filename) for filename, content in sent]
        kind = "multipart/form-data" if files else "application/x-www-form-urlencoded"
        answer = self._client.post(path, headers=self._headers, data=data, content_type=kind)
        for cookie in answer.headers.getlist("Set-Cookie"):  # a one-time code gives the session a new one
            self._headers["Cookie"] = cookie.partition(";")[0]
        return answer


def words(response: Any, status: int = 200) -> str:
    """What a page says, without its tags, if it was answered with this status."""
    body = response.get_data(as_text=True)
    assert response.status_code == status, re.sub(r"<[^>]+>|\s+", " ", body)[:3000]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def landed(response: Any) -> str:
    """Where a form led to, if it was taken."""
    assert response.status_code == 303, words(response, response.status_code)[:2000]
    return str(response.headers["Location"])
