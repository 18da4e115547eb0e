"""What all API routes share: the OpenAPI document, operations, problems, paging, idempotency, scope."""

from __future__ import annotations

import io
import json
import re
from functools import partial

import pytest
from openapi_spec_validator import validate

from sifilma.app.factory import create_app
from sifilma.web.operations import policy_of
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World, done, letter

SERVES_FILES = {"web.static"}


def unnamed(world: World) -> set[str]:
    """Return the routes that name no operation."""
    return {endpoint for endpoint, view in world.app.view_functions.items() if policy_of(view) is None} - SERVES_FILES


def test_the_document_is_valid_openapi_3_1_and_holds_every_route(sqlite_world: World) -> None:
    document = done(sqlite_world.anonymous().get("/openapi.json"))
    assert document["openapi"].startswith("3.1")
    validate(document)
    routes = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in sqlite_world.app.url_map.iter_rules() if rule.rule.startswith("/api/v1")
    }
    assert routes - set(document["paths"]) == {"/api/v1/openapi.json", "/api/v1/docs"}
    assert sqlite_world.anonymous().get("/docs").status_code == 200


def test_the_document_names_the_cookie_this_installation_gives(sqlite_world: World) -> None:
    for https, name in ((False, "sifilma_session"), (True, "__Host-sifilma_session")):
        app = create_app(sqlite_world.settings.model_copy(update={"https": https}), hsm=sqlite_world.hsm)
        document = done(app.test_client().get("/api/v1/openapi.json"))
        assert document["components"]["securitySchemes"]["session"]["name"] == name


def test_every_route_names_its_operation_and_a_route_without_one_is_refused(sqlite_world: World) -> None:
    assert unnamed(sqlite_world) == set()
    sqlite_world.app.view_functions["planted"] = lambda: "hello"
    sqlite_world.app.url_map.add(sqlite_world.app.url_rule_class("/api/v1/planted", endpoint="planted"))
    assert unnamed(sqlite_world) == {"planted"}
    assert sqlite_world.client("admin1").get("/planted").status_code == 403


def test_a_problem_names_the_field_and_contains_no_secret(sqlite_world: World) -> None:
    refused = sqlite_world.anonymous().post("/session", {"username": "x", "password": "rahasia-sekali", "extra": "rahasia-sekali"})
    assert refused.content_type == "application/problem+json"
    assert refused.json["type"] == "urn:sifilma:problem:invalid"
    assert refused.json["errors"][0]["field"] == "extra"
    assert "rahasia" not in refused.get_data(as_text=True)
    assert sqlite_world.anonymous().get("/nowhere").json["status"] == 404
    assert sqlite_world.anonymous().get("/cards").json["type"].endswith("unauthenticated")
    too_much = sqlite_world.client("magetan.kepala").call("POST", "/units", data=b"[" * (23 * 1024 * 1024), content_type="application/json")
    assert too_much.status_code == 413
    assert refused.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert refused.headers["X-Request-Id"] == refused.json["request_id"]


def test_a_malformed_request_is_refused_with_the_name_of_its_fault(sqlite_world: World) -> None:
    office = sqlite_world.client("magetan.kepala")
    assert office.post("/units", []).status_code == 422
    text = {"data": {"request": json.dumps(sqlite_world.letter() | {"function": "R", "quantity": 1}), "letter": "no file"}}
    refused = office.call("POST", "/personalisation-requests", content_type="multipart/form-data", **text)
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "letter")


UNFIT = {"NUL": "a\x00b", "a lone surrogate": "a\ud800b", "a control": "a\x1bb", "a direction": "a\u202eb"}


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT)
def test_texts_that_no_database_can_store_are_refused_everywhere(world: World, text: str) -> None:
    office, wrong = world.client("magetan.kepala"), json.dumps(text)[1:-1]
    unit = {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R", "sam_perso": text}
    request = world.letter() | {"function": "R", "quantity": 1, "notes": text}
    for answer in (
        office.post("/units", unit),
        office.post("/units", unit | {"sam_perso": "", "public_jwk": {"kty": "EC", text: 1}}),
        office.post("/api-keys", {"name": text}),
        office.send("/personalisation-requests", request, letter=letter()),
        office.call("POST", "/personalisation-requests", **_with_json_file(request)),
        world.anonymous().post("/session", {"username": text, "password": text}),
        office.call("POST", "/units", data=f'{{"model": "{wrong}"', content_type="application/json"),
    ):
        assert answer.status_code == 422, answer.get_data()
    assert office.get("/audit", object="a\x00b").status_code == 422
    assert office.get("/cards/a%00b").status_code == 422
    assert done(office.post("/api-keys", {"name": "mesin \u00e9 😀 \\u0000"}), 201)["name"] == "mesin é 😀 \\u0000"


@pytest.mark.parametrize("raw", [b"\xed\xa0\x80", b"\x7f", b"\xe2\x80\xae"], ids=["a lone surrogate", "DEL", "a direction"])
def test_texts_that_cannot_be_kept_are_refused_without_an_escape_too(sqlite_world: World, raw: bytes) -> None:
    office = sqlite_world.client("magetan.kepala")
    answer = office.call("POST", "/api-keys", data=b'{"name": "mesin ' + raw + b'"}', content_type="application/json")
    assert answer.status_code == 422
    assert sqlite_world.sql("SELECT COUNT(*) FROM api_key")[0][0] == 0


def _with_json_file(request: dict[str, object]) -> dict[str, object]:
    part = (io.BytesIO(json.dumps(request).encode()), "request.json", "application/json")
    return {"data": {"request": part, "letter": (io.BytesIO(letter()), "surat.pdf")}, "content_type": "multipart/form-data"}


def test_deeply_nested_json_is_refused(sqlite_world: World) -> None:
    office = sqlite_world.client("magetan.kepala")
    for body in (b"[" * 200_000, b'{"a":' * 100_000, b'["\\u0041",' + b"[" * 200_000):
        assert office.call("POST", "/units", data=body, content_type="application/json").status_code == 422
    form = {"data": {"request": "[" * 200_000, "letter": (io.BytesIO(letter()), "surat.pdf")}, "content_type": "multipart/form-data"}
    assert office.call("POST", "/personalisation-requests", **form).status_code == 422


def test_an_idempotency_key_gives_the_same_answer_and_one_effect(world: World) -> None:
    client = world.client("magetan.kepala")
    unit = {"hardware_number": "A-1", "model": "LEN-CRD-1", "function": "R"}
    first = client.post("/units", unit, Idempotency_Key="k-1")
    again = client.post("/units", unit, Idempotency_Key="k-1")
    assert done(first, 201) == done(again, 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = client.post("/units", unit | {"hardware_number": "A-2"}, Idempotency_Key="k-1")
    assert (other.status_code, other.json["type"]) == (422, "urn:sifilma:problem:idempotency-key-reused")
    assert client.post("/units", unit, Idempotency_Key="k-2").status_code == 422  # refused: the number is taken
    done(client.post("/units", unit | {"hardware_number": "A-3"}, Idempotency_Key="k-2"), 201)  # the refused call released its key
    form = world.letter() | {"function": "R", "quantity": 1}
    made = [client.call("POST", "/personalisation-requests", **_multipart(form), headers={"Idempotency-Key": "k-3"}) for _ in range(2)]
    assert done(made[0], 201)["id"] == done(made[1], 201)["id"]
    for changed in (_multipart(form | {"quantity": 7}), _multipart(form, letter() + b"\n")):
        other = client.call("POST", "/personalisation-requests", **changed, headers={"Idempotency-Key": "k-3"})
        assert (other.status_code, other.json["type"]) == (422, "urn:sifilma:problem:idempotency-key-reused")
    answers = run_simultaneously([partial(client.post, "/units", unit | {"hardware_number": "A-9"}, Idempotency_Key="k-9")] * 8)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert world.sql("SELECT COUNT(*) FROM unit WHERE hardware_number = 'A-9'")[0][0] == 1


def _multipart(form: dict[str, object], file: bytes = b"") -> dict[str, object]:
    data = {"request": json.dumps(form), "letter": (io.BytesIO(file or letter()), "surat.pdf")}
    return {"data": data, "content_type": "multipart/form-data"}


def test_a_cursor_leads_to_the_next_page(sqlite_world: World) -> None:
    sqlite_world.units("magetan.kepala", 7)
    client, seen, cursor = sqlite_world.client("magetan.kepala"), [], None
    while True:
        page = done(client.get("/units", limit=3, **({"cursor": cursor} if cursor else {})))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert client.get("/units", cursor="strange").status_code == 422
    assert client.get("/units", limit=1000).status_code == 422


def test_an_object_outside_ones_scope_is_not_found(world: World) -> None:
    request = world.submitted("magetan.kepala", "R")["id"]
    path = f"/personalisation-requests/{request}"
    for name in ("magetan.kepala", "jatim.kepala", "operator1", "auditor1"):
        done(world.client(name).get(path))
    for name in ("bangli.kepala", "mandiri.kepala", "len.kepala"):
        assert world.client(name).get(path).status_code == 404, name
        assert request not in str(done(world.client("bangli.kepala").get("/personalisation-requests")))
    for method, route in (("POST", "/units"), ("POST", "/handovers"), ("POST", "/activations"), ("POST", f"{path}/approve")):
        assert world.client("auditor1").call(method, route, json={}).status_code == 403
    assert world.anonymous().get(path).status_code == 401


LISTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("/users", "id", {}),
    ("/api-keys", "id", {}),
    ("/models", "id", {}),
    ("/regions", "code", {}),
    ("/regions", "code", {"parent": "35.20"}),
)


@pytest.mark.parametrize(("path", "key", "of"), LISTS)
def test_every_list_can_be_read_page_by_page_to_its_end(world: World, path: str, key: str, of: dict[str, str]) -> None:
    head = world.client("magetan.kepala")
    for name in ("satu", "dua", "tiga"):
        done(head.post("/api-keys", {"name": f"mesin {name}"}), 201)
    whole = [item[key] for item in done(head.get(path, limit=200, **of))["items"]]
    walked: list[str] = []
    page = done(head.get(path, limit=2, **of))
    while page["next"]:
        assert len(page["items"]) == 2
        walked += [item[key] for item in page["items"]]
        page = done(head.get(path, limit=2, cursor=page["next"], **of))
    walked += [item[key] for item in page["items"]]
    assert walked == whole
    assert len(whole) >= 2
    assert head.get(path, cursor="?").status_code in (400, 422)
