"""The pages for BAST."""

from __future__ import annotations

from sifilma.handover.service import list_handovers, number_seen
from sifilma.kernel import paging
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor, goes_to
from tests.support.world import World, done, new_uid

KINDS = {
    "jatim.kepala": OrganisationKind.PROVINCE_OFFICE,
    "magetan.kepala": OrganisationKind.REGENCY_OFFICE,
}


def test_the_operator_is_offered_only_waiting_receivers_and_their_cards(world: World) -> None:
    mine, others = world.personalised(count=2), world.personalised("bangli.kepala", "R")
    operator = Visitor(world, "operator1")
    choice = operator.text("/bast/buat")
    assert "Kabupaten Magetan" in choice
    assert "Kabupaten Bangli" in choice
    page = operator.get("/bast/buat", to=str(world.organisation_of("magetan.kepala"))).get_data(as_text=True)
    assert all(uid in page for uid in mine)
    assert others[0] not in page


def test_the_pages_lead_a_bast_from_issue_to_receipt(world: World) -> None:
    uids, operator, office = world.personalised(count=3), Visitor(world, "operator1"), Visitor(world, "magetan.kepala")
    to = str(world.organisation_of("magetan.kepala"))
    pairs = " ".join(uids[1][i : i + 2] for i in range(0, 16, 2))
    address = goes_to(operator.send("/bast/buat", to=to, cards=[uids[0]], more=f"{pairs}\n{uids[2].lower()}\n", notes="Lengkap"))
    number = done(world.client("operator1").get(f"/handovers/{address.rpartition('/')[2]}"))["number"]
    assert number in office.text("/bast")
    shown = office.get(address).get_data(as_text=True)
    assert shown.count('name="counted"') == 3
    assert f"{address}/tolak" in shown
    assert f"{address}/batal" not in shown
    pdf = office.get(f"{address}/dokumen")
    assert pdf.get_data().startswith(b"%PDF-")
    assert "sandbox" in pdf.headers["Content-Security-Policy"]
    assert goes_to(office.send(f"{address}/terima", counted=uids)) == address
    assert {done(world.client("magetan.kepala").get(f"/cards/{uid}"))["state"] for uid in uids} == {"received"}
    assert f"{address}/terima" not in office.get(address).get_data(as_text=True)


def test_ticked_cards_stay_ticked_when_a_bast_is_refused(sqlite_world: World) -> None:
    uids, operator = sqlite_world.personalised(count=2), Visitor(sqlite_world, "operator1")
    to = str(sqlite_world.organisation_of("magetan.kepala"))
    page = operator.send("/bast/buat", to=to, cards=[uids[1]], more=new_uid(), notes="Lengkap")
    html = page.get_data(as_text=True)
    assert page.status_code == 422
    assert f'value="{uids[1]}" checked' in html
    assert f'value="{uids[0]}" checked' not in html
    assert "Lengkap" in html
    assert operator.send("/bast/buat", to=to).status_code == 422  # no card is ticked


def test_a_refusal_needs_a_reason_and_only_the_issuer_cancels(sqlite_world: World) -> None:
    world, office, operator = sqlite_world, Visitor(sqlite_world, "magetan.kepala"), Visitor(sqlite_world, "operator1")
    uids, to = sqlite_world.personalised(), str(sqlite_world.organisation_of("magetan.kepala"))
    address = goes_to(operator.send("/bast/buat", to=to, cards=uids))
    assert office.send(f"{address}/tolak", note=" ").status_code == 422
    assert goes_to(office.send(f"{address}/tolak", note="nomor kartu salah")) == address
    assert done(world.client("operator1").get(f"/cards/{uids[0]}"))["state"] == "personalised"
    again = goes_to(operator.send("/bast/buat", to=to, cards=uids))
    assert office.send(f"{again}/batal").status_code == 403
    assert goes_to(operator.send(f"{again}/batal")) == again
    assert Visitor(world, "bangli.kepala").get(address).status_code == 404


def test_a_manufacturer_hands_over_to_the_buyer_alone(sqlite_world: World) -> None:
    world, maker = sqlite_world, Visitor(sqlite_world, "softorb.kepala")
    number, uid = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0], new_uid()
    request = world.batch([(number, "SOFTORB-CRD-1", "ab" * 16, uid)])
    world.approve("personalisation-requests", request, "penyetuju1")
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    done(world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    first = goes_to(Visitor(world, "operator1").send("/bast/buat", to=str(world.organisation_of("softorb.kepala")), cards=[uid]))
    goes_to(maker.send(f"{first}/terima"))
    page = maker.text("/bast/buat")
    assert "Cards for BANK MANDIRI" in page or "Kartu untuk BANK MANDIRI" in page  # the only waiting receiver is chosen already
    assert number in page
    second = goes_to(maker.send("/bast/buat", to=str(world.organisation_of("mandiri.kepala")), cards=[uid]))
    goes_to(Visitor(world, "mandiri.kepala").send(f"{second}/terima"))
    assert done(world.client("mandiri.kepala").get(f"/cards/{uid}"))["state"] == "received"


def test_lists_are_filtered_and_exported_at_constant_cost(sqlite_world: World) -> None:
    world, operator = sqlite_world, Visitor(sqlite_world, "operator1")
    to = str(world.organisation_of("magetan.kepala"))
    numbers = [goes_to(operator.send("/bast/buat", to=to, cards=world.personalised())) for _ in range(2)]
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as few:
        page = operator.text("/bast")
    assert len(few.statements) <= 8
    assert page.count("BAST-SAM/") == 2 * len(numbers)  # the link, and the name of the box
    assert "BAST-SAM/" not in operator.text("/bast", state="received")
    assert operator.get("/bast", unduh="csv").get_data(as_text=True).count("BAST-SAM/") == len(numbers)
    with counted(engine) as one:
        operator.get(numbers[0])
    assert len(one.statements) <= 11  # one asks whether it is the operator's to receive: cards go back to the directorate


def test_a_person_of_earlier_basts_is_chosen_instead_of_typed(sqlite_world: World) -> None:
    world, operator = sqlite_world, Visitor(sqlite_world, "operator1")
    one, two, three = world.personalised(count=3)
    to = str(world.organisation_of("magetan.kepala"))
    signs = {"name": "Wayan Contoh", "id_kind": "nip", "id_number": "198001012005011001", "position": "Kepala Seksi"}
    typed = {f"issuer_signatory.{name}": value for name, value in signs.items()}
    goes_to(operator.send("/bast/buat", to=to, cards=[one], **typed))
    newer = typed | {"issuer_signatory.name": "Made Contoh", "issuer_signatory.id_number": "198001012005011002"}
    goes_to(operator.send("/bast/buat", to=to, cards=[two], **newer))
    page = operator.get("/bast/buat", to=to).get_data(as_text=True)
    assert 'value="nip:198001012005011001"' in page
    made = goes_to(operator.send("/bast/buat", to=to, cards=[three], **newer | {"issuer_signatory.known": "nip:198001012005011001"}))
    assert "Wayan Contoh" in operator.text(made)  # without a script the choice counts


def test_a_province_is_told_how_many_basts_it_and_its_offices_have(world: World) -> None:
    for receiver in ("magetan.kepala", "jatim.kepala", "bangli.kepala"):
        world.received(receiver, "R")
    expected = {"jatim.kepala": 2, "magetan.kepala": 1}
    with world.app.app_context():
        engine = db.engine
    for who, number in expected.items():
        actor = Actor(
            organisation_id=world.organisation_of(who),
            organisation_kind=KINDS[who],
            region_code="35" if who == "jatim.kepala" else "35.20",
            roles=frozenset({Role.HEAD}),
        )
        with world.context(actor) as ctx:
            counted_now, told = paging.count(ctx.session, list_handovers(ctx, None)), number_seen(ctx)
        assert counted_now == number
        assert told == (number if who == "jatim.kepala" and engine.dialect.name == "postgresql" else None)
