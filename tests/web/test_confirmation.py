"""No act on a page that cannot be undone happens without a question, which names the thing and works without a script."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from sifilma.web.confirmation import question_of
from tests.support.visitor import Visitor, landed, words
from tests.support.world import World

SIGNING = "signing in or out, or a step of it: it can be done again"
SHOWN = "it shows or hands out something, and changes nothing that is acted upon"
DRAFT = "a draft, which is edited or cancelled"
PROPOSED = "a proposal, which another person decides, and which can be taken back"
SEEN = (
    "the page says what follows, shows all of it, and binds it to the digest that was seen; a fresh code or a second person comes besides"
)
AGAIN = "it can be done the other way round at once"
OWN = "one's own settings, which can be set again"
WARNED = "what is unusual is asked about before it is saved (Form.settle)"
REASONS = {
    "sign_in": SIGNING,
    "factors": "signing in, or one's own factors after a fresh code; new recovery codes are made again at will",
    "accounts.change_password": OWN,
    "accounts.choose_preferences": OWN,
    "accounts.keep_contact": OWN,
    "accounts.invitation_form": SIGNING,
    "accounts.object_to_report": "it keeps what is there, after a fresh code; a report can be made again",
    "activation.verification_form": SHOWN,
    "audit_pages.verify": SHOWN,
    "model_pages.record": "an approver certifies it, or returns it to be recorded again",
    "unit_key_pages.take_up": PROPOSED,
    "user_pages.invite": "an account, which can be disabled",
    "user_pages.invite_by_admin": "an account, which can be disabled",
    "user_pages.report_lost": PROPOSED,
    "activate_pages.fill": SHOWN,
    "activate_pages.activate": "it needs the card's token and a fresh code; a wrong place is mended by a relocation",
    "activated_pages.fetch": SHOWN,
    "bulk_pages.begin": "a job, which can be cancelled while it runs",
    "bulk_pages.template_with_tokens": SHOWN,
    "bulk_pages.corrected": SHOWN,
    "activation_pages.reveal": SHOWN,
    "manifest_pages.fetch": SHOWN,
    "message_pages.send_again": "a message more",
    "api_key_pages.create": "a key, which can be revoked",
    "api_key_pages.change": AGAIN,
    "access_pages.decide": "an ended account can be enabled, and its roles given again",
    "handover_pages.issue": "a BAST, which is cancelled until it is received",
    "handover_pages.kirim_ulang": "a BAST, which is cancelled until it is received",
    "return_pages.issue": "a BAST, which is cancelled until it is received",
    "unit_pages.register": WARNED,
    "outlet_pages": AGAIN,
    "upkeep_pages.break_unit": AGAIN,
    "upkeep_pages.repair": AGAIN,
    "upkeep_pages.correct": "a correction, which is corrected again, or decided by another person",
    "activate_pages.following": SHOWN,
    "archive_pages.fetch": SHOWN,
    "reconciliation_pages.decide": SEEN,
    "own_file_pages": "a file, which is written again for whoever asks for it anew",
    "handover_pages.print_all": SHOWN,
    "together_pages.fill": SHOWN,
    "together_pages.begin": "a job, which can be cancelled while it runs",
    "conversation_pages": "a message, which another one corrects",
    "assignment_pages": AGAIN,
    "dispatch_pages": AGAIN,
    "job_pages.pause": AGAIN,
    "job_pages.resume": AGAIN,
    "first_steps.hide": OWN,
    "lost_access": "it asks somebody to call, and changes no account",
    "notice_pages": "it notes that one has seen what one is told",
    "kept_pages.save": OWN,
    "kept_pages.discard": "what one has typed oneself, and not yet sent",
    "unit_pages.register_file": WARNED,
    "result_pages.record": WARNED,
    "blank_pages.record": "a delivery, which can be cancelled while its blanks are in the store",
    "blank_pages.issue": "blanks, which come back to the store",
    "blank_pages.take_back": "blanks, which are issued again",
}
BY_NAME = {
    "draft": DRAFT, "edit": DRAFT, "apply": DRAFT, "propose": PROPOSED, "ajukan": DRAFT, "verifikasi": SEEN, "setujui": SEEN,
    "sekaligus": SEEN, "sahkan": SEEN, "kembalikan": "it comes back by being submitted again", "izinkan": SEEN, "lapor": SEEN,
}  # fmt: skip


def unasked(app: Flask) -> Iterator[str]:
    """Yield the endpoints of forms that have neither a question nor a reason for having none."""
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.rule.startswith("/api/"):
            continue
        blueprint, _, name = rule.endpoint.rpartition(".")
        known = rule.endpoint in REASONS or blueprint in REASONS or name in BY_NAME or name.startswith("propose")
        if question_of(app.view_functions[rule.endpoint]) is None and not known:
            yield rule.endpoint


def test_every_form_asks_before_what_cannot_be_undone_or_has_a_reason_not_to(house: World) -> None:
    assert sorted(unasked(house.app)) == []


def test_a_planted_form_without_a_question_is_named() -> None:
    app = Flask("planted")
    app.add_url_rule("/hapus", "planted.delete", lambda: "", methods=["POST"])
    assert list(unasked(app)) == ["planted.delete"]


def test_a_request_is_cancelled_only_after_the_question(world: World) -> None:
    asked = world.submitted()
    visitor, path = Visitor(world, "magetan.kepala"), f"/personalisasi/{asked['id']}/batalkan"
    page = visitor.send(path, note="Salah <surat>", sure="")
    assert page.status_code == 200
    assert f"Batalkan permohonan? {asked['letter_number']} · {asked['requester']['name']}" in visitor.seen
    assert "berakhir untuk seterusnya" in visitor.seen
    assert f'href="/personalisasi/{asked["id"]}"' in page.get_data(as_text=True)
    assert world.sql("SELECT state FROM personalisation_request") == [("submitted",)]
    assert 'name="note" value="Salah &lt;surat&gt;"' in page.get_data(as_text=True)
    landed(visitor.send(path, note="Salah <surat>"))
    assert world.sql("SELECT state, change_note FROM personalisation_request") == [("cancelled", "Salah <surat>")]


def test_the_question_reveals_nothing_to_others_and_spares_what_can_be_undone(sqlite_world: World) -> None:
    asked = sqlite_world.submitted()
    other = Visitor(sqlite_world, "bangli.kepala")
    assert other.send(f"/personalisasi/{asked['id']}/batalkan", sure="").status_code == 404
    uid = sqlite_world.received()[0]
    office = Visitor(sqlite_world, "magetan.kepala", language="en")
    assert "Report the card?" in words(office.send(f"/kartu/{uid}/lapor", condition="lost", note="hilang", sure=""))
    landed(office.send(f"/kartu/{uid}/lapor", condition="lost", note="hilang"))
    landed(office.send(f"/kartu/{uid}/lapor", condition="found", note="ditemukan", sure=""))


@pytest.mark.parametrize("path", ["batalkan", "tolak"])
def test_a_refused_note_stands_at_its_field(sqlite_world: World, path: str) -> None:
    asked = sqlite_world.submitted()
    visitor = Visitor(sqlite_world, "penyetuju1" if path == "tolak" else "magetan.kepala")
    refused = visitor.send(f"/personalisasi/{asked['id']}/{path}", note="x" * 2001)
    page = refused.get_data(as_text=True)
    assert refused.status_code == 422
    assert 'href="#f-note"' in page
    assert 'id="f-note"' in page
