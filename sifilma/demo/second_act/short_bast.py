"""A BAST arrives one card short: the card is missing, then declared lost with the report to the police."""

from __future__ import annotations

from sifilma.demo import facts
from sifilma.demo.scenes import OPERATOR, office_request, personalise
from sifilma.demo.stage import Stage, approve

WHO = "bangli.kepala"


def a_bast_arrives_short(stage: Stage) -> None:
    """Hand three cards over, of which two come. One paper states it, and the issuer declares the third card lost."""
    office, operator = stage.people[WHO], stage.people[OPERATOR]
    request = office_request(stage, WHO, facts.BANGLI, "R", 3, "/K")
    approve(stage, "personalisation-requests", request, "penyetuju1")
    uids = personalise(stage, request, 3)
    bast = operator.post("/handovers", {"to": stage.organisation(facts.BANGLI), "cards": uids}, 201)
    stage.say(f"{OPERATOR} issues BAST {bast['number']} for 3 cards; the box arrives with 2")
    told = {"received": uids[:2], "missing": [{"sam_uid": uids[2], "note": "tidak ada di dalam kotak; segel utuh"}]}
    short = office.post(f"/handovers/{bast['id']}/receive", told)
    paper = short["discrepancy"]
    stage.say(f"{WHO} receives what came → {short['state']}; Berita Acara Selisih {paper['number']}")
    pdf = office.get(f"/handovers/{bast['id']}/discrepancy")
    stage.show(f"{stage.keep('BA-SELISIH-' + paper['number'].replace('/', '-') + '.pdf', pdf)} ({len(pdf)} bytes)")
    state = operator.get(f"/cards/{uids[2]}")["state"]
    stage.say(f"the missing card is {state}: it stays with the directorate until somebody says what became of it")
    lost = operator.post(
        f"/handovers/{bast['id']}/lost",
        {"cards": [uids[2]], "police_report": f"LP/B/{stage.tag}/XI/2026/SPKT", "note": "tidak ditemukan di gudang dan kurir"},
    )
    one = lost["discrepancy"]["cards"][0]
    stage.say(f"{OPERATOR} declares it lost with report {one['police_report']} → {operator.get(f'/cards/{uids[2]}')['state']}")
