"""A broken card goes back to its maker and is replaced, by a letter of the bank that cites it."""

from __future__ import annotations

from sifilma.demo import facts
from sifilma.demo.scenes import OPERATOR, personalise
from sifilma.demo.stage import Stage, activate, approve, hand_over, letter, place, request_activation

WHO, MAKER = "mandiri.kepala", "softorb.kepala"


def a_broken_card_is_replaced(stage: Stage) -> None:
    """Report a card of the bank as damaged, give it back, ask for another without a purchase order, and activate it in the same reader."""
    bank = stage.people[WHO]
    card = bank.get("/cards", state="received")["items"][0]
    uid = str(card["uid"])
    bank.post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "chip tidak terbaca setelah mesin terjatuh"})
    back = {"kind": "return", "reason": "repair", "to": stage.organisation(facts.SOFTORB), "cards": [uid]}
    bast = bank.post("/handovers", back, 201)
    stage.say(f"{WHO} reports {uid} damaged and gives it back to its maker by BAST {bast['number']}")
    pdf = bank.get(f"/handovers/{bast['id']}/document")
    stage.show(f"{stage.keep('BAST-' + bast['number'].replace('/', '-') + '.pdf', pdf)} ({len(pdf)} bytes)")
    stage.people[MAKER].post(f"/handovers/{bast['id']}/receive")
    stage.say(f"{MAKER} receives it; the card stays {bank.get(f'/cards/{uid}')['state']}")
    stated = stage.letter_facts(facts.Letter("91/BMRI/2018", "2018-12-12", "Permohonan penggantian kartu SAM"))
    pdf_of = letter(facts.MANDIRI, stated, f"Mohon penggantian kartu SAM rusak {uid}.")
    made = bank.send("/personalisation-requests", stated | {"function": "R", "replaces": [uid]}, 201, letter=pdf_of)
    bank.post(f"/personalisation-requests/{made['id']}/submit")
    stage.say(f"{WHO} asks for a replacement of {made['replaces'][0]}, without a purchase order")
    approve(stage, "personalisation-requests", made["id"], "penyetuju1")
    uids = personalise(stage, made["id"], 1)
    hand_over(stage, OPERATOR, WHO, facts.MANDIRI, uids)
    _, tokens = request_activation(stage, WHO, uids, "/G", "new", "penyetuju2")
    where = place(stage, WHO, facts.JAKARTA, "Plaza Mandiri, Jakarta")
    activate(stage, WHO, uids[0], tokens[uids[0]], str(card["unit"]), where)
