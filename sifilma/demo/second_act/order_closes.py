"""An order closes with a remainder: two of three cards are made, then the office needs no more. The blanks are counted before and after."""

from __future__ import annotations

from typing import Any

from sifilma.demo import facts
from sifilma.demo.stage import Stage, approve, letter

OPERATOR = "operator1"


def an_order_closes_with_a_remainder(stage: Stage) -> None:
    """Play a delivery of blank SAMs, an order that shrinks, and the ledger that balances."""
    blanks = [stage.uid() for _ in range(4)]
    note = {"number": f"SJ-{stage.tag}", "supplier": "PT Kartu Contoh", "delivered_on": facts.ACTIVATION.date, "cards": blanks}
    stage.people[OPERATOR].post("/blank-deliveries", note, 201)
    stage.say(f"{OPERATOR} records a delivery of {len(blanks)} blank SAMs, note {note['number']}: {_balance(stage)}")
    request = _asked(stage)
    approve(stage, "personalisation-requests", request, "penyetuju1")
    issued = stage.people[OPERATOR].post("/blank-cards/issue", {"personalisation_request": request, "count": 3})["items"]
    stage.say(f"{OPERATOR} issues three of them to personalisation: {_balance(stage)}")
    results = [{"sam_uid": one["sam_uid"], "outcome": "personalised"} for one in issued[:2]]
    state = stage.people[OPERATOR].post(f"/personalisation-requests/{request}/results", {"results": results})["state"]
    stage.say(f"{OPERATOR} records two results of three → {state}")
    path = f"/personalisation-requests/{request}/close"
    stage.people["bangli.kepala"].post(path, {"reason": "satu loket ditutup, cukup dua kartu"}, 202)
    stage.say("bangli.kepala needs no third card any more, and proposes to close the request")
    done = stage.people["penyetuju2"].post(path, {"reason": "sesuai surat kantor"})
    stage.say(f"penyetuju2 decides → {done['state']}: {done['made']} made, a remainder of {done['closing']['remainder']}")
    stage.say(f"the third blank is back in the store: {_balance(stage)}")


def _asked(stage: Stage) -> str:
    stated = stage.letter_facts(facts.PERSONALISATION, "/S")
    pdf = letter(facts.BANGLI, stated, "Mohon personalisasi 3 kartu SAM.")
    made = stage.people["bangli.kepala"].send("/personalisation-requests", stated | {"function": "R", "quantity": 3}, 201, letter=pdf)
    stage.people["bangli.kepala"].post(f"/personalisation-requests/{made['id']}/submit")
    stage.say(f"bangli.kepala asks for 3 R cards, letter {stated['letter_number']}")
    return str(made["id"])


def _balance(stage: Stage) -> str:
    found: dict[str, Any] = stage.people[OPERATOR].get("/blank-stock")
    names = ("left", "issued", "personalised", "failed", "withdrawn")
    return f"{found['delivered']} delivered = " + " + ".join(f"{found[name]} {name}" for name in names)
