"""The seed of an authenticator is of one view in one browser, each view is recorded, and recovery codes are shown once."""

from __future__ import annotations

import re

import pyotp
import pytest

from tests.accounts.known_people import invited_by, take_up
from tests.accounts.test_people import PASSWORD, invited, looked, seed_shown, taken_up
from tests.support.visitor import Visitor, landed, words
from tests.support.world import World, done


def code_of(world: World, seed: str) -> str:
    return pyotp.TOTP(seed).at(world.clock.now())


def filled(world: World, seed: str, **more: str) -> dict[str, str]:
    return {"password": PASSWORD, "repeat": PASSWORD, "code": code_of(world, seed)} | more


def test_an_inviter_who_opened_the_link_first_has_nothing_and_the_record_tells(world: World) -> None:
    """Attack 6: the page showed the same seed at each view, so that the inviter kept everybody's second factor."""
    secret = invited(world)
    inviter, person = Visitor(world, language="en"), Visitor(world, language="en")
    kept = seed_shown(inviter.get(f"/undangan/{secret}"))
    page = person.get(f"/undangan/{secret}")
    seed = seed_shown(page)
    assert seed != kept
    assert "This link was opened once before this view" in words(page)
    assert "not in" not in person.seen
    for data in (filled(world, kept), filled(world, seed)):  # neither with the earlier seed nor with another browser
        answer = inviter.client.post(f"/undangan/{secret}", data=data)
        assert answer.status_code in (409, 422)
        seed = seed_shown(person.get(f"/undangan/{secret}"))  # that was a view: the person looks again
    assert person.client.post(f"/undangan/{secret}", data=filled(world, kept)).status_code == 422
    assert person.client.post(f"/undangan/{secret}", data=filled(world, seed)).status_code == 303
    entries = world.sql("SELECT organisation_id IS NULL, data FROM audit_entry WHERE action = 'user.invitation_view'")
    assert len(entries) == 6
    assert not any(nobody for nobody, _ in entries)


def test_a_form_that_was_not_accepted_keeps_the_seed_of_its_view(world: World) -> None:
    secret = invited(world)
    person = Visitor(world)
    seed = seed_shown(person.get(f"/undangan/{secret}"))
    refused = person.client.post(f"/undangan/{secret}", data=filled(world, seed, code="000000"))
    assert (refused.status_code, seed_shown(refused)) == (422, seed)
    assert world.sql("SELECT views FROM invitation") == [(1,)]
    person.client.head(f"/undangan/{secret}")  # a program that previews links is no view
    assert person.client.post(f"/undangan/{secret}", data=filled(world, seed)).status_code == 303


def test_an_invitation_ends_signed_in_as_every_sign_in_does_with_the_user_name_said(world: World) -> None:
    secret, person = invited(world), Visitor(world)
    seed = seed_shown(person.get(f"/undangan/{secret}"))
    assert landed(person.send(f"/undangan/{secret}", **filled(world, seed))) == "/profil?selesai=enrolled"
    person.get("/profil?selesai=enrolled")
    assert "masuk dengan nama pengguna magetan.baru." in person.seen
    acts = [action for (action,) in world.sql("SELECT action FROM audit_entry ORDER BY id DESC LIMIT 4")]
    assert sorted(acts) == ["person.change", "session.password_accepted", "session.started", "user.enrol"]
    began, step = world.sql("SELECT otp_at IS NOT NULL, totp_last_step FROM login_session JOIN user_account u ON u.id = user_id")[-1]
    assert (bool(began), step) == (True, int(world.clock.now().timestamp()) // 30)
    again = Visitor(world)  # the code counted once: it signs nobody in a second time
    again.send("/masuk", username="magetan.baru", password=PASSWORD)
    assert again.send("/masuk/kode", code=code_of(world, seed)).status_code == 401


def test_whoever_must_consent_first_is_told_so_and_not_signed_in(world: World) -> None:
    take_up(world, "umi.lama", invited_by(world, "bangli.kepala", "umi.lama", "198001012005011077"))
    secret = invited_by(world, "magetan.kepala", "umi.baru", "198001012005011077")
    person = Visitor(world)
    seed = seed_shown(person.get(f"/undangan/{secret}"))
    before = world.sql("SELECT COUNT(*) FROM login_session")
    refused = person.send(f"/undangan/{secret}", **filled(world, seed))
    assert refused.status_code == 409
    assert "masuk" in person.seen
    assert (person.cookie, world.sql("SELECT COUNT(*) FROM login_session")) == ("", before)
    assert world.sql("SELECT state FROM user_account WHERE username = 'umi.baru'") == [("invited",)]


def test_the_cookie_of_the_browser_is_for_this_site_alone(sqlite_world: World) -> None:
    secret = invited(sqlite_world)
    sqlite_world.configure(https=True)
    cookie = sqlite_world.app.test_client().get(f"/undangan/{secret}").headers["Set-Cookie"]
    assert cookie.startswith("__Host-sifilma_enrolment=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    kept = sqlite_world.sql("SELECT browser_hash FROM invitation")[0][0]
    assert re.fullmatch(r"[0-9a-f]{64}", kept)
    assert kept not in cookie


@pytest.mark.parametrize("browser", ["", "x" * 43])
def test_the_api_wants_the_browser_of_the_last_view(sqlite_world: World, browser: str) -> None:
    secret = invited(sqlite_world)
    body = looked(sqlite_world, secret)
    refused = sqlite_world.anonymous().post("/invitations/enrol", body | {"browser": browser})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:not-seen")
    assert taken_up(sqlite_world, secret) == 204
    assert sqlite_world.anonymous().post("/invitations/view", {"invitation": secret}).status_code == 404


def test_recovery_codes_are_shown_once_and_a_page_that_is_loaded_again_ends_none(world: World) -> None:
    me = Visitor(world, "magetan.kepala", language="en")
    made = re.search(r'name="made" value="([^"]*)"', me.get("/profil").get_data(as_text=True))
    assert made
    first = me.send("/profil/kode-pemulihan", made=made[1])
    codes = re.findall(r"<li>([\w-]{14})</li>", first.get_data(as_text=True))
    assert (len(codes), first.headers["Cache-Control"]) == (10, "no-store")
    again = me.send("/profil/kode-pemulihan", made=made[1])  # what a browser sends that loads the page again
    assert (again.status_code, "not shown again" in me.seen) == (409, True)
    assert not any(code in again.get_data(as_text=True) for code in codes)
    signing_in = world.app.test_client()
    signing_in.post("/masuk", data={"username": "magetan.kepala", "password": "kuda lumping naik perahu"})
    assert signing_in.post("/masuk/kode", data={"code": codes[0]}).status_code == 303
    assert done(world.client("magetan.kepala").get("/me"))["username"] == "magetan.kepala"
