"""The pages for manifests: metadata, the file for its holder alone, revocation by two persons."""

from __future__ import annotations

from joserfc.jwk import ECKey

from sifilma.documents.indonesian import uid_pairs
from sifilma.kernel.db import db
from tests.activation.conftest import check
from tests.cards.unit_keys import register_key
from tests.support.counting import counted
from tests.support.visitor import Visitor, landed, words
from tests.support.world import World


def test_the_page_of_a_manifest_shows_everything_but_its_body(world: World) -> None:
    ready, answers = world.active()
    path = f"/manifest/{answers[0]['manifest']['id']}"
    for name in ("magetan.staf", "operator1", "auditor1"):
        found = Visitor(world, name).text(path)
        for said in (uid_pairs(ready.uids[0]), "/status/1.jws", "ini yang pertama", "Masa tenggang sampai", "Berlaku: membuka kartu ini"):
            assert said in found, (name, said)
        assert found.index("Berlaku: membuka kartu ini") < found.index("Rincian teknis") < found.index("/status/1.jws")
        assert ("Unduh manifest" in found) is (name == "magetan.staf")
    for name in ("bangli.kepala", "jatim.kepala"):  # a province sees the cards of its regencies, not their manifests
        assert Visitor(world, name).get(path).status_code == 404
    assert Visitor(world, "operator1").send(f"{path}/unduh", form="jws").status_code == 403


def test_the_list_finds_manifests_by_part_of_a_uid_and_by_expiry(world: World) -> None:
    ready, _ = world.active(count=2)
    one, other = ready.uids
    page = Visitor(world, "magetan.staf")
    found = page.text("/manifest", uid=uid_pairs(one)[6:].lower())
    assert uid_pairs(one) in found
    assert uid_pairs(other) not in found
    assert uid_pairs(one) not in page.text("/manifest", soon="1")
    world.clock.advance(days=3 * 365 - 80)
    assert uid_pairs(one) in Visitor(world, "magetan.staf").text("/manifest", soon="1")
    assert one in Visitor(world, "magetan.staf").get("/manifest", soon="1", unduh="csv").get_data(as_text=True)


def test_the_file_needs_a_fresh_code_and_is_recorded(world: World) -> None:
    _, answers = world.active()
    path = f"/manifest/{answers[0]['manifest']['id']}"
    stale = Visitor(world, "magetan.staf", fresh=False)
    assert 'name="otp_code"' in stale.get(path).get_data(as_text=True)
    assert "kode" in words(stale.send(f"{path}/unduh", form="jws"), 403).lower()
    answer = stale.send(f"{path}/unduh", form="jws", otp_code=world.code("magetan.staf"))
    assert answer.mimetype == "application/jose"
    assert check(world, answer.get_data()).valid
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'manifest.download'")[0][0] == 1


def test_encryption_is_offered_only_where_the_machine_has_a_key(sqlite_world: World) -> None:
    ready, answers = sqlite_world.active()
    path, page = f"/manifest/{answers[0]['manifest']['id']}", Visitor(sqlite_world, "magetan.staf")
    assert 'value="jwe"' not in page.get(path).get_data(as_text=True)
    assert "harus diperbaiki" in words(page.send(f"{path}/unduh", form="jwe"), 409)
    key = ECKey.generate_key("P-256")
    number = ready.hardware[ready.uids[0]]
    register_key(sqlite_world, number, key.as_dict(private=False), "magetan.staf", "magetan.kepala")
    assert 'value="jwe"' in page.get(path).get_data(as_text=True)
    assert page.send(f"{path}/unduh", form="jwe").get_data().count(b".") == 4


def test_one_person_proposes_a_revocation_and_another_executes_it(world: World) -> None:
    ready, answers = world.active()
    path = f"/manifest/{answers[0]['manifest']['id']}"
    operator, approver = Visitor(world, "operator1"), Visitor(world, "penyetuju1")
    assert words(approver.send(f"{path}/putusan", decision="execute"), 409)  # no proposal exists yet
    assert "harus diperbaiki" in words(operator.send(f"{path}/usul-cabut", reason=""), 422)
    landed(operator.send(f"{path}/usul-cabut", reason="mesin dicuri"))
    assert "mesin dicuri" in approver.text("/manifest/usulan")
    assert 'value="execute"' not in operator.get(path).get_data(as_text=True)
    assert words(operator.send(f"{path}/putusan", decision="execute"), 409)  # an operator does not decide
    assert words(Visitor(world, "penyetuju1", fresh=False).send(f"{path}/putusan", decision="execute"), 403)
    assert "Dicabut" in approver.text(landed(approver.send(f"{path}/putusan", decision="execute")))
    assert "mesin dicuri" in Visitor(world, "magetan.staf").text(f"/kartu/{ready.uids[0]}")  # the time line says why
    assert "Tidak ada usulan" in approver.text("/manifest/usulan")


def test_a_rejected_proposal_leaves_the_manifest_active(sqlite_world: World) -> None:
    _, answers = sqlite_world.active()
    path = f"/manifest/{answers[0]['manifest']['id']}"
    landed(Visitor(sqlite_world, "operator1").send(f"{path}/usul-cabut", reason="salah lapor"))
    found = landed(Visitor(sqlite_world, "penyetuju2").send(f"{path}/putusan", decision="reject", reason="tidak terbukti"))
    assert "ditolak: salah lapor" in Visitor(sqlite_world, "penyetuju2").text(found)
    assert sqlite_world.sql("SELECT state FROM manifest")[0][0] == "active"


def test_pages_of_manifests_take_few_statements(sqlite_world: World) -> None:
    _, answers = sqlite_world.active(count=3)
    page = Visitor(sqlite_world, "magetan.staf")
    with sqlite_world.app.app_context():
        engine = db.engine
    for path, most in (("/manifest", 9), (f"/manifest/{answers[0]['manifest']['id']}", 12), ("/manifest/usulan", 10)):
        with counted(engine) as found:
            page.text(path)
        assert len(found.statements) <= most, (path, len(found.statements), found.statements)
