"""Runs schemathesis over the OpenAPI document against the WSGI application in this process; sends each generated call as every role."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from werkzeug.wsgi import ClosingIterator

from tests.support.world import API, Client, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CHECKS: list[Any] = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
POISONS = ("\x00", "\ud800", "\u202e", "😀" * 50, "%00")
ENOUGH = 2
"""After so many refusals with 401 or 403, a role does not call the same operation again."""


@dataclass
class Fuzz:
    """One run over a document.

    `roles` makes a client by role name, `keys` returns existing keys for the parameter of a path, `examples` is the number of generated
    calls for each operation. `share` spares time: every role sends the first call, the simplest that is valid, then one of so many roles
    sends a call, and others the next. `faults` holds one text for each kind of fault, `calls` the number of calls that were sent.
    """

    world: World
    roles: dict[str, Callable[[], Client]]
    keys: Callable[[str], list[str]]
    examples: int
    share: int = 1
    faults: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    _forbidden: Counter[tuple[str, str]] = field(default_factory=Counter)
    _clients: dict[str, Client] = field(default_factory=dict)

    def run(self, *, poisoned: bool = False, only: str = "") -> list[str]:
        """Call every operation of the document whose path begins with `only`; return the faults as sentences."""
        for operation in self._operations():
            if operation.path.startswith(API + only):
                self._fuzz(operation, poisoned)
        return [f"{what}: {text}" for what, text in sorted(self.faults.items())]

    def _operations(self) -> Iterator[Any]:
        generation = GenerationConfig(with_security_parameters=False)
        config = SchemathesisConfig(seed=1, projects=ProjectsConfig(default=ProjectConfig(generation=generation)))
        schema = schemathesis.openapi.from_wsgi(f"{API}/openapi.json", _whole(self.world.app), config=config)
        found: Any
        for found in schema.get_all_operations():
            yield found.ok()

    def _fuzz(self, operation: Any, poisoned: bool) -> None:
        cases = operation.as_strategy(GenerationMode.POSITIVE)
        if not poisoned:
            cases = st.one_of(cases, operation.as_strategy(GenerationMode.NEGATIVE))

        number = count()

        @settings(
            max_examples=self.examples,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases, pick=st.integers(0, 30), poison=st.sampled_from(POISONS))
        def each(case: Any, pick: int, poison: str) -> None:
            self._aim(case, pick)
            if poisoned:
                _poison(case, pick, poison)
            for role in self._who(operation, next(number)):
                self._call(case, role)

        each()

    def _who(self, operation: Any, number: int) -> Iterable[str]:
        """Return the roles that send the call of this number; one caller is enough for a public operation."""
        is_open = not operation.definition.raw.get("security") or operation.path.endswith(("/session", "/session/otp"))
        if is_open and operation.method != "delete":
            return ("anonymous",)
        return list(self.roles)[number % self.share :: self.share] if number else self.roles

    def _aim(self, case: Any, pick: int) -> None:
        """Put an existing key into the path of two calls of three, and of the first."""
        keys = self.keys(case.operation.path) if case.path_parameters and (pick + 1) % 3 else []
        if keys:
            name = re.findall(r"{(\w+)}", case.operation.path)[0]
            case.path_parameters = dict(case.path_parameters) | {name: keys[pick % len(keys)]}

    def _call(self, case: Any, role: str) -> None:
        if self._forbidden[case.operation.label, role] >= ENOUGH:
            return
        client = self._clients.get(role) or self._clients.setdefault(role, self.roles[role]())
        headers = dict(client.headers)
        cookies = dict([headers.pop("Cookie").split("=", 1)]) if "Cookie" in headers else {}
        self.calls += 1
        response = case.call(headers=headers, cookies=cookies)
        try:
            case.validate_response(response, checks=CHECKS)
        except (Failure, FailureGroup) as failure:
            for one in failure.exceptions if isinstance(failure, FailureGroup) else [failure]:
                told = f"as {role}: {response.status_code} {response.content[:200]!r} … {str(one)[:300]}"
                self.faults.setdefault(f"{case.operation.label}: {type(one).__name__} {response.status_code}", told)
        if response.status_code in (401, 403):  # the server refused the caller before it read the call
            self._forbidden[case.operation.label, role] += 1
        if response.status_code == 401 or (case.method == "DELETE" and response.status_code == 204):
            self._clients.pop(role)  # the session has been ended


def _whole(app: WSGIApplication) -> WSGIApplication:
    """Return the application with each answer read to its end and each body closed: werkzeug's client leaves a large form's file open."""

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with closing(environ["wsgi.input"]), closing(ClosingIterator(app(environ, start_response))) as answer:
            return [b"".join(answer)]

    return call


def _poison(case: Any, pick: int, poison: str) -> None:
    """Insert the poison into one of the texts of the call."""
    places = [*_leaves(case.query), *_leaves(case.body), *_leaves(case.path_parameters)]
    if poison == "\ud800":  # only JSON can express a lone surrogate
        places = list(_leaves(case.body)) if case.media_type == "application/json" else []
    if places:
        holder, key = places[pick % len(places)]
        holder[key] = holder[key] + poison


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        if isinstance(inner, str):
            yield value, key
        else:
            yield from _leaves(inner)
