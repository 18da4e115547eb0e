"""Sent codes and recovery codes: bound to their sign-in, few tries, valid once, on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from sifilma.kernel.actor import Actor
from sifilma.kernel.errors import Conflict
from sifilma.notifications.delivery import deliver
from sifilma.sign_in import recovery_codes
from sifilma.sign_in.models import Passkey
from tests.notifications import receivers
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import PASSWORD, World, done

WHO = "magetan.kepala"


@pytest.fixture
def office(database_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation that sends codes by SMS, with a head who has a phone number."""
    with closing(World(database_url, tmp_path / "home", signing_token, root_token, code_channels=("sms",))) as world:
        world.change_account(WHO, phone="+628120000001")
        yield world


def challenge(world: World) -> dict[str, str]:
    """Return the cookie of a user whose password was accepted."""
    answer = world.app.test_client(use_cookies=False).post("/masuk", data={"username": WHO, "password": PASSWORD})
    assert answer.status_code == 303
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}


def post(world: World, path: str, headers: dict[str, str], **data: str) -> Any:
    return world.app.test_client(use_cookies=False).post(path, data=data, headers=headers)


def sent(world: World, cookie: dict[str, str]) -> str:
    """Ask for a code and return the code that reaches the phone."""
    assert post(world, "/masuk/kode/kirim", cookie, channel="sms").status_code == 303
    with receivers.gateway() as gateway:
        settings = world.settings.model_copy(update={"sms_webhook_url": f"http://127.0.0.1:{gateway.port}/"})
        assert deliver(world.context, settings) == 1
    found = re.search(r"\d{6}", gateway.items[0][1]["text"])
    assert found is not None
    return found[0]


def test_a_sent_code_signs_in_once(office: World) -> None:
    cookie = challenge(office)
    code = sent(office, cookie)
    assert post(office, "/masuk/kode", cookie, code=code).status_code == 303
    assert post(office, "/masuk/kode", challenge(office), code=code).status_code == 401


def test_a_sent_code_is_valid_only_for_its_own_sign_in(office: World) -> None:
    mine, other = challenge(office), challenge(office)
    code = sent(office, mine)
    refused = post(office, "/masuk/kode", other, code=code)
    assert (refused.status_code, refused.headers.get("Location")) == (
        401,
        None,
    )  # an expired sign-in and an accepted one lead to other pages
    assert post(office, "/masuk/kode", mine, code=code).status_code == 303


def test_a_sent_code_expires_and_a_newer_one_replaces_it(office: World) -> None:
    cookie = challenge(office)
    first = sent(office, cookie)
    second = sent(office, cookie)
    assert first == second or post(office, "/masuk/kode", cookie, code=first).status_code == 401
    office.clock.advance(minutes=5, seconds=1)
    assert post(office, "/masuk/kode", cookie, code=second).status_code in (401, 303)
    assert office.sql("SELECT COUNT(*) FROM login_session WHERE otp_at IS NOT NULL") == [(0,)]


def test_five_wrong_tries_end_a_sent_code(office: World) -> None:
    cookie = challenge(office)
    code = sent(office, cookie)
    wrong = "000000" if code != "000000" else "111111"
    answers = [post(office, "/masuk/kode", cookie, code=wrong).status_code for _ in range(5)]
    assert answers == [401] * 4 + [303]  # the fifth wrong try also ends the sign-in
    assert post(office, "/masuk/kode", cookie, code=code).status_code in (401, 303)
    assert office.sql("SELECT COUNT(*) FROM login_session WHERE otp_at IS NOT NULL") == [(0,)]


def test_the_number_of_sent_codes_is_limited(office: World) -> None:
    cookie = challenge(office)
    answers = [post(office, "/masuk/kode/kirim", cookie, channel="sms").status_code for _ in range(6)]
    assert answers[0] == 303
    assert answers[-1] == 429


def test_no_code_is_sent_by_a_disabled_channel_or_without_an_address(office: World) -> None:
    cookie = challenge(office)
    assert post(office, "/masuk/kode/kirim", cookie, channel="email").status_code == 409
    office.change_account(WHO, phone="")
    assert post(office, "/masuk/kode/kirim", cookie, channel="sms").status_code == 409
    assert office.sql("SELECT COUNT(*) FROM outbox_message") == [(0,)]


def recovery(world: World) -> list[str]:
    with world.context(Actor(user_id=world.users[WHO], organisation_id=world.organisation_of(WHO), username=WHO)) as ctx:
        return recovery_codes.make(ctx, world.settings)


def test_a_recovery_code_signs_in_once_in_any_spelling(world: World) -> None:
    codes = recovery(world)
    assert len(set(codes)) == 10
    assert post(world, "/masuk/kode", challenge(world), code=codes[0].upper()).status_code == 303
    assert post(world, "/masuk/kode", challenge(world), code=codes[0]).status_code == 401
    assert post(world, "/masuk/kode", challenge(world), code=codes[1].replace("-", " ")).status_code == 303
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'session.recovery_code'") == [(2,)]


def _status(world: World, cookie: dict[str, str], code: str) -> int:
    return int(post(world, "/masuk/kode", cookie, code=code).status_code)


def test_the_api_lists_the_codes_of_an_account(world: World) -> None:
    known = {"username": "magetan.kepala", "password": PASSWORD}
    assert done(world.anonymous().post("/session", known))["methods"] == ["totp"]
    recovery(world)
    assert done(world.anonymous().post("/session", known))["methods"] == ["totp", "recovery_code"]


def test_simultaneous_uses_of_a_recovery_code_give_one_session(world: World) -> None:
    code, cookies = recovery(world)[0], [challenge(world) for _ in range(8)]
    answers = run_simultaneously([partial(_status, world, cookie, code) for cookie in cookies])
    assert sorted(answers) == [303] + [401] * 7


def test_of_two_forms_for_recovery_codes_sent_at_once_one_makes_codes(world: World) -> None:
    def make() -> int | None:
        with suppress(Conflict), world.acting(WHO) as ctx:
            return len(recovery_codes.make_once(ctx, world.settings, ""))
        return None

    assert run_simultaneously([make, make]) == [10]
    assert world.sql("SELECT COUNT(*) FROM recovery_code WHERE ended_at IS NULL") == [(10,)]


def test_new_recovery_codes_end_the_former_ones_and_need_a_fresh_code(world: World) -> None:
    former = recovery(world)[0]
    stale = world.client(WHO, fresh=False)
    with world.context() as ctx:
        made = recovery_codes.made_at(ctx, world.users[WHO])
    token = {"csrf_token": stale.headers["X-CSRF-Token"], "made": made}
    cookie = {"Cookie": stale.headers["Cookie"], "Accept": "text/html"}
    refused = post(world, "/profil/kode-pemulihan", cookie, **token)
    assert refused.status_code == 403
    assert 'name="otp_code"' in refused.get_data(as_text=True)
    shown = post(world, "/profil/kode-pemulihan", cookie, otp_code=world.code(WHO), **token)
    assert shown.status_code == 200
    assert len(re.findall(r"<li>[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}</li>", shown.get_data(as_text=True))) == 10
    assert post(world, "/masuk/kode", challenge(world), code=former).status_code == 401


def test_no_code_is_in_clear_in_the_database(world: World) -> None:
    code = recovery(world)[0]
    plain = code.replace("-", "").encode()
    assert all(plain not in bytes(row[0]) for row in world.sql("SELECT mac FROM recovery_code"))


def test_an_origin_that_is_none_is_refused_in_words(sqlite_world: World) -> None:
    cookie = challenge(sqlite_world)
    for origin in ("http://[", "http://localhost:a", "http://localhost:99999", "null"):
        assert post(sqlite_world, "/masuk/kunci-sandi/opsi", cookie | {"Origin": origin}).status_code == 409, origin


def test_a_failed_try_uses_up_the_challenge_of_a_passkey(world: World) -> None:
    user = world.users[WHO]
    with world.context() as ctx:
        ctx.session.add(Passkey(user_id=user, name="Ponsel", credential_id=user.bytes, public_key=b"2", sign_count=0, created_at=ctx.now))
    cookie, origin = challenge(world), {"Origin": "http://localhost:5000"}
    assert post(world, "/masuk/kunci-sandi/opsi", cookie | origin).status_code == 200
    assert world.sql("SELECT COUNT(*) FROM passkey_challenge") == [(1,)]
    assert post(world, "/masuk/kunci-sandi", cookie | origin, passkey='{"rawId": "AAAA"}').status_code == 401
    assert world.sql("SELECT COUNT(*) FROM passkey_challenge") == [(0,)]
    assert post(world, "/masuk/kunci-sandi", cookie | origin, passkey='{"rawId": "AAAA"}').status_code == 409
