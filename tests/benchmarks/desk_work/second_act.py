"""What goes wrong every week, on the pages of this checkout: the six scenes of the demonstration's second act.

Each scene makes what it needs by the API, as far as it is everyday work. What the scene is about is done by the pages, each person from
their home page on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pyotp

from tests.activation.bulk.sheets import worked
from tests.benchmarks.desk_work.counting import Desk
from tests.benchmarks.desk_work.work import APPROVER, BANK, MAKER, OFFICE, OPERATOR, Work, key_of, letter_fields
from tests.support.browser import opened
from tests.support.world import PASSWORD, Ready, done, letter

SEND = "button[name=lalu][value=ajukan]"
SECOND, READER_MAKER, ADMINISTRATOR, TRANSFERRED = "penyetuju2", "len.kepala", "admin1", "jatim.kepala"
BEGIN = "main form[method=post] button[type=submit]"
FAR = {"latitude": -7.1, "longitude": 112.4, "source": "typed", "reason": "dibawa petugas ke desa"}


def waits(words: str) -> str:
    """Return the selector of the task with these words that waits on somebody's home page."""
    return f"section:has(#waiting) ol.work a:has-text('{words}')"


def a_reader_breaks_and_is_replaced(work: Work) -> None:
    """A card moves from a broken reader to a new one, whose mistyped number is corrected, and whose PCID its maker supplies."""
    ready, _ = work.world.active(OFFICE, "R")
    uid, number = ready.uids[0], f"CRD-{uuid4().hex[:8].upper()}"
    old, desk = ready.hardware[uid], work.desk(OFFICE)
    desk.menu()
    desk.go(".side a[href='/unit']")
    desk.go(f"main a:text-is('{old}')")
    desk.type(reason="terjatuh dari meja pelayanan, slot kartu patah")
    desk.go("#condition button[formaction$='/rusak']")
    desk.go("main a[href^='/unit/daftar']")
    desk.type(hardware_number=f"{number}O")
    desk.go(BEGIN)
    _corrected(work, desk, number)
    desk.go(f"main a[href*='mesin={number}']")
    _letter(work, desk)
    desk.go(SEND)
    _activated(work, OFFICE, key_of(desk), uid, number)
    if not work.brief:
        desk = work.desk(OFFICE)
        desk.go(waits(old))
        desk.type(reason="tidak dapat diperbaiki")
        desk.go("#condition button[formaction$='/afkir']")
        desk.confirm()
    found = {one["hardware_number"]: one for one in work.world.client(OFFICE).get("/units", limit=100).json["items"]}
    assert (found[old]["condition"], found[old]["card"]) == ("broken" if work.brief else "retired", None)
    assert (found[number]["state"], found[number]["card"]) == ("active", uid)


def _corrected(work: Work, desk: Desk, number: str) -> None:
    """Put the number of the new reader right, whose page the desk has open, and let its maker supply the PCID."""
    if work.brief:
        client, unit = work.world.client(OFFICE), key_of(desk)
        done(client.post(f"/units/{unit}/correct", {"hardware_number": number, "pcid": secrets.token_hex(16), "reason": "salah ketik"}))
        desk.page.reload()
        return
    desk.go("main a[href$='/koreksi']")
    desk.page.fill("[name=hardware_number]", "")
    desk.type(hardware_number=number, reason="salah ketik")
    desk.go(BEGIN)
    maker = work.desk(READER_MAKER)
    maker.go(waits("PCID"))
    maker.go(f"main a:text-is('{number}')")
    maker.type(pcid=secrets.token_hex(16))
    maker.go("main form[action$='/pcid'] button[type=submit]")
    maker.confirm()


def a_bast_arrives_one_card_short(work: Work) -> None:
    """Of three cards two come: the receiver says so, and the issuer declares the third one lost with the report to the police."""
    world = work.world
    uids = sorted(world.personalised(OFFICE, "R", 3))
    issued = done(world.client(OPERATOR).post("/handovers", {"to": str(world.organisation_of(OFFICE)), "cards": uids}), 201)
    desk = work.desk(OFFICE)
    desk.go(waits(issued["number"]))
    desk.go("main a[href$='/selisih']")
    for uid in uids[:2]:
        desk.tick(f"input[name=cards][value='{uid}']")
    desk.go(BEGIN)
    desk.type(**{f"seen.{uids[2]}": "tidak ada di dalam kotak; segel utuh"})
    desk.go(BEGIN)
    desk.confirm()
    assert work.states(OFFICE, uids[:2]) == {"received"}
    operator = work.desk(OPERATOR)
    operator.go(waits(issued["number"]))
    operator.tick(f"input[name=cards][value='{uids[2]}']")
    operator.type(note="tidak ditemukan di gudang dan kurir", police_report="LP/B/77/XI/2026/SPKT")
    operator.go("button[formaction$='/hilang']")
    operator.confirm()
    assert work.states(OPERATOR, uids[2:]) == {"lost"}
    if not work.brief:
        _told(work.desk(OFFICE), issued["number"], "LP/B/77/XI/2026/SPKT")


def an_order_closes_with_a_remainder(work: Work) -> None:
    """An office needs two cards of three: it proposes to close its request, an approver decides, and the office is told."""
    asked = work.world.submitted(OFFICE, "R", 3)
    work.world.approve("personalisation-requests", asked["id"], APPROVER)
    work.personalised(asked["id"], 2)
    desk = work.desk(OFFICE)
    desk.go(f"section:has(#awaited) a:has-text('{asked['letter_number']}')")
    desk.type(reason="satu loket ditutup, cukup dua kartu")
    desk.go("#close button[type=submit]")
    desk.confirm()
    approver = work.desk(SECOND)
    approver.go(waits(asked["letter_number"]))
    approver.tick("#close input[value=execute]")
    approver.page.locator("#close [name=reason]").fill("sesuai surat kantor")
    approver.go("#close button[type=submit]")
    approver.confirm()
    found = work.world.client(OFFICE).get(f"/personalisation-requests/{asked['id']}").json
    assert (found["state"], found["closing"]["remainder"]) == ("closed", 1)
    if not work.brief:
        _told(work.desk(OFFICE), asked["letter_number"], "Ditutup")


def a_misplaced_reader_is_suspended_and_relocated(work: Work) -> None:
    """An operator rejects a place, an approver suspends the card, and its holder answers with a relocation."""
    world = work.world
    ready = world.ready(OFFICE, "R")
    uid = ready.uids[0]
    done(world.client(OFFICE).post("/activations", world.activation(ready, uid, **FAR)), 201)
    pairs = " ".join(uid[at : at + 2] for at in range(0, len(uid), 2))
    operator = work.desk(OPERATOR)
    operator.go(waits(pairs))
    operator.tick("input[name=decision][value=rejected]")
    operator.type(note="tidak ada surat tugas")
    operator.go("form[action$='/putusan'] button[type=submit]")
    operator.confirm()
    approver = work.desk(SECOND)
    approver.go(waits("dibekukan"))
    approver.tick("input[name=decision][value=suspend]")
    approver.type(note="mesin belum kembali")
    approver.go("form[action$='/putusan'] button[type=submit]")
    approver.confirm()
    assert work.states(OFFICE, [uid]) == {"suspended"}
    desk = work.desk(OFFICE)
    desk.go(waits("Lokasi sebuah kartu ditolak"))
    desk.go("main a[href*='jenis=relocation']")
    _letter(work, desk)
    desk.go(SEND)
    _activated(work, OFFICE, key_of(desk), uid, ready.hardware[uid])
    assert work.states(OFFICE, [uid]) == {"active"}
    [found] = [one for one in world.client(OFFICE).get("/place-suspensions").json["items"] if one["card"] == uid]
    assert found["state"] == "answered"


def a_broken_card_goes_back_and_is_replaced(work: Work) -> None:
    """A bank gives a broken card back to its maker, asks for another without a purchase order, and activates it in the same machine."""
    world, uid = work.world, work.bank_receives(1)[0]
    number = world.client(BANK).get(f"/cards/{uid}").json["unit"]
    desk = work.desk(BANK)
    desk.menu()
    desk.go(".side a[href='/kartu']")
    desk.go(f"main a[href='/kartu/{uid}']")
    desk.tick("input[value=damaged]")
    desk.type(note="chip tidak terbaca setelah mesin terjatuh")
    desk.go("form[action$='/lapor'] button[type=submit]:not([name])")
    desk.confirm()
    desk.go("main a[href^='/bast/kembalikan']")
    desk.go("main .choices a:has-text('Softorb')")
    desk.choose("reason", "repair")
    desk.go(BEGIN)
    if work.brief:
        done(world.client(MAKER).post(f"/handovers/{key_of(desk)}/receive"))
    else:
        maker = work.desk(MAKER)
        maker.go(waits("BAST"))
        maker.tick("[data-all=counted]")
        maker.go("form[action$='/terima'] button")
        maker.confirm()
    desk.go("main a[href*='ganti=']")
    _letter(work, desk)
    desk.go(SEND)
    asked = key_of(desk)
    world.approve("personalisation-requests", asked, APPROVER)
    new = work.personalised(asked, 1)
    bast = done(world.client(OPERATOR).post("/handovers", {"to": str(world.organisation_of(BANK)), "cards": new}), 201)
    if work.brief:
        done(world.client(BANK).post(f"/handovers/{bast['id']}/receive"))
        _activated(work, BANK, world.requested(BANK, new)["id"], new[0], number)
    else:
        desk = work.desk(BANK)
        desk.go(waits(bast["number"]))
        desk.tick("[data-all=counted]")
        desk.go("form[action$='/terima'] button")
        desk.confirm()
        desk.go(".next-steps a")
        _letter(work, desk)
        desk.go(SEND)
        _activated(work, BANK, key_of(desk), new[0], number)
    card = world.client(BANK).get(f"/cards/{new[0]}").json
    assert (card["state"], card["unit"]) == ("active", number)


def a_head_is_transferred(work: Work) -> None:
    """A head proposes who follows by decree, a user administrator executes it, and the new head takes the office up with its open work."""
    drafted = work.world.submitted(TRANSFERRED, "R", 1)["letter_number"]
    name, number = f"kepala.{secrets.token_hex(4)}", f"19850101{secrets.randbelow(10**10):010}"
    person = {"name": "Wahyu Contoh", "username": name, "id_number": number}
    link = _succession_by_api(work, person) if work.brief else _succession(work, person, drafted)
    new = Desk(opened(work.browser, work.server, work.width), work.count, work.look, keys=work.keys)
    new.page.goto(f"/undangan/{link.rpartition('/')[2].strip()}")
    seed = new.page.text_content("details code") or ""
    new.type(password=PASSWORD, repeat=PASSWORD, code=pyotp.TOTP(seed).now())
    new.go(BEGIN)
    _told(new, "Anda kepala menurut surat keputusan", drafted)


def _succession(work: Work, person: dict[str, str], drafted: str) -> str:
    """Propose the successor and execute it by the pages. Return the link of the invitation."""
    desk = work.desk(TRANSFERRED)
    desk.menu()
    desk.go(".side a[href='/pengguna']")
    desk.go("main a[href='/pergantian']")
    desk.go("main a[href='/pergantian/baru']")
    desk.type(decree_number=f"821.2/{secrets.randbelow(10**6)}", decree_date="2026-11-20")
    desk.file("decree", work.paper())
    desk.choose("former", "staff")
    desk.type(**{f"invited.{field}": value for field, value in person.items()})
    desk.choose("invited.id_kind", "nip")
    desk.go("form[action='/pergantian/baru'] button[type=submit]")
    assert drafted in desk.page.inner_text("main")
    administrator = work.desk(ADMINISTRATOR)
    administrator.go(waits("akun"))
    administrator.go("main a[href^='/pergantian/']")
    administrator.click("summary:has-text('Laksanakan')")
    administrator.go(".confirm[open] button[type=submit]")
    return administrator.page.inner_text("#rahasia")


def _succession_by_api(work: Work, person: dict[str, str]) -> str:
    """Propose the successor and execute it by the API: the pages are in tests/browser/test_succession.py. Return the link."""
    world = work.world
    decree = {"decree_number": f"821.2/{secrets.randbelow(10**6)}", "decree_date": "2026-11-20"}
    asked = decree | {"invited": person | {"id_kind": "nip"}, "former": "staff"}
    made = done(world.client(TRANSFERRED).send("/head-successions", asked, decree=letter()), 202)
    answer = done(world.client(ADMINISTRATOR).post(f"/user-changes/{made['id']}/decision", {"decision": "execute"}))
    return str(answer["invitation"])


def _told(desk: Desk, title: str, words: str) -> None:
    """Open the newest notice of the bell with this title, and find these words on its page."""
    desk.go(".bell")
    desk.go(f"main button:has-text('{title}')")
    assert words in desk.page.inner_text("main")


def _letter(work: Work, desk: Desk) -> None:
    """Give the number and the file of a letter of today; its subject is the usual one."""
    desk.type(letter_number=letter_fields()["letter_number"])
    desk.file("letter", work.paper())


def _activated(work: Work, who: str, asked: str, uid: str, number: str) -> None:
    """Let a request be approved, and activate its card at the place of the device, from the home page on."""
    world = work.world
    world.approve("activation-requests", asked, APPROVER)
    if work.brief:
        token = done(world.client(who).post(f"/activation-requests/{asked}/tokens"))["tokens"][0]["token"]
        body = world.activation(Ready([uid], {uid: token}, {uid: number}, asked), uid)
        done(world.client(who).post("/activations", body), 201)
        return
    desk = work.desk(who)
    desk.go(f"section:has(#waiting) ol.work a[href*='{asked}']")
    desk.click("#lokasi")
    desk.page.wait_for_selector("#hasil .good")
    desk.type(address="Kantor Dinas, lantai 1")
    desk.go(".send button")
    world.clock.set(datetime.now(UTC))
    assert worked(world) == 1
    desk.page.wait_for_selector("form[data-download] input[name=pekerjaan]", state="attached")


Scene = Callable[[Work], None]
SCENES: tuple[Scene, ...] = (
    a_reader_breaks_and_is_replaced,
    a_bast_arrives_one_card_short,
    an_order_closes_with_a_remainder,
    a_misplaced_reader_is_suspended_and_relocated,
    a_broken_card_goes_back_and_is_replaced,
    a_head_is_transferred,
)
"""In the order of the demonstration. The last one ends the session of a head."""
