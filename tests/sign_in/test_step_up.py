"""Step-up: the one-time code that is sent with a form counts once, and the input of the form is kept."""

from __future__ import annotations

import io
import re

import pytest
from flask import Response, request
from markupsafe import Markup
from werkzeug.test import TestResponse

from sifilma.cards.models import Function
from sifilma.cards.service import register_model
from sifilma.demo import facts
from sifilma.kernel.errors import Conflict
from sifilma.web.operations import operation
from sifilma.web.requests import context
from tests.support.visitor import Visitor
from tests.support.world import World

PATH = "/uji"
USER = "magetan.kepala"
TYPED = {"note": '  <b>"catatan"</b>\nbaris kedua ', "choice": ["a", "b"], "name": "Model uji"}


@pytest.fixture
def made(world: World) -> World:
    """Yield an installation with an extra page whose operation needs a fresh code and which refuses the note `tolak`."""
    maker = world.organisations[facts.SOFTORB]

    @operation("users.own", idempotent=False)
    def view() -> Response:
        ctx = context()
        register_model(ctx, request.form.get("name", ""), maker, Function.R)
        if request.form.get("note") == "tolak":
            raise Conflict("The manifest is suspended.")
        return Response("done", 303, headers={"Location": "/"})

    world.app.add_url_rule(PATH, "uji", view, methods=["GET", "POST"])
    return world


def models(world: World) -> int:
    [(count,)] = world.sql("SELECT count(*) FROM device_model WHERE name = 'Model uji'")
    return int(count)


def hidden(response: TestResponse) -> list[tuple[str, str]]:
    """Return the hidden fields of a page, in their order, without those of the language switch."""
    main = response.get_data(as_text=True).partition("<main")[2]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', main)
    return [(name, str(Markup(value).unescape())) for name, value in found]


def test_a_form_without_a_fresh_code_asks_for_it_and_keeps_every_field(made: World) -> None:
    visitor = Visitor(made, USER, fresh=False)
    response = visitor.send(f"{PATH}?jenis=baru", **TYPED)
    assert response.status_code == 403
    assert "Konfirmasi dengan kode sekali pakai" in visitor.seen
    assert hidden(response) == [
        ("csrf_token", visitor.csrf),
        ("sure", "yes"),
        ("note", TYPED["note"]),
        ("choice", "a"),
        ("choice", "b"),
        ("name", "Model uji"),
    ]
    assert f'action="{PATH}?jenis=baru"' in response.get_data(as_text=True)
    assert models(made) == 0


def test_a_form_with_its_code_is_executed_and_the_session_gets_a_new_cookie(made: World) -> None:
    visitor = Visitor(made, USER, fresh=False)
    before = visitor.cookie
    assert visitor.send(PATH, **TYPED, otp_code=made.code(USER)).status_code == 303
    assert models(made) == 1
    assert visitor.cookie not in ("", before)
    assert visitor.get("/profil").status_code == 200
    assert visitor.send(PATH, name="Model kedua").status_code == 303  # the code stays fresh for ten minutes
    old = Visitor(made)
    old.client.set_cookie("sifilma_session", before)
    assert old.get("/profil").location == "/masuk"


def test_a_code_is_used_up_even_if_its_form_is_refused(made: World) -> None:
    visitor, code = Visitor(made, USER, fresh=False), made.code(USER)
    before = visitor.cookie
    assert visitor.send(PATH, **(TYPED | {"note": "tolak"}), otp_code=code).status_code == 409
    assert models(made) == 0  # the refused form saved nothing
    assert visitor.cookie not in ("", before)
    assert visitor.send(PATH, **TYPED).status_code == 303  # but its code is used up
    elsewhere = Visitor(made, USER, fresh=False)
    assert elsewhere.send(PATH, **TYPED, otp_code=code).status_code == 403
    assert "Kode salah atau sudah digunakan." in elsewhere.seen


def test_a_wrong_code_shows_the_page_again_with_every_field_but_the_code(made: World) -> None:
    visitor = Visitor(made, USER, fresh=False)
    before = visitor.cookie
    response = visitor.send(PATH, **TYPED, otp_code="000000")
    assert response.status_code == 403
    assert "Kode salah atau sudah digunakan." in visitor.seen
    assert [name for name, _ in hidden(response)] == ["csrf_token", "sure", "note", "choice", "choice", "name"]
    assert "000000" not in response.get_data(as_text=True)
    assert visitor.cookie == before
    fields: dict[str, list[str]] = {}
    for name, value in hidden(response):
        fields.setdefault(name, []).append(value)
    again = visitor.client.post(PATH, data=fields | {"otp_code": made.code(USER)}, headers={"Accept": "text/html"})
    assert again.status_code == 303
    assert models(made) == 1


def test_wrong_codes_are_throttled_over_all_sessions_of_an_account(made: World) -> None:
    visitors = [Visitor(made, USER, fresh=False) for _ in range(11)]
    answers = [visitor.send(PATH, **TYPED, otp_code="000000").status_code for visitor in visitors]
    assert answers == [403] * 10 + [429]
    late = Visitor(made, USER, fresh=False).send(PATH, **TYPED, otp_code=made.code(USER))
    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) > 0
    made.clock.advance(seconds=31)
    assert Visitor(made, USER, fresh=False).send(PATH, **TYPED, otp_code=made.code(USER)).status_code == 303


def test_a_page_that_needs_a_fresh_code_is_shown_after_the_code(made: World) -> None:
    visitor = Visitor(made, USER, fresh=False)
    response = visitor.get(f"{PATH}?halaman=2")
    assert response.status_code == 403
    assert dict(hidden(response))["kembali"] == f"{PATH}?halaman=2"
    wrong = visitor.send("/masuk/ulang", kembali=f"{PATH}?halaman=2", otp_code="000000")
    assert wrong.status_code == 403
    assert dict(hidden(wrong))["kembali"] == f"{PATH}?halaman=2"
    done = visitor.send("/masuk/ulang", kembali=f"{PATH}?halaman=2", otp_code=made.code(USER))
    assert (done.status_code, done.location) == (303, f"{PATH}?halaman=2")


def test_a_code_without_the_csrf_token_is_not_used_up(made: World) -> None:
    """Another site cannot use up a user's codes."""
    visitor, code = Visitor(made, USER, fresh=False), made.code(USER)
    csrf, visitor.csrf = visitor.csrf, "planted"
    assert visitor.send(PATH, **TYPED, otp_code=code).status_code == 403
    visitor.csrf = csrf
    assert visitor.send(PATH, **TYPED, otp_code=code).status_code == 303


def test_a_user_without_permission_is_refused_before_the_code_is_checked(made: World) -> None:
    visitor, code = Visitor(made, "magetan.staf", fresh=False), made.code("magetan.staf")
    assert visitor.send(PATH, **TYPED, otp_code=code).status_code == 403
    assert "Akun Anda tidak berwenang" in visitor.seen
    assert made.sql("SELECT totp_last_step FROM user_account WHERE username = 'magetan.staf'") == [(0,)]


def test_a_form_keeps_its_file_while_the_code_is_asked_for(made: World) -> None:
    visitor = Visitor(made, USER, fresh=False)
    response = visitor.send(PATH, letter=(io.BytesIO(b"%PDF-"), "surat.pdf"), **TYPED)
    assert response.status_code == 403
    assert "surat.pdf" in visitor.seen
    kept = dict(hidden(response))["kept.letter"]
    assert visitor.send(PATH, **TYPED | {"kept.letter": kept}, otp_code=made.code(USER)).status_code == 303
    assert made.sql("SELECT COUNT(*) FROM kept_file") == [(0,)]
