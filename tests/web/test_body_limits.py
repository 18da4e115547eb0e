"""A body is limited by its kind before it is parsed: bytes of JSON by route, and its nesting."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress
from typing import cast

import pytest
from werkzeug.exceptions import HTTPException

from sifilma.web.application import Application, Received
from sifilma.web.body_limits import LIST, MAX_DEPTH, MAX_PARTS, SMALL, too_deep
from tests.support.world import World, done


@pytest.mark.parametrize(
    "body",
    [b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH, b'["[[[{{{\\"]"]', b"", b"{not json", b"]["],
)
def test_json_within_the_nesting_is_taken(body: bytes) -> None:
    assert not too_deep(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":[' * 11 + b"]}" * 11,
        b"[" * 1_000_000,
        b'[[[[[[[[[[[[[[[[[[[[[["' + b'\\"' * 2_000_000,
        b"[" + b"[]," * MAX_PARTS + b"[]]",
    ],
    ids=["one level more", "mixed", "never closed", "a text without end", "too many"],
)
def test_json_nested_more_deeply_or_of_more_parts_is_not(body: bytes) -> None:
    began = time.process_time()
    assert too_deep(body)
    assert time.process_time() - began < 1


def test_a_route_takes_small_json_unless_it_takes_lists(sqlite_world: World) -> None:
    client = sqlite_world.app.test_client()
    big = b'{"username": "x", "password": "' + b"x" * SMALL + b'"}'
    refused = client.post("/api/v1/session", data=big, content_type="application/json")
    assert done(refused, 413)["type"] == "urn:sifilma:problem:too-large"
    head = sqlite_world.client("magetan.kepala")
    listed = head.call("POST", "/units", data=b'[{"hardware_number": "' + b"x" * SMALL + b'"}]', content_type="application/json")
    assert listed.status_code == 422
    more = head.call("POST", "/units", data=b" " * (LIST + 1), content_type="application/json")
    assert more.status_code == 413


def test_a_stranger_s_megabytes_of_json_cost_no_memory(sqlite_world: World) -> None:
    client, body = sqlite_world.app.test_client(), b"[" + b"[]," * 1_300_000 + b"[]]"
    client.post("/api/v1/session", data=b"[]", content_type="application/json")
    tracemalloc.start()
    try:
        refused = client.post("/api/v1/session", data=body, content_type="application/vnd.x+json")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.status_code == 413
    assert peak < 20 * 1024 * 1024


def test_json_nested_too_deeply_is_refused_in_words(sqlite_world: World) -> None:
    body = b'{"username":' + b"[" * 30 + b"]" * 30 + b"}"
    refused = sqlite_world.app.test_client().post("/api/v1/session", data=body, content_type="application/json")
    assert done(refused, 422)["errors"] == [{"field": "body", "message": "This is nested too deeply."}]


def test_files_of_a_body_that_ends_too_early_are_closed() -> None:
    app = Application(__name__)
    boundary = "x" * 20
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="letter"; filename="a.pdf"\r\n\r\n'.encode() + bytes(600_000)
    with app.test_request_context("/", method="POST", data=part, content_type=f"multipart/form-data; boundary={boundary}") as opened:
        received = cast(Received, opened.request)
        with suppress(HTTPException):
            received.files  # noqa: B018  # reading it is what opens the file
        [stream] = received.__dict__["streams"]
        assert not stream.closed
    assert stream.closed
