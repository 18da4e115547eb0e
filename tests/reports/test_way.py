"""The way of a card: in each state somebody has a task on their home, or nobody can do anything and the page says why."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from sifilma.activation import tasks
from sifilma.cards.models import Card, CardState
from sifilma.demo import facts
from sifilma.demo.sample_files import photo
from sifilma.kernel.db import db
from sifilma.reports.way import pages, queries
from sifilma.reports.way.serializers import Status, Way
from sifilma.resources import resources
from tests.destruction.test_service import record
from tests.support.counting import counted
from tests.support.visitor import Visitor, english, goes_to, landed, one_id, value_of
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, Ready, World, done, letter, new_uid

OFFICE, MAKER, BANK = "magetan.kepala", "softorb.kepala", "mandiri.kepala"
PEOPLE = ("penyetuju1", "penyetuju2", "operator1", "operator2", OFFICE, MAKER, BANK)
NOBODY = {
    "active": "in_use",  # the manifest is valid for long
    "lost": "lost",  # until it is found
    "destroyed": "destroyed",
}
"""States of a card in which nobody has a task, with the reason that its page gives."""
SEEN: set[str] = set()


def card_way(world: World, uid: str) -> tuple[str, Way]:
    """Return a card's state and its way, as an operator sees it."""
    with world.acting("operator1") as ctx:
        card = ctx.session.scalars(select(Card).where(Card.uid == uid)).one()
        return card.state, pages.way_page(ctx, resources().targets, "card", card.id).way


def holders(world: World, uid: str, seen: set[str] = SEEN) -> dict[str, list[str]]:
    """Return the tasks that lead the card on, by the accounts on whose home they are. Assert that there is one, or a reason."""
    state, way = card_way(world, uid)
    seen.add(state)
    found: dict[str, list[str]] = {}
    for name in PEOPLE:
        with world.acting(name) as ctx:
            if mine := pages.tasks_of_actor(ctx, way.awaited):
                found[name] = [one.task for one in mine]
    assert found or NOBODY.get(state) == way.why, (state, way)
    assert bool(way.awaited) == bool(found), (state, way.awaited, found)
    assert sum(step.status is Status.CURRENT for step in way.steps) == (1 if found else 0), way.steps
    return found


def handed(world: World, giver: str, receiver: str, uid: str) -> Iterator[dict[str, list[str]]]:
    """Issue a BAST, let it be refused, issue it again and receive it. Yield who has a task after each."""
    body = {"to": str(world.organisation_of(receiver)), "cards": [uid]}
    bast = done(world.client(giver).post("/handovers", body), 201)
    yield holders(world, uid)
    done(world.client(receiver).post(f"/handovers/{bast['id']}/refuse", {"note": "salah kartu"}))
    yield holders(world, uid)
    bast = done(world.client(giver).post("/handovers", body), 201)
    done(world.client(receiver).post(f"/handovers/{bast['id']}/receive"))
    yield holders(world, uid)


def walk_an_offices_card(world: World) -> None:
    [uid] = world.personalised()
    both = {"operator1": ["issue_handover"], "operator2": ["issue_handover"]}
    assert holders(world, uid) == both
    assert list(handed(world, "operator1", OFFICE, uid)) == [{OFFICE: ["receive_handover"]}, both, {OFFICE: ["request_activation"]}]
    number = world.units(OFFICE, 1)[0]
    stated = world.letter() | {"kind": "new", "machines": 1, "cards": [uid]}
    asked = done(world.client(OFFICE).send("/activation-requests", stated, letter=letter()), 201)["id"]
    assert holders(world, uid) == {OFFICE: ["submit_activation"]}
    done(world.client(OFFICE).post(f"/activation-requests/{asked}/submit"))
    looks = {name: ["verify_activation"] for name in ("operator1", "operator2")}
    decides = {name: ["approve_activation"] for name in ("penyetuju1", "penyetuju2")}
    assert holders(world, uid) == looks | decides
    done(world.client("operator1").post(f"/activation-requests/{asked}/return", {"note": "perihal keliru"}))
    assert holders(world, uid) == {OFFICE: ["mend_activation"]}
    done(world.client(OFFICE).post(f"/activation-requests/{asked}/submit"))
    world.approve("activation-requests", asked, "penyetuju1")
    assert holders(world, uid) == looks | {"penyetuju2": ["approve_activation"]}
    world.approve("activation-requests", asked, "penyetuju2")
    assert holders(world, uid) == {OFFICE: ["activate"]}
    wrong = {"sam_uid": uid, "token": "A" * 10, "hardware_number": number, "accuracy_m": 10, "source": "device", "address": "Kantor"}
    for _ in range(5):
        world.client(OFFICE).post("/activations", wrong | MAGETAN_PLACE)
    assert holders(world, uid) == {OFFICE: ["reissue_token"]}
    [fresh] = done(world.client(OFFICE).post(f"/activation-requests/{asked}/tokens/{uid}/reissue"))["tokens"]
    assert holders(world, uid) == {OFFICE: ["activate"]}
    done(world.client(OFFICE).post("/activations", wrong | MAGETAN_PLACE | {"token": fresh["token"]}), 201)
    assert holders(world, uid) == {}
    moved = world.requested(OFFICE, [uid], "relocation")["id"]
    assert holders(world, uid) == looks | decides
    done(world.client(OFFICE).post(f"/activation-requests/{moved}/cancel"))
    assert holders(world, uid) == {}
    world.clock.advance(days=1020)
    assert holders(world, uid) == {OFFICE: ["renew_manifests"]}
    names = {step.name for step in card_way(world, uid)[1].steps}
    assert names == {"letter", "approval", "personalisation", "bast", "request", "manifest", "renewal"}


def walk_a_banks_card(world: World) -> None:
    uid = new_uid()
    number = world.units(BANK, 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    request = world.batch([(number, "SOFTORB-CRD-1", "0123456789ABCDEF0123456789ABCDEF", uid)])
    world.approve("personalisation-requests", request, "penyetuju1")
    makes = {name: ["record_results"] for name in ("operator1", "operator2")}
    gives = {name: ["issue_handover"] for name in ("operator1", "operator2")}
    assert holders(world, uid) == makes
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    done(world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    assert holders(world, uid) == gives
    assert list(handed(world, "operator1", MAKER, uid)) == [{MAKER: ["receive_handover"]}, gives, {MAKER: ["issue_handover"]}]
    assert list(handed(world, MAKER, BANK, uid)) == [
        {BANK: ["receive_handover"]},
        {MAKER: ["issue_handover"]},
        {BANK: ["request_activation"]},
    ]
    world.tokens(BANK, [uid], "new", "R")
    world.clock.advance(days=15)
    assert holders(world, uid) == {BANK: ["reissue_token"]}  # for the moments before the worker has ended token and request
    with world.context() as ctx:
        tasks.expire_tokens(ctx)
        tasks.expire_requests(ctx)
    assert holders(world, uid) == {BANK: ["request_activation"]}
    machine = world.machine(facts.MANDIRI)
    done(machine.post(f"/cards/{uid}/reports", {"condition": "lost", "note": "tidak ada"}))
    decides = {name: ["decide_report"] for name in ("operator1", "operator2", BANK)}
    assert holders(world, uid) == decides
    [report] = done(world.client(BANK).get("/card-reports"))["items"]
    done(world.client(BANK).post(f"/card-reports/{report['id']}/confirm", {"note": "benar"}))
    assert holders(world, uid) == {}
    done(world.client(BANK).post(f"/cards/{uid}/reports", {"condition": "found", "note": "ada di laci"}))
    assert holders(world, uid) == {BANK: ["request_activation"]}


def walk_a_broken_card(world: World, whose: str) -> None:
    [uid] = world.received() if whose == "office" else world.personalised()
    owner = OFFICE if whose != "directorate" else "operator1"
    bast, made = "", {"id": ""}
    if whose == "on_its_way":
        body = {"to": str(world.organisation_of(OFFICE)), "cards": [uid]}
        bast = done(world.client("operator1").post("/handovers", body), 201)["id"]
    done(world.client("operator1").post(f"/cards/{uid}/reports", {"condition": "locked", "note": "terkunci"}))
    if whose == "on_its_way":
        assert holders(world, uid) == {OFFICE: ["receive_handover"]}
        done(world.client(OFFICE).post(f"/handovers/{bast}/receive"))
    own = [owner] if owner == OFFICE else ["operator1", "operator2"]
    proposes = {name: ["propose_destruction"] for name in own}
    decides = {name: ["approve_destruction"] for name in ("penyetuju1", "penyetuju2")}
    for answer in ("reject", "approve"):
        assert holders(world, uid) == proposes
        made = done(world.client(owner).post("/destructions", {"cards": [uid], "cause": "locked"}), 201)
        assert holders(world, uid) == decides
        said = {"note": "alasan", "digest": made["digest"]} if answer == "approve" else {"note": "alasan"}
        done(world.client("penyetuju1").post(f"/destructions/{made['id']}/{answer}", said))
    assert holders(world, uid) == {name: ["record_destruction"] for name in own}
    done(world.client(owner).send(f"/destructions/{made['id']}/record", record(world), part="record", photos=[photo()[:2]]))
    assert holders(world, uid) == {name: ["verify_destruction"] for name in ("operator1", "operator2") if name != owner}
    done(world.client("operator2").post(f"/destructions/{made['id']}/verify", {"note": "cocok"}))
    assert holders(world, uid) == {}


def walk_a_misplaced_card(world: World) -> None:
    """Reject the place of a card, suspend it, and relocate it to a place that is doubtful again, until that is accepted."""
    ready, far = world.ready(), {"region_code": BANGLI_PLACE["region_code"], "reason": "dipinjamkan"}
    [uid], client = ready.uids, world.client(OFFICE)
    made = done(client.post("/activations", world.activation(ready, uid, **far)), 201)
    operator = world.client("operator1")
    done(operator.post(f"/activations/{made['id']}/review", {"decision": "rejected", "note": "salah lokasi"}))
    decides = {name: ["decide_place_suspension"] for name in ("penyetuju1", "penyetuju2")}
    assert holders(world, uid) == decides | {OFFICE: ["answer_place"]}
    [found] = done(client.get("/place-suspensions"))["items"]
    done(world.client("penyetuju1").post(f"/place-suspensions/{found['id']}/decision", {"decision": "suspend", "note": "salah lokasi"}))
    assert holders(world, uid) == {OFFICE: ["answer_place"]}
    request, tokens = world.tokens(OFFICE, [uid], "relocation")
    assert holders(world, uid) == {OFFICE: ["activate"]}
    again = world.activation(Ready([uid], tokens, ready.hardware, request), uid, **far)
    made = done(client.post("/activations", again), 201)
    assert holders(world, uid) == {name: ["review_place"] for name in ("operator1", "operator2")}
    done(operator.post(f"/activations/{made['id']}/review", {"decision": "accepted", "note": "ada surat tugas"}))
    assert holders(world, uid) == {}


def walk_a_short_bast(world: World) -> None:
    """Receive a BAST of which four cards are missing: each is settled in its own way."""
    uids = world.personalised(OFFICE, "R", 4)
    body = {"to": str(world.organisation_of(OFFICE)), "cards": uids}
    bast = done(world.client("operator1").post("/handovers", body), 201)["id"]
    told = {"missing": [{"sam_uid": uid, "note": "tidak ada"} for uid in uids]}
    done(world.client(OFFICE).post(f"/handovers/{bast}/receive", told))
    operators = ("operator1", "operator2")
    assert [holders(world, uid) for uid in uids] == [{name: ["settle_missing"] for name in operators}] * 4
    settled = [
        ("operator1", "found", {}, {name: ["issue_handover"] for name in operators}),
        ("operator1", "send-again", {}, {OFFICE: ["receive_handover"]}),
        (OFFICE, "arrived", {}, {OFFICE: ["request_activation"]}),
        ("operator1", "lost", {"police_report": "LP/B/1/XI/2026"}, {}),
    ]
    for uid, (who, verb, more, then) in zip(uids, settled, strict=True):
        world.client(who).post(f"/handovers/{bast}/{verb}", {"cards": [uid]} | more)
        assert holders(world, uid) == then, verb
    done(world.client("operator1").post(f"/cards/{uids[3]}/reports", {"condition": "found", "note": "kotak kembali"}))
    assert holders(world, uids[3]) == {name: ["issue_handover"] for name in operators}


def walk_a_returned_card(world: World, reason: str, state: str) -> None:
    """Give a card back to the directorate: refused, missing, sent again, received."""
    [uid] = world.received(OFFICE, "R")
    operators = ("operator1", "operator2")
    if state == "damaged":
        done(world.client(OFFICE).post(f"/cards/{uid}/reports", {"condition": state, "note": "patah"}))
    begun, bast = holders(world, uid), ""
    body = {"kind": "return", "reason": reason, "to": str(world.organisation_of("operator1")), "cards": [uid]}
    for answer in ("refuse", "receive"):
        bast = done(world.client(OFFICE).post("/handovers", body), 201)["id"]
        assert holders(world, uid) == {name: ["receive_handover"] for name in operators}
        told = {"note": "keliru"} if answer == "refuse" else {"missing": [{"sam_uid": uid, "note": "tidak ada"}]}
        done(world.client("operator1").post(f"/handovers/{bast}/{answer}", told))
        assert holders(world, uid) == (begun if answer == "refuse" else {OFFICE: ["settle_missing"]})
    again = done(world.client(OFFICE).post(f"/handovers/{bast}/send-again", {"cards": [uid]}), 201)["id"]
    assert holders(world, uid) == {name: ["receive_handover"] for name in operators}
    done(world.client("operator1").post(f"/handovers/{again}/receive"))
    assert card_way(world, uid)[0] == state
    task = "issue_handover" if state == "personalised" else "propose_destruction"
    assert holders(world, uid) == {name: [task] for name in operators}


def test_in_no_state_does_a_card_wait_without_a_task(sqlite_world: World) -> None:
    SEEN.clear()
    walk_a_short_bast(sqlite_world)
    walk_a_misplaced_card(sqlite_world)
    for reason, state in (("agreement_ended", "revoked"), ("repair", "damaged"), ("repair", "personalised")):
        walk_a_returned_card(sqlite_world, reason, state)
    for whose in ("directorate", "office", "on_its_way"):
        walk_a_broken_card(sqlite_world, whose)
    walk_a_banks_card(sqlite_world)
    walk_an_offices_card(sqlite_world)
    failed = new_uid()
    request = sqlite_world.submitted(OFFICE, "R")["id"]
    sqlite_world.approve("personalisation-requests", request, "penyetuju1")
    results = {"results": [{"sam_uid": failed, "outcome": "failed"}]}
    done(sqlite_world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    assert holders(sqlite_world, failed)["operator1"] == ["propose_destruction"]
    assert {CardState(state) for state in SEEN} == set(CardState)


def test_cards_that_wait_are_found_behind_any_number_that_are_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "MOST_UNASKED", 1)
    monkeypatch.setattr(queries, "MOST_LOOKED_AT", 2)
    world.requested(OFFICE, world.received(OFFICE, "R", 3))
    [uid] = world.received(OFFICE, "R")
    assert holders(world, uid, set()) == {OFFICE: ["request_activation"]}


def ways_of(page: str) -> list[str]:
    """Return the addresses of the next buttons of a page."""
    return [
        address.replace("&amp;", "&") for address in re.findall(r'class="btn btn-[a-z-]+" href="([^"]+)"', page.partition("next-steps")[2])
    ]


def test_each_next_button_leads_to_a_form_with_everything_chosen(world: World) -> None:
    uids = world.personalised(count=2)
    operator, office = english(world, "operator1"), english(world, OFFICE)
    request = str(one_id(world, "SELECT personalisation_request_id FROM card WHERE uid = :uid", uid=uids[0]))
    page = operator.get(f"/personalisasi/{request}").get_data(as_text=True)
    assert 'aria-current="step"' in page
    assert ways_of(page)[:1] == [f"/bast/buat?permohonan={request}"]
    form = operator.get(ways_of(page)[0]).get_data(as_text=True)
    assert len(re.findall(r'name="cards" value="\w+" checked', form)) == 2
    assert f'name="to" value="{world.organisation_of(OFFICE)}"' in form
    body = {"to": str(world.organisation_of(OFFICE)), "cards": uids}
    bast = done(world.client("operator1").post("/handovers", body), 201)["id"]
    assert "Waits for others: Receive cards (BAST)" in operator.text(f"/bast/{bast}")
    assert ways_of(office.get(f"/bast/{bast}").get_data(as_text=True))[0] == f"/bast/{bast}#receive"
    landed(office.send(f"/bast/{bast}/terima", counted=uids))
    page = office.get(f"/bast/{bast}").get_data(as_text=True)
    assert ways_of(page)[0] == f"/aktivasi/baru?bast={bast}"
    assert len(re.findall(r'name="cards" value="\w+" checked', office.get(ways_of(page)[0]).get_data(as_text=True))) == 2
    done(world.client(OFFICE).post(f"/cards/{uids[0]}/reports", {"condition": "damaged", "note": "retak"}))
    home = office.get("/").get_data(as_text=True)
    [lot] = re.findall(r'href="(/pemusnahan/usul[^"]+)"', home)
    assert f'value="{uids[0]}" checked' in office.get(lot.replace("&amp;", "&")).get_data(as_text=True)
    one = ways_of(office.get(f"/kartu/{uids[0]}").get_data(as_text=True))[0]
    assert one.endswith(f"cards={uids[0]}")
    assert f'value="{uids[0]}" checked' in office.get(one).get_data(as_text=True)
    assert english(world, "auditor1").text(f"/kartu/{uids[0]}").count("Your next step:") == 0
    back, instead = ways_of(office.get(f"/kartu/{uids[0]}").get_data(as_text=True))[1:3]
    assert f'value="{uids[0]}" checked' in office.get(f"{back}&to={world.organisation_of('operator1')}").get_data(as_text=True)
    assert f'value="{uids[0]}" checked' in office.get(instead).get_data(as_text=True)
    assert ways_of(office.get(f"/bast/{bast}").get_data(as_text=True))[1:3] == [lot.replace("&amp;", "&"), instead]
    for who, path in (("auditor1", f"/kartu/{uids[0]}"), (OFFICE, f"/kartu/{uids[1]}"), ("operator1", f"/bast/{bast}")):
        assert "You can also:" not in english(world, who).text(path)  # not theirs, not broken, not theirs


def test_the_form_for_the_next_card_keeps_address_and_region_and_brings_token_and_machine(sqlite_world: World) -> None:
    ready = sqlite_world.ready(count=2)
    first = sqlite_world.activation(ready, ready.uids[0], address="Jalan Pahlawan 1")
    made = done(sqlite_world.client(OFFICE).post("/activations", first), 201)
    office = english(sqlite_world, OFFICE)
    page = office.get(f"/aktivasi/riwayat/{made['id']}").get_data(as_text=True)
    revealed = sqlite_world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'token.reveal'")[0][0]
    sent = dict(re.findall(r'name="(sam_uid|dari)" value="([^"]+)"', page))
    form = office.send("/aktivasi/kartu/berikutnya", **sent).get_data(as_text=True)
    assert "Jalan Pahlawan 1" in form
    assert f'value="{MAGETAN_PLACE["region_code"]}" selected' in form
    assert f'value="{ready.tokens[ready.uids[1]]}"' in form
    assert f'value="{ready.hardware[ready.uids[1]]}" selected' in form
    assert sqlite_world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'token.reveal'")[0][0] == revealed + 1
    other = english(sqlite_world, "bangli.kepala")
    assert other.send("/aktivasi/kartu/berikutnya", **sent).status_code == 404  # nobody learns another's address


def test_each_decision_leads_to_what_waits_next_in_the_same_queue(sqlite_world: World) -> None:
    world = sqlite_world
    asked = [world.submitted(OFFICE, "R") for _ in range(3)]
    approver = english(world, "penyetuju1")
    to = landed(approver.send(f"/personalisasi/{asked[0]['id']}/setujui", digest=asked[0]["digest"]))
    text = approver.text(to)
    assert f"Next {asked[1]['letter_number']}" in text
    assert "2 more wait for you here" in text
    assert f'href="/personalisasi/{asked[1]["id"]}#decision"' in approver.get(to).get_data(as_text=True)
    landed(approver.send(f"/personalisasi/{asked[1]['id']}/tolak", note="surat ganda"))
    assert "1 more waits for you here" in approver.text(f"/personalisasi/{asked[1]['id']}?selesai=rejected")
    to = landed(approver.send(f"/personalisasi/{asked[2]['id']}/setujui", digest=asked[2]["digest"]))
    assert "Nothing more waits for you here. To the list" in approver.text(to)
    assert "Next" not in approver.text(f"/personalisasi/{asked[2]['id']}")  # only after an act


def test_a_time_line_names_every_person_who_decided(sqlite_world: World) -> None:
    world, asked = sqlite_world, sqlite_world.submitted()
    goes_to(Visitor(world, "operator1").send(f"/personalisasi/{asked['id']}/verifikasi"))
    for name in ("penyetuju1", "penyetuju2"):
        world.clock.advance(minutes=1)
        goes_to(Visitor(world, name).send(f"/personalisasi/{asked['id']}/setujui", digest=asked["digest"], note=f"dari {name}"))
    line = english(world, OFFICE).text(f"/personalisasi/{asked['id']}").rpartition("Time line")[2]
    order = ["Draft", "Awaiting approval", "Verified", "Candra Contoh", "Approval given", "Arif Contoh", "dari penyetuju1"]
    order += ["Approved", "Bunga Contoh", "dari penyetuju2"]
    found = [line.find(words) for words in order]
    assert found == sorted(found), line
    assert -1 not in found, line


def test_the_ways_need_few_statements_whatever_the_number_of_cards(sqlite_world: World) -> None:
    counts = []
    for cards in (1, 6):
        uids = sqlite_world.received(OFFICE, "RW", cards)
        request = str(one_id(sqlite_world, "SELECT personalisation_request_id FROM card WHERE uid = :uid", uid=uids[0]))
        bast = str(
            one_id(sqlite_world, "SELECT handover_id FROM handover_card k JOIN card c ON c.id = k.card_id WHERE c.uid = :uid", uid=uids[0])
        )
        page = Visitor(sqlite_world, OFFICE)
        for address in (f"/personalisasi/{request}", f"/bast/{bast}"):
            with sqlite_world.app.app_context(), counted(db.engine) as found:
                page.text(address)
            counts.append(len(found.statements))
    assert counts[:2] == counts[2:]
    assert max(counts) <= 16 + 2, counts  # two are those of the conversation


def test_a_decision_opens_the_next_that_waits_if_the_box_is_ticked(world: World) -> None:
    asked = [world.submitted(quantity=1, function="R")["id"] for _ in range(3)]
    approver = Visitor(world, "penyetuju1")
    page = approver.get(f"/personalisasi/{asked[0]}")
    assert 'name="berikutnya" value="1" checked' in page.get_data(as_text=True)
    there = landed(approver.send(f"/personalisasi/{asked[0]}/setujui", digest=value_of(page, "digest"), berikutnya="1"))
    assert there.startswith(f"/personalisasi/{asked[1]}?")
    told = approver.get(there).get_data(as_text=True)
    assert f'href="/personalisasi/{asked[0]}"' in told
    assert "Persetujuan Anda telah dicatat" in told
    stays = landed(approver.send(f"/personalisasi/{asked[1]}/kembalikan", note="Surat tidak terbaca."))
    assert stays.startswith(f"/personalisasi/{asked[1]}?")
    last = approver.send(f"/personalisasi/{asked[2]}/tolak", note="Surat tidak sah.", berikutnya="1")
    assert landed(last).startswith(f"/personalisasi/{asked[2]}?")  # nothing more waits
