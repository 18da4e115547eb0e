"""The pages for signing in and out, one's own password and one's own sessions."""

from __future__ import annotations

import re

from tests.support.visitor import Visitor, value_of
from tests.support.world import PASSWORD, World

NEW = "empat ekor jangkrik di pasar senen"


def signed_in(world: World, user: str) -> Visitor:
    """Sign in through the pages; return the visitor."""
    visitor = Visitor(world)
    assert visitor.send("/masuk", username=user, password=PASSWORD).location == "/masuk/kode"
    assert visitor.send("/masuk/kode", code=world.code(user)).location == "/"
    found = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get("/profil").get_data(as_text=True))
    assert found is not None
    visitor.csrf = found[1]
    return visitor


def test_a_user_signs_in_reads_a_page_and_signs_out(world: World) -> None:
    visitor = signed_in(world, "magetan.kepala")
    before = visitor.cookie
    visitor.get("/")
    assert "Beranda" in visitor.seen
    assert visitor.send("/keluar").location == "/masuk"
    visitor.client.set_cookie("sifilma_session", before)
    assert visitor.get("/profil").location == "/masuk"  # the session has also ended on the server


def test_the_sign_in_leads_back_to_the_requested_page(world: World) -> None:
    visitor = Visitor(world)
    for asked, back in (("/kartu?state=active", "/kartu?state=active"), ("/", "/")):
        assert visitor.get(asked).location == ("/masuk" if asked != "/" else None)
        visitor.send("/masuk", username="magetan.kepala", password=PASSWORD)
        assert visitor.send("/masuk/kode", code=world.code("magetan.kepala")).location == back
        visitor.send("/keluar", csrf_token=value_of(visitor.get("/profil"), "csrf_token"))
        world.clock.advance(seconds=30)


def test_a_form_sent_after_the_session_leads_back_to_its_own_page(world: World) -> None:
    late = Visitor(world)
    assert late.send("/unit/daftar", hardware_number="X").location == "/masuk"
    late.send("/masuk", username="magetan.kepala", password=PASSWORD)
    assert late.send("/masuk/kode", code=world.code("magetan.kepala")).location == "/unit/daftar"
    world.clock.advance(seconds=30)
    sent_away = Visitor(world)
    sent_away.client.set_cookie("kembali", "https://elsewhere.example/", path="/masuk")
    sent_away.send("/masuk", username="magetan.kepala", password=PASSWORD)
    assert sent_away.send("/masuk/kode", code=world.code("magetan.kepala")).location == "/"


def test_a_wrong_password_keeps_the_name_and_reveals_nothing(world: World) -> None:
    visitor = Visitor(world)
    for name in ("magetan.kepala", "nobody.there"):
        response = visitor.send("/masuk", username=name, password="salah sekali")
        assert response.status_code == 401
        assert "Nama pengguna, kata sandi, atau kode tidak benar." in visitor.seen
        assert value_of(response, "username") == name
        assert value_of(response, "password") == ""
        assert "salah sekali" not in response.get_data(as_text=True)


def test_a_wrong_code_is_refused_and_a_right_one_counts_once(world: World) -> None:
    visitor = Visitor(world)
    visitor.send("/masuk", username="magetan.kepala", password=PASSWORD)
    assert visitor.send("/masuk/kode", code="000000").status_code == 401
    assert "tidak benar" in visitor.seen
    code = world.code("magetan.kepala")
    assert visitor.send("/masuk/kode", code=f"{code[:3]} {code[3:]}").status_code == 303
    other = Visitor(world)
    other.send("/masuk", username="magetan.kepala", password=PASSWORD)
    assert other.send("/masuk/kode", code=code).status_code == 401


def test_a_code_without_a_password_is_refused(world: World) -> None:
    visitor = Visitor(world)
    assert visitor.send("/masuk/kode", code=world.code("magetan.kepala")).location == "/masuk"


def test_wrong_passwords_are_throttled_with_the_time_to_wait(world: World) -> None:
    visitor = Visitor(world)
    wrong = {"username": "magetan.kepala", "password": "salah sekali"}
    assert [visitor.send("/masuk", **wrong).status_code for _ in range(5)] == [401] * 5
    response = visitor.send("/masuk", **wrong)
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert f"Coba lagi dalam {response.headers['Retry-After']} detik." in visitor.seen


def test_a_new_password_ends_the_other_sessions(world: World) -> None:
    here, elsewhere = signed_in(world, "magetan.kepala"), Visitor(world, "magetan.kepala")
    response = here.send("/profil/kata-sandi", current=PASSWORD, password=NEW, repeat=NEW)
    assert (response.status_code, response.location) == (303, "/profil?selesai=password")
    here.get(response.location)
    assert "Kata sandi Anda telah diubah." in here.seen
    assert elsewhere.get("/profil").location == "/masuk"
    assert Visitor(world).send("/masuk", username="magetan.kepala", password=PASSWORD).status_code == 401
    assert Visitor(world).send("/masuk", username="magetan.kepala", password=NEW).status_code == 303


def test_an_unacceptable_password_is_refused_at_its_field(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, "magetan.kepala")
    wrong = [
        ({"current": "bukan yang sekarang", "password": NEW, "repeat": NEW}, "Ini bukan kata sandi Anda saat ini."),
        ({"current": PASSWORD, "password": NEW, "repeat": NEW + "x"}, "Kedua kata sandi tidak sama."),
        ({"current": PASSWORD, "password": "pendek", "repeat": "pendek"}, "Kata sandi terdiri atas 12 sampai 256 karakter."),
        ({"current": PASSWORD, "password": "magetan.kepala saja", "repeat": "magetan.kepala saja"}, "Kata sandi ini terlalu mudah ditebak"),
    ]
    for typed, words in wrong:
        response = visitor.send("/profil/kata-sandi", **typed)
        assert response.status_code in (401, 422)
        assert words in visitor.seen
        assert not [value for value in typed.values() if value in response.get_data(as_text=True)]  # the page contains no password
    assert Visitor(sqlite_world).send("/masuk", username="magetan.kepala", password=PASSWORD).status_code == 303


def test_guesses_of_the_present_password_are_throttled_on_the_profile(world: World) -> None:
    visitor = signed_in(world, "magetan.kepala")
    guess = {"password": NEW, "repeat": NEW}
    answers = [visitor.send("/profil/kata-sandi", current=f"tebakan {number}", **guess).status_code for number in range(6)]
    assert answers == [422] * 5 + [429]
    assert visitor.send("/profil/kata-sandi", current=PASSWORD, **guess).status_code == 429
    assert "Terlalu banyak percobaan" in visitor.seen
    assert world.sql("SELECT count(*) FROM audit_entry WHERE action = 'session.password_refused'") == [(5,)]
    world.clock.advance(seconds=31)
    assert visitor.send("/profil/kata-sandi", current=PASSWORD, **guess).location == "/profil?selesai=password"


def test_a_user_ends_only_their_own_sessions_from_the_list(world: World) -> None:
    here, there = Visitor(world, "magetan.kepala"), Visitor(world, "magetan.kepala")
    stranger = Visitor(world, "bangli.kepala")
    page = here.get("/profil").get_data(as_text=True)
    ids = re.findall(r'action="/sesi/([0-9a-f-]+)/akhiri"', page)
    assert len(ids) == 2
    assert [stranger.send(f"/sesi/{one}/akhiri").status_code for one in ids] == [404, 404]
    answers = [here.send(f"/sesi/{one}/akhiri").location for one in ids]  # newest first: the other session, then the own one
    assert answers == ["/profil?selesai=ended", "/masuk"]
    assert there.get("/profil").location == "/masuk"
    assert here.get("/profil").location == "/masuk"


def test_whoever_lost_the_password_is_told_the_way_without_a_word_about_accounts(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world)
    assert '<a href="/masuk/lupa">Lupa kata sandi?</a>' in visitor.get("/masuk").get_data(as_text=True)
    page = visitor.get("/masuk/lupa").get_data(as_text=True)
    assert "Beri tahu kepala instansi Anda" in visitor.seen
    assert "Laporkan untuk rekan" not in page
    assert 'href="/pengguna">' in Visitor(sqlite_world, "magetan.kepala").get("/masuk/lupa").get_data(as_text=True)
