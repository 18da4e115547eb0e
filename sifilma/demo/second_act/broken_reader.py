"""A reader breaks: its card moves to a new one, whose mistyped number is put right and whose PCID comes from the maker."""

from __future__ import annotations

import secrets

from sifilma.demo import checks, facts
from sifilma.demo.stage import Stage, activate, place, request_activation

WHO, MAKER = "bangli.kepala", "len.kepala"
WHY = "terjatuh dari meja pelayanan, slot kartu patah"


def a_reader_breaks(stage: Stage) -> None:
    """Play the break, the new unit, the request of the kind replacement, the new manifest, and the end of the old unit."""
    who = stage.people[WHO]
    working = who.get("/units", condition="working", limit=100)["items"]
    old = next(unit for unit in working if unit["state"] == "active" and unit["function"] == "R")
    who.post(f"/units/{old['id']}/break", {"reason": WHY})
    stage.say(f"{WHO} reports {old['hardware_number']} broken ({WHY}); its card {old['card']} stays in it for now")
    number = _new_unit(stage)
    moved = {"sam_uid": old["card"], "hardware_number": number, "reason": WHY}
    _, tokens = request_activation(stage, WHO, [old["card"]], "/G", "replacement", "penyetuju1", replacements=[moved])
    where = place(stage, WHO, facts.BANGLI_TOWN, "Kantor Disdukcapil Kabupaten Bangli")
    done = activate(stage, WHO, old["card"], tokens[old["card"]], number, where)
    former = stage.people["auditor1"].get("/manifests", sam_uid=old["card"])["items"][1]
    stage.say(f"the card is in {number}: manifest {former['seq']} is {former['state']}, manifest {done['manifest']['seq']} stands")
    checks.download(stage, WHO, done["manifest"]["id"], old["card"])
    retired = who.post(f"/units/{old['id']}/retire", {"reason": "tidak dapat diperbaiki"})
    stage.say(f"{old['hardware_number']} is {retired['condition']}")


def _new_unit(stage: Stage) -> str:
    """Register a reader with a typing error and without PCID; correct the one, let the maker supply the other."""
    who, number = stage.people[WHO], f"CRD-{stage.tag}-GANTI"
    made = who.post("/units", {"hardware_number": f"{number}O", "model": "LEN-CRD-1", "function": "R"}, 201)
    who.post(f"/units/{made['id']}/correct", {"hardware_number": number, "reason": "salah ketik"})
    stage.say(f"{WHO} registers a new reader, and corrects its number to {number}: nothing was bound to it yet")
    stage.people[MAKER].post(f"/units/{made['id']}/pcid", {"pcid": secrets.token_hex(16)})
    stage.say(f"{MAKER} supplies its PCID, for which it had a task")
    return number
