"""A player of the demonstration: signs in with password and one-time code, and calls the API over HTTP."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pyotp

from sifilma.kernel.clock import Clock
from sifilma.kernel.ids import uuid7

STEP = 30  # seconds that a one-time code lasts
API = "/api/v1"


class Refused(Exception):
    """The server refused something that the demonstration needs."""


class Someone:
    """The session of one account. `call` raises Refused for any status but the expected one."""

    def __init__(self, url: str, entry: dict[str, Any], clock: Clock) -> None:
        self.entry = entry
        self._clock = clock
        self._http = httpx.Client(base_url=url, timeout=30, headers={"User-Agent": "sifilma-demo"})
        self._csrf = ""

    @property
    def name(self) -> str:
        """Return the user name."""
        return str(self.entry["username"])

    def sign_in(self) -> None:
        """Sign in with the password and a code that was not used before: of the previous step, the present one, or the next one.

        A second play within 30 seconds finds the present code used, and waits for the next.
        """
        for wait in (False, True):
            if wait:
                time.sleep(STEP - self._clock.now().timestamp() % STEP + 1)
            if self._try_steps():
                return
        raise Refused(f"{self.name} could not sign in: no unused one-time code was accepted")

    def _try_steps(self) -> bool:
        self.call("POST", "/session", json={"username": self.name, "password": self.entry["password"]})
        totp = pyotp.TOTP(self.entry["totp_secret"])
        now = int(self._clock.now().timestamp())
        for moment in (now - STEP, now):
            answer = self._http.post(f"{API}/session/otp", json={"code": totp.at(moment)})
            if answer.status_code == httpx.codes.OK:
                self._csrf = answer.json()["csrf"]
                return True
        return False

    def call(self, method: str, path: str, expect: int | None = None, **more: Any) -> Any:
        """Call the API and return the JSON of the answer, or the bytes of a file."""
        headers = {"X-CSRF-Token": self._csrf} if self._csrf else {}
        if method == "POST" and not path.startswith("/session"):
            # Sessions take no key: their answers are never stored (docs/api.md).
            headers["Idempotency-Key"] = str(uuid7())
        answer = self._http.request(method, API + path, headers=headers, **more)
        wrong = answer.status_code != expect if expect else not answer.is_success
        if wrong:
            raise Refused(f"{self.name}: {method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content

    def post(self, path: str, body: Any = None, expect: int | None = None) -> Any:
        """Send a POST with JSON."""
        return self.call("POST", path, expect, json=body if body is not None else {})

    def get(self, path: str, **query: Any) -> Any:
        """Send a GET."""
        return self.call("GET", path, params=query)

    def send(self, path: str, request: dict[str, Any], expect: int | None = None, part: str = "request", **files: Any) -> Any:
        """Send a POST with a multipart form: the JSON part, and files as (name, bytes, type) or lists of them."""
        parts: list[tuple[str, Any]] = []
        for name, file in files.items():
            parts += [(name, one) for one in (file if isinstance(file, list) else [file])]
        return self.call("POST", path, expect, data={part: json.dumps(request)}, files=parts)


class Machine:
    """An organisation's machine, which calls with an API key."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {key}"})

    def post(self, path: str, body: Any, expect: int) -> httpx.Response:
        """Send a POST with JSON. Raise Refused for another status than the expected one."""
        answer = self._http.post(API + path, json=body)
        if answer.status_code != expect:
            raise Refused(f"machine: POST {path} answered {answer.status_code}: {answer.text}")
        return answer


def load(url: str, path: Path, clock: Clock) -> dict[str, Someone]:
    """Return the people of the list by user name, not yet signed in. Raise Refused if there is no list."""
    try:
        entries = json.loads(path.read_text())
    except OSError as missing:
        raise Refused(f"{path} is not there: start the server with `make run` first") from missing
    return {entry["username"]: Someone(url, entry, clock) for entry in entries}
