"""Pages over HTTP, without a browser: what somebody is shown, and forms as a browser sends them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from tests.support.world import Client


def get(client: Client, path: str, **query: Any) -> Any:
    """A page; the answer is a werkzeug TestResponse."""
    return client._client.get(path, headers=client.headers | {"Accept": "text/html"}, query_string=query)


def send(client: Client, path: str, **fields: Any) -> Any:
    """A form, with the session's token. A list is sent as many fields of one name, (file, name) as a file."""
    headers = {"Cookie": client.headers["Cookie"], "Accept": "text/html"}
    return client._client.post(path, headers=headers, data={"csrf_token": client.headers["X-CSRF-Token"]} | fields)


def text(response: Any, status: int = 200) -> str:
    """The words of a page that was answered with this status, tags and runs of white space aside."""
    page = response.get_data(as_text=True)
    assert response.status_code == status, page
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def goes_to(response: Any) -> str:
    """Where a form that was accepted leads, without what was done."""
    assert response.status_code == 303, text(response, response.status_code)
    return str(response.headers["Location"]).partition("?")[0]
