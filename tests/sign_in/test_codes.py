"""A one-time code counts once; sessions end when they must."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pyotp

from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import PASSWORD, Client, World, done

NAME = "magetan.staf"


def password_step(world: World, name: str = NAME, password: str = PASSWORD) -> Client:
    """Return a client that has given its password but not yet a code."""
    response = world.anonymous().post("/session", {"username": name, "password": password})
    done(response)
    return Client(world, {"Cookie": response.headers["Set-Cookie"].partition(";")[0]})


def signed_in(world: World, response: Any) -> Client:
    cookie = response.headers["Set-Cookie"].partition(";")[0]
    return Client(world, {"Cookie": cookie, "X-CSRF-Token": done(response)["csrf"]})


def test_fifty_simultaneous_sign_ins_with_one_code_succeed_once(world: World) -> None:
    clients = [password_step(world) for _ in range(50)]
    code = {"code": world.code(NAME)}
    answers = run_simultaneously([partial(client.post, "/session/otp", code) for client in clients])
    counts = Counter(answer.status_code for answer in answers)
    assert counts[200] == 1
    assert set(counts) <= {200, 401, 429}  # the others are refused or, after too many failures, throttled
    assert sum(counts.values()) == 50


def test_a_code_is_accepted_once_and_the_previous_step_only_if_unused(world: World) -> None:
    code = world.code(NAME)
    done(password_step(world).post("/session/otp", {"code": code}))
    assert password_step(world).post("/session/otp", {"code": code}).status_code == 401
    world.clock.advance(seconds=60)
    previous = pyotp.TOTP(world.seeds[NAME]).at(world.clock.now() - timedelta(seconds=30))
    older = pyotp.TOTP(world.seeds[NAME]).at(world.clock.now() - timedelta(seconds=90))
    assert password_step(world).post("/session/otp", {"code": older}).status_code == 401
    done(password_step(world).post("/session/otp", {"code": previous}))
    done(password_step(world).post("/session/otp", {"code": world.code(NAME)}))
    assert password_step(world).post("/session/otp", {"code": previous}).status_code == 401  # a newer code was used


def test_unknown_users_and_wrong_passwords_get_the_same_answer(world: World) -> None:
    answers = [
        world.anonymous().post("/session", {"username": name, "password": "salah sekali ya"})
        for name in (NAME, "tidak.ada", "admin' OR 1=1--")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({(answer.json["type"], answer.json["detail"]) for answer in answers}) == 1


def test_guesses_are_throttled_by_counts_in_the_database(world: World) -> None:
    wrong = {"username": NAME, "password": "salah sekali ya"}
    codes = [world.anonymous().post("/session", wrong).status_code for _ in range(6)]
    assert codes == [401, 401, 401, 401, 401, 429]
    refused = world.anonymous().post("/session", {"username": NAME, "password": PASSWORD})
    assert refused.status_code == 429
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'session.throttled'") == [
        (1,)
    ]  # recorded once, at the first refusal of the window
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    world.clock.advance(seconds=61)
    client = password_step(world)
    done(client.post("/session/otp", {"code": world.code(NAME)}))
    assert world.sql("SELECT COUNT(*) FROM throttle WHERE subject LIKE 'password:magetan%'")[0][0] == 0  # the window has ended


def test_five_wrong_codes_end_the_challenge(world: World) -> None:
    client = password_step(world)
    for _ in range(5):
        assert client.post("/session/otp", {"code": "000000"}).status_code == 401
    refused = client.post("/session/otp", {"code": world.code(NAME)})
    assert (refused.status_code, refused.json["type"]) == (401, "urn:sifilma:problem:challenge-lapsed")


def test_a_challenge_expires_after_five_minutes(world: World) -> None:
    client = password_step(world)
    world.clock.advance(minutes=5, seconds=1)
    assert client.post("/session/otp", {"code": world.code(NAME)}).json["type"].endswith("challenge-lapsed")


def test_the_cookie_changes_at_every_authentication_and_ends_at_sign_out(world: World) -> None:
    half = password_step(world)
    assert half.get("/me").status_code == 401  # a password alone gives no session
    whole = signed_in(world, half.post("/session/otp", {"code": world.code(NAME)}))
    assert half.get("/me").status_code == 401
    assert done(whole.get("/me"))["username"] == NAME
    world.clock.advance(seconds=30)
    stepped = whole.post("/session/step-up", {"code": world.code(NAME)})
    assert stepped.status_code == 204
    assert whole.get("/me").status_code == 401
    after = Client(world, whole.headers | {"Cookie": stepped.headers["Set-Cookie"].partition(";")[0]})
    done(after.get("/me"))
    assert after.call("DELETE", "/session").status_code == 204
    assert after.get("/me").status_code == 401  # the old cookie, sent again, is refused


def test_a_session_ends_when_idle_and_after_its_whole_life(world: World) -> None:
    client = world.client(NAME)
    world.clock.advance(minutes=31)
    assert client.get("/me").status_code == 401
    client = world.client(NAME)
    for _ in range(12 * 3):
        world.clock.advance(minutes=20)
        client.get("/me")
    world.clock.advance(minutes=1)
    assert client.get("/me").status_code == 401


def test_an_unsafe_call_needs_the_csrf_token_of_the_session(world: World) -> None:
    client = world.client("magetan.kepala")
    unit = {"hardware_number": "A-1", "model": "LEN-CRD-1", "function": "R"}
    for headers in ({"X-CSRF-Token": ""}, {"X-CSRF-Token": "wrong"}, {"Sec-Fetch-Site": "cross-site"}):
        refused = client.call("POST", "/units", json=unit, headers=headers)
        assert (refused.status_code, refused.json["type"]) == (403, "urn:sifilma:problem:csrf")
    done(client.post("/units", unit), 201)
    done(world.machine("BANK MANDIRI").post("/units", unit), 201)  # an API key needs no CSRF token: no browser sends it by itself


def test_disabling_and_role_changes_count_from_the_next_request(world: World) -> None:
    staff, head = world.client(NAME), world.client("magetan.kepala")
    done(staff.get("/me"))
    done(head.post(f"/users/{world.users[NAME]}/changes", {"change": "disable"}))
    assert staff.get("/me").status_code == 401
    assert world.anonymous().post("/session", {"username": NAME, "password": PASSWORD}).status_code == 401
    done(head.post(f"/users/{world.users[NAME]}/changes", {"change": "enable"}))
    staff = world.client(NAME)
    done(head.post(f"/users/{world.users[NAME]}/changes", {"change": "roles", "roles": ["head"]}))
    assert staff.get("/me").status_code == 401
    assert world.client("bangli.kepala").post(f"/users/{world.users[NAME]}/changes", {"change": "disable"}).status_code == 404


def test_an_api_key_is_shown_once_stored_as_a_hash_and_revoked_at_once(world: World) -> None:
    head = world.client("mandiri.kepala")
    made = done(head.post("/api-keys", {"name": "mesin aktivasi"}), 201)
    machine = Client(world, {"Authorization": f"Bearer {made['key']}"})
    assert done(machine.get("/me"))["organisation"]["name"] == "BANK MANDIRI"
    assert made["key"] not in str(done(head.get("/api-keys")))
    assert world.sql("SELECT COUNT(*) FROM api_key WHERE key_hash = :k", k=made["key"])[0][0] == 0
    done(head.call("DELETE", f"/api-keys/{made['id']}"))
    assert machine.get("/me").status_code == 401


def test_a_denial_is_recorded_without_secrets(world: World) -> None:
    assert world.client("auditor1").post("/units", {"hardware_number": "A-1", "model": "LEN-CRD-1", "function": "R"}).status_code == 403
    assert world.client("bangli.kepala").get("/cards/30154B0100000001").status_code == 404
    rows = world.sql("SELECT action, CAST(data AS text) FROM audit_entry WHERE action LIKE 'access.%' ORDER BY id")
    assert [row[0] for row in rows] == ["access.denied", "access.not_found"]
    assert "A-1" not in rows[0][1]


def test_guesses_from_many_ipv6_addresses_of_one_network_are_throttled(sqlite_world: World) -> None:
    client = sqlite_world.app.test_client()
    body = {"username": NAME, "password": "salah sekali"}
    answers = [client.post("/api/v1/session", json=body, environ_base={"REMOTE_ADDR": f"2001:db8::{n:x}"}) for n in range(8)]
    assert {answer.status_code for answer in answers} == {401, 429}
    elsewhere = client.post("/api/v1/session", json=body, environ_base={"REMOTE_ADDR": "2001:db8:0:1::1"})
    assert elsewhere.status_code == 401


def test_ipv4_clients_of_an_ipv6_socket_do_not_share_one_bucket(sqlite_world: World) -> None:
    client = sqlite_world.app.test_client()

    def from_(address: str) -> int:
        body = {"username": NAME, "password": "salah sekali"}
        return client.post("/api/v1/session", json=body, environ_base={"REMOTE_ADDR": address}).status_code

    assert [from_("::ffff:198.51.100.1") for _ in range(6)] == [401] * 5 + [429]
    assert from_("198.51.100.1") == 429  # one client, however its address is spelled
    assert [from_(f"{prefix}198.51.100.2") for prefix in ("::ffff:", "64:ff9b::")] == [401, 401]
    recorded = sqlite_world.sql("SELECT DISTINCT ip FROM audit_entry WHERE action LIKE 'session.%' ORDER BY ip")
    assert recorded == [("198.51.100.1",), ("198.51.100.2",)]


def test_an_authorization_header_of_another_scheme_leaves_a_cookie_valid(world: World) -> None:
    head = world.client("magetan.kepala")
    for foreign in ("Basic dXNlcjpwYXNz", "Negotiate abc", "Bearerx y", ""):
        assert head.call("GET", "/me", headers={"Authorization": foreign}).status_code == 200
    posted = head.call("POST", "/api-keys", json={"name": "x"}, headers={"Authorization": "Basic dXNlcjpwYXNz", "X-CSRF-Token": ""})
    assert posted.status_code == 403  # still a cookie: the CSRF token is needed
    for ours in ("Bearer", "Bearer wrong", "bearer wrong"):
        assert head.call("GET", "/me", headers={"Authorization": ours}).status_code == 401
    key = world.machine("BANK MANDIRI").headers["Authorization"].partition(" ")[2]
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
        assert head.call("GET", "/me", headers={"Authorization": f"{scheme} {key}"}).json["organisation"]["name"] == "BANK MANDIRI"
