"""Pages without a browser: what a server answers to somebody who is signed in."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from tests.support.world import World


class Visitor:
    """One person with a running session; `fresh` as in `World.client`. The language is English: the texts of the code."""

    def __init__(self, world: World, username: str, *, fresh: bool = True, language: str = "en") -> None:
        headers = world.client(username, fresh=fresh).headers
        self.csrf = headers["X-CSRF-Token"]
        self._headers = {"Cookie": f"{headers['Cookie']}; bahasa={language}", "Accept": "text/html"}
        self._client = world.app.test_client(use_cookies=False)

    def get(self, path: str, **query: str) -> Any:
        """The answer to a GET."""
        return self._client.get(path, query_string=query or None, headers=self._headers)

    def post(self, path: str, **fields: Any) -> Any:
        """The answer to a form; a field may have several values."""
        return self._client.post(path, data={"csrf_token": self.csrf} | fields, headers=self._headers)

    def text(self, path: str, **query: str) -> str:
        """What a page says, without its marks; it must be there."""
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return words(answer)


def words(answer: Any) -> str:
    """The words of a page, one space between them."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.get_data(as_text=True).partition("<main")[2]))


def one_id(world: World, statement: str, **values: Any) -> str:
    """The id an SQL text finds, as addresses have it, whichever database it comes from."""
    [(found,)] = world.sql(statement, **values)
    return str(UUID(str(found)))
