"""A misplaced reader is suspended and relocated: its place is rejected, a second person suspends the card, a relocation answers."""

from __future__ import annotations

import secrets

from sifilma.demo import checks, facts
from sifilma.demo.stage import Stage, activate, approve, hand_over, letter, place, request_activation

OPERATOR, HOLDER = "operator1", "bangli.kepala"


def a_misplaced_reader_is_suspended_and_relocated(stage: Stage) -> None:
    """Play a reader that stands where it does not belong."""
    who, number = stage.people[HOLDER], f"CRD-{stage.tag}-SALAH"
    who.post("/units", [{"hardware_number": number, "model": "LEN-CRD-1", "function": "R", "pcid": secrets.token_hex(16)}], 201)
    uid = _card(stage)
    _, tokens = request_activation(stage, HOLDER, [uid], "/L", "new", "penyetuju1")
    town = place(stage, HOLDER, facts.BANGLI_TOWN, facts.ACTIVATION_ADDRESS)
    far = town | {"longitude": 115.45, "source": "typed", "reason": "dibawa petugas ke desa"}
    done = activate(stage, HOLDER, uid, tokens[uid], number, far)
    stage.people[OPERATOR].post(f"/activations/{done['id']}/review", {"decision": "rejected", "note": "tidak ada surat tugas"})
    [found] = [one for one in who.get("/place-suspensions")["items"] if one["card"] == uid]
    stage.say(f"{OPERATOR} rejects the place: the card is to be suspended, at the latest on {found['due_at'][:10]}")
    decision = {"decision": "suspend", "note": "mesin belum kembali"}
    state = stage.people["penyetuju1"].post(f"/place-suspensions/{found['id']}/decision", decision)["state"]
    manifest = who.get("/manifests", sam_uid=uid)["items"][0]
    stage.say(f"penyetuju1, another person, decides → {state}; manifest {manifest['seq']} is {manifest['state']}")
    _, tokens = request_activation(stage, HOLDER, [uid], "/K", "relocation", "penyetuju2")
    done = activate(stage, HOLDER, uid, tokens[uid], number, town)
    state = who.get(f"/place-suspensions/{found['id']}")["state"]
    stage.say(f"the place fits: the suspension is {state}, the card is {who.get(f'/cards/{uid}')['state']}")
    checks.download(stage, HOLDER, done["manifest"]["id"], uid)


def _card(stage: Stage) -> str:
    """Personalise one card for Bangli, and hand it over."""
    stated, who = stage.letter_facts(facts.PERSONALISATION, "/L"), stage.people[HOLDER]
    pdf = letter(facts.BANGLI, stated, "Mohon personalisasi 1 kartu SAM.")
    made = who.send("/personalisation-requests", stated | {"function": "R", "quantity": 1}, 201, letter=pdf)
    who.post(f"/personalisation-requests/{made['id']}/submit")
    approve(stage, "personalisation-requests", made["id"], "penyetuju2")
    uid = stage.uid()
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    stage.people[OPERATOR].post(f"/personalisation-requests/{made['id']}/results", results)
    hand_over(stage, OPERATOR, HOLDER, facts.BANGLI, [uid])
    return uid
