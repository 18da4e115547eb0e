"""A client of a node whose processes are killed: it sends every act until it is answered, with one idempotency key, and keeps a journal."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from tests.support.world import API, World

PATIENCE = 180.0
"""Seconds within which every act must be answered, whatever is killed meanwhile. On a busy machine a node takes long to start."""
AGAIN = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY, HTTPStatus.TOO_MANY_REQUESTS)
HANG_UP = 0.05
"""How often a client closes the connection before it has read the answer: kills alone seldom fall between a commit and its answer."""
IN_FLIGHT = "urn:sifilma:problem:idempotency-in-flight"


class Refused(Exception):
    """An act was refused that the client may do, or was never answered."""


@dataclass(frozen=True)
class Done:
    """An acknowledged act: its action in the record of acts, its object (a card's UID, else an id), and the key it was sent with."""

    action: str
    thing: str
    key: str


@dataclass(frozen=True)
class Request:
    """What is sent, and by whom."""

    who: str
    method: str
    path: str
    body: bytes | None = None
    media_type: str = "application/json"
    accept: str = "application/json"

    def __str__(self) -> str:
        return f"{self.who}: {self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """An answer; the names of its headers in lower case."""

    status: int
    body: Any
    headers: dict[str, str]


class Client:
    """One of the clients. `chance` decides what it does; a client of the same seed does the same."""

    def __init__(self, world: World, port: int, chance: random.Random, keys: dict[str, str]) -> None:
        self.world, self.port, self.chance = world, port, chance
        self._keys = keys
        self._temper = random.Random(chance.getrandbits(64))  # of its own: how often something is sent depends on the kills
        self._sessions: dict[str, dict[str, str]] = {}
        self.acts: list[Done] = []
        self.cards: dict[str, str] = {}
        self.files: dict[str, str] = {}  # cards that a file activates, by UID: the id of its job
        self.again = self.replayed = 0
        self._key = self._last = ""

    # --- who asks ----------------------------------------------------------------------------------------------------

    def sign_in_anew(self) -> None:
        """Forget the sessions, so that the next requests have a fresh one-time code."""
        self._sessions.clear()

    def session(self, user: str) -> dict[str, str]:
        """Return the cookie and the CSRF token of a user."""
        if user not in self._sessions:
            with SIGN_IN:
                self.world.clock.set(datetime.now(UTC))
                self._sessions[user] = self.world.client(user).headers
        return self._sessions[user]

    # --- requests ----------------------------------------------------------------------------------------------------

    def post(self, who: str, path: str, body: Any = None) -> Any:
        """Send JSON to the API as a user, or with the API key of an office; return the JSON of the answer."""
        sent = json.dumps(body if body is not None else {}).encode()
        return self._until_answered(Request(who, "POST", API + path, sent), self._new_key())

    def send(self, who: str, path: str, stated: dict[str, Any], part: str = "request", **files: tuple[str, bytes]) -> Any:
        """Send a multipart form to the API; return the JSON of the answer."""
        parts: dict[str, tuple[str | None, bytes]] = {part: (None, json.dumps(stated).encode())} if stated else {}
        return self._until_answered(Request(who, "POST", API + path, *multipart(parts | files)), self._new_key())

    def get(self, who: str, path: str) -> Any:
        """Read something of the API."""
        return self._until_answered(Request(who, "GET", API + path), "")

    def form(self, user: str, path: str, is_done: Callable[[], bool]) -> None:
        """Send a form of a page, which takes no key: after a call without a clear answer `is_done` decides whether it is sent again."""
        self._key = ""
        sent = urlencode({"csrf_token": self.session(user)["X-CSRF-Token"], "sure": "yes"}).encode()
        request = Request(user, "POST", path, sent, "application/x-www-form-urlencoded", "text/html")
        for again in self._tries(request):
            if again and is_done():
                return
            answer = self._once(request, "")
            if answer is not None:
                self._require_done(request, answer)
                return

    def _new_key(self) -> str:
        self._key = str(UUID(int=self.chance.getrandbits(128)))
        return self._key

    def _until_answered(self, request: Request, key: str) -> Any:
        """Send a request until it is answered by anything but an outage; return the body. Raise Refused for a refusal."""
        for _ in self._tries(request):
            answer = self._once(request, key)
            if answer is not None:
                self.replayed += "idempotency-replayed" in answer.headers
                self._require_done(request, answer)
                return answer.body
        raise AssertionError("unreachable")

    def _tries(self, request: Request) -> Iterator[int]:
        """Count the tries, with a pause between them. Raise Refused after PATIENCE seconds."""
        until, number = time.monotonic() + PATIENCE, 0
        while time.monotonic() < until:
            yield number
            number += 1
            self.again += 1
            time.sleep(min(0.5, 0.02 * 2**number))
        raise Refused(f"{request}: not answered within {PATIENCE:.0f} s, last: {self._last}")

    def _require_done(self, request: Request, answer: Answer) -> None:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(f"{request}: answered {answer.status} {str(answer.body)[:500]} (before: {self._last})")

    def _once(self, request: Request, key: str) -> Answer | None:
        """Send a request once. Return None if there was no answer, or one that says: not now."""
        own = {"Authorization": self._keys[request.who]} if request.who in self._keys else self.session(request.who)
        headers = {"Content-Type": request.media_type, "Accept": request.accept} | own | ({"Idempotency-Key": key} if key else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(request.method, request.path, request.body, headers)
            if key and self._temper.random() < HANG_UP:
                self._last = "hung up"
                return None
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as broken:
            self._last = repr(broken)
            return None
        finally:
            connection.close()
        is_json = "json" in (answer.headers.get_content_type() or "")
        named = {name.lower(): value for name, value in answer.headers.items()}
        found = Answer(answer.status, json.loads(data) if is_json else data, named)
        if not _is_outage(found):
            return found
        self._last = f"{found.status} {str(found.body)[:300]}"
        if not data:
            raise Refused(f"{request}: answered {answer.status} without a body")
        return None

    # --- journal -----------------------------------------------------------------------------------------------------

    def act(self, action: str, thing: str, who: str, path: str, body: Any = None) -> Any:
        """Send JSON, and note the act on this object; return the JSON of the answer."""
        answer = self.post(who, path, body)
        self.note(action, thing)
        return answer

    def note(self, action: str, thing: str) -> None:
        """Note that the request sent last was acknowledged, and which act on which object it was."""
        self.acts.append(Done(action, thing, self._key))


SIGN_IN = threading.Lock()
"""Sessions are made in this process, whose clock all clients share."""


def _is_outage(answer: Answer) -> bool:
    """Return whether the same request may be answered differently in a moment."""
    if answer.status == HTTPStatus.CONFLICT and isinstance(answer.body, dict):
        return answer.body.get("type") == IN_FLIGHT
    return answer.status in AGAIN


def multipart(parts: dict[str, tuple[str | None, bytes]]) -> tuple[bytes, str]:
    """Return body and media type of a multipart form; a part without file name is a field."""
    boundary = "chaos-7f3a9c"
    lines = b""
    for name, (filename, data) in parts.items():
        named = f'; filename="{filename}"' if filename else ""
        lines += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + data + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
