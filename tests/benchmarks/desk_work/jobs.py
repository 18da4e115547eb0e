"""Six jobs on the pages of this checkout, by the shortest way that its pages offer."""

from __future__ import annotations

import zipfile

from tests.benchmarks.desk_work.counting import Desk
from tests.benchmarks.desk_work.work import (
    APPROVER,
    BANK,
    BATCH,
    MAKER,
    OFFICE,
    OPERATOR,
    WITNESSES,
    Work,
    key_of,
    letter_fields,
    worker,
)
from tests.support.browser import code
from tests.support.world import done, new_uid

ISSUE = "form:has(input[name=to]) button[type=submit]"
SEND = "button[name=lalu][value=ajukan]"
WAITS = "section:has(#waiting) ol.work a"


def office_asks_and_activates_five(work: Work) -> None:
    """An office asks for five cards, receives them, asks for their activation, activates each and stores five manifests."""
    world, desk = work.world, work.desk(OFFICE)
    world.units(OFFICE, 5)
    desk.go("main a[href='/personalisasi/baru']")
    _letter(work, desk)
    desk.choose("function", "RW")
    desk.type(quantity="5")
    desk.go(SEND)
    request = key_of(desk)
    world.approve("personalisation-requests", request, APPROVER, "penyetuju2")
    uids = work.personalised(request, 5)
    done(world.client(OPERATOR).post("/handovers", {"to": str(world.organisation_of(OFFICE)), "cards": uids}), 201)
    desk = work.desk(OFFICE)
    desk.go(WAITS)
    desk.tick("[data-all=counted]")
    desk.go("form[action$='/terima'] button")
    desk.confirm()
    desk.go(".next-steps a")
    _letter(work, desk)
    desk.go(SEND)
    world.approve("activation-requests", key_of(desk), APPROVER, "penyetuju2")
    desk = work.desk(OFFICE)
    desk.go(WAITS)
    _activate_all(work, desk, "Kantor Dinas, lantai 1", len(uids))
    assert work.states(OFFICE, uids) == {"active"}


def _activate_all(work: Work, desk: Desk, address: str, count: int) -> None:
    """Activate all cards of a request at the place of the device, and store their manifests as one file."""
    desk.click("#lokasi")
    desk.page.wait_for_selector("#hasil .good")
    desk.type(address=address)
    desk.go(".send button")
    with worker(work.world):
        desk.page.wait_for_selector("form[data-download] input[name=pekerjaan]", state="attached", timeout=120_000)
    stored = desk.download("form:has(input[name=pekerjaan]) button", work.folder)
    with zipfile.ZipFile(stored) as archive:
        assert sum(name.endswith(".jws") for name in archive.namelist()) == count


def maker_sends_two_hundred_rows(work: Work) -> None:
    """A maker sends 200 rows of which three are wrong, puts the three cells right on the page, and submits."""
    rows, desk = work.batch_rows(200), work.desk(MAKER)
    wrong = [list(row) for row in rows]
    wrong[3][0], wrong[70][2], wrong[150][3] = "TIDAK-ADA", "XYZ", "12"
    desk.go("main a[href='/personalisasi/baru']")
    _letter(work, desk)
    desk.type(purchase_order_number="PO-1")
    desk.file("purchase_order", work.paper())
    desk.file("batch", work.table("salah.csv", BATCH, wrong))
    desk.go(SEND)
    desk.type(**{"mend.5.hardware_number": rows[3][0], "mend.72.pcid": rows[70][2], "mend.152.sam_uid": rows[150][3]})
    desk.go(SEND)
    sent = work.world.client(MAKER).get(f"/personalisation-requests/{key_of(desk)}").json
    assert (sent["state"], sent["quantity"]) == ("submitted", 200)


def institution_activates_fifty(work: Work) -> None:
    """An institution asks for the activation of 50 cards, activates them at one address, and stores their manifests."""
    uids, desk = work.bank_receives(50), work.desk(BANK)
    desk.go(WAITS)
    _letter(work, desk)
    desk.go(SEND)
    work.world.approve("activation-requests", key_of(desk), APPROVER)
    desk = work.desk(BANK)
    desk.go(WAITS)
    _activate_all(work, desk, "Kantor Cabang", len(uids))
    assert work.states(BANK, uids) == {"active"}


def approver_decides_ten(work: Work) -> None:
    """An approver reads ten requests beside their letters: eight are approved, one is returned, one is rejected."""
    for number in range(10):
        work.world.submitted("bangli.kepala" if number % 2 else OFFICE, "R", 1)
    desk = work.desk(APPROVER, fresh=False)
    desk.go(WAITS)
    desk.type(otp_code=code(work.world, APPROVER))
    for number in range(10):
        if number < 8:
            desk.go("[formaction$=setujui]")
            continue
        desk.type(note="Nomor surat tidak sama.")
        desk.go("[formaction$=kembalikan]" if number == 8 else "[formaction$=tolak]")
        if number == 9:
            desk.confirm()
    assert work.states_of_requests() == {"approved": 8, "returned": 1, "rejected": 1}


def operator_personalises_and_hands_over(work: Work) -> None:
    """An operator records five cards of an approved request, their UIDs pasted from a list, and issues their BAST."""
    asked = work.world.submitted(OFFICE, "RW", 5)["id"]
    work.world.approve("personalisation-requests", asked, APPROVER, "penyetuju2")
    desk, uids = work.desk(OPERATOR), [new_uid() for _ in range(5)]
    desk.go(f"a[href='/personalisasi/{asked}/hasil']")
    desk.paste("[name=sam_uid]", uids)
    desk.go("form:has([data-rows]) button[type=submit]")
    desk.go(ISSUE)
    assert work.states(OPERATOR, uids) == {"handed_over"}


def office_destroys_one_card(work: Work) -> None:
    """A head reports a card locked and proposes to destroy it, and records its destruction before two witnesses.

    The official and the witnesses have been on an earlier Berita Acara of this office.
    """
    work.destroyed_before()
    uid, desk = work.world.active()[0].uids[0], work.desk(OFFICE)
    desk.menu()
    desk.go(".side a[href='/kartu']")
    desk.go(f"a[href='/kartu/{uid}']")
    desk.tick("input[value=locked]")
    desk.type(note="PIN salah berulang kali")
    desk.go("button[name=lalu][value=usulkan]")
    desk.confirm()
    proposal = key_of(desk)
    work.world.approve("destructions", proposal, APPROVER)
    desk = work.desk(OFFICE, fresh=False)
    desk.go(f"a[href='/pemusnahan/{proposal}/rekam']")
    for number in range(len(WITNESSES)):
        desk.choose(f"witnesses.{number}.known", index=number + 1)
    desk.choose("official.known", index=1)
    desk.type(method="cip dipotong menjadi dua")
    desk.file("photos", work.picture())
    desk.type(otp_code=code(work.world, OFFICE))
    desk.tick("[name=sure]")
    desk.go("button:has-text('Catat pemusnahan')")
    assert work.states(OFFICE, [uid]) == {"destroyed"}


def _letter(work: Work, desk: Desk) -> None:
    """Give the number and the file of a letter of today; its subject is the usual one."""
    desk.type(letter_number=letter_fields()["letter_number"])
    desk.file("letter", work.paper())


JOBS = (
    office_asks_and_activates_five,
    maker_sends_two_hundred_rows,
    institution_activates_fifty,
    approver_decides_ten,
    operator_personalises_and_hands_over,
    office_destroys_one_card,
)
BY_KEYBOARD = (operator_personalises_and_hands_over, office_destroys_one_card)
"""The jobs that are done without a pointer too."""
