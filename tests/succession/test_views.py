"""Successions on the web: proposed with the decree, looked at, decided; and who sees which office without a living head."""

from __future__ import annotations

import io
from typing import Any

from tests.succession.head_successions import NEW_HEAD, decided, proposed, succeeded
from tests.support.visitor import english, goes_to, one_id
from tests.support.world import World, done, letter

HEAD, STAFF = "magetan.kepala", "magetan.staf"
FIELDS = {"decree_number": "821.2/417/2026", "decree_date": "2026-11-20", "former": "disabled"}


def decree() -> tuple[io.BytesIO, str]:
    return io.BytesIO(letter()), "sk.pdf"


def test_a_head_proposes_on_the_web_an_administrator_decides_and_the_page_names_what_passes(world: World) -> None:
    waiting = world.submitted(HEAD, "R")
    head = english(world, HEAD)
    assert f"/pergantian/baru?organisasi={world.organisation_of(HEAD)}&amp;kepala={world.users[HEAD]}" in head.get(
        f"/pengguna/{world.users[HEAD]}"
    ).get_data(as_text=True)
    assert "You propose who follows you" in head.text("/pergantian/baru")
    refused = head.send("/pergantian/baru", **FIELDS, decree=decree())
    assert refused.status_code == 422
    assert "Name an account of the organisation, or invite a new person" in head.seen
    page = goes_to(head.send("/pergantian/baru", **FIELDS, successor=str(world.users[STAFF]), decree=decree()))
    shown = head.text(page)
    assert "Open work that passes on" in shown
    assert f"Personalisation request {waiting['letter_number']} Awaiting approval" in shown
    assert "You may withdraw it" in shown
    admin = english(world, "admin1")
    assert "Succession of the head: " in admin.text("/pengguna/usulan")
    assert "Decide on the succession?" in admin_question(world, page)
    assert admin.get(f"{page}/sk").mimetype == "application/pdf"
    assert goes_to(admin.send(f"{page}/putusan", decision="execute")) == page
    after = english(world, STAFF).text(page)
    assert "Open work that has passed on" in after
    assert waiting["letter_number"] in after
    assert head.get("/pengguna").status_code == 303


def admin_question(world: World, page: str) -> str:
    visitor = english(world, "admin2")
    visitor.send(f"{page}/putusan", decision="execute", sure="")
    return visitor.seen


def test_an_administrator_invites_a_new_head_and_is_shown_the_link(sqlite_world: World) -> None:
    world, office = sqlite_world, str(sqlite_world.organisation_of(HEAD))
    admin, person = english(world, "admin1"), {f"invited.{name}": value for name, value in NEW_HEAD.items()}
    assert "Disdukcapil" in admin.text("/pergantian/baru", cari="Magetan") or "Magetan" in admin.seen
    body: dict[str, Any] = FIELDS | {"organisation": office, "outgoing": str(world.users[HEAD])}
    bad = admin.send("/pergantian/baru", **body, **person | {"invited.id_number": "12"}, decree=decree())
    assert (bad.status_code, 'id="e-invited.id_number"' in bad.get_data(as_text=True)) == (422, True)
    page = goes_to(admin.send("/pergantian/baru", **body, **person, decree=decree()))
    task = english(world, HEAD).text("/")
    assert "Somebody is proposed to follow you as head" in task
    link = english(world, "admin2").send(f"{page}/putusan", decision="execute")
    assert link.status_code == 201
    assert "/undangan/" in link.get_data(as_text=True)
    assert "Succession of the head" in english(world, "admin2").text(
        f"/pengguna/{one_id(world, 'SELECT successor_id FROM head_succession')}"
    )


def test_provinces_and_the_directorate_see_offices_without_a_living_head(world: World) -> None:
    assert "Every organisation has a living head" not in english(world, "admin1").text("/pergantian/tanpa-kepala", nama="Magetan")
    succeeded(world, until="2026-11-25", former="staff")
    world.clock.advance(days=3)
    for who in ("jatim.kepala", "operator1", "admin1"):
        visitor = english(world, who)
        assert "The head is gone" in visitor.text("/pergantian/tanpa-kepala", nama="Magetan")
        assert "without a living head" in visitor.text("/"), who
        assert "The head is gone" in visitor.get("/pergantian/tanpa-kepala", unduh="csv", sebab="ended").get_data(as_text=True)
        assert visitor.text("/pergantian/tanpa-kepala", sebab="invited").count("The head is gone") == 1  # the choice of the filter
    assert english(world, "bangli.kepala").get("/pergantian/tanpa-kepala").status_code == 403
    [seen] = done(world.client("jatim.kepala").get("/offices-without-head"))["items"]
    assert (seen["reason"], seen["since"]) == ("ended", "2026-11-25T17:00:00Z")
    waiting = done(proposed(world, outgoing=STAFF, successor=HEAD, former="staff"), 202)
    assert "A succession waits" in english(world, "admin1").text("/pergantian/tanpa-kepala", nama="Magetan")
    done(decided(world, waiting["id"]))
    assert done(world.client("jatim.kepala").get("/offices-without-head"))["items"] == []
