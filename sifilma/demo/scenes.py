"""The scenes: RW cards of an office, R readers of an office, an institution with its manufacturer, a relocation, a destruction."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Sequence
from typing import Any

from joserfc import jwe
from joserfc.jwk import ECKey

from sifilma.demo import checks, facts, sample_files
from sifilma.demo.people import Machine
from sifilma.demo.stage import Stage, activate, approve, hand_over, letter, place, request_activation

OPERATOR = "operator1"
_WITNESS = ("name", "id_kind", "id_number", "office", "position")
WITNESSES = (
    ("Satria Contoh", "nip", "198512122010031013", "Inspektorat Kabupaten Magetan", "Auditor"),
    ("Tari Contoh", "nrp", "81020304", "Polres Magetan", "Perwira"),
)


def magetan(stage: Stage) -> None:
    """Play five RW cards: two approvers, a failed card and its replacement, a wrong token, five manifests, a relocation, a destruction."""
    who = stage.people["magetan.kepala"]
    numbers = [f"ENC-{stage.tag}-{n}" for n in range(1, facts.PERSONALISATION_CARDS + 1)]
    units = [{"hardware_number": n, "model": "LEN-ENC-1", "function": "RW", "pcid": secrets.token_hex(16)} for n in numbers]
    who.post("/units", units, 201)
    stage.say(f"magetan.kepala registers {len(units)} encoders")
    request = office_request(stage, "magetan.kepala", facts.MAGETAN, "RW", facts.PERSONALISATION_CARDS)
    approve(stage, "personalisation-requests", request, "penyetuju1", "penyetuju2")
    uids = personalise(stage, request, facts.PERSONALISATION_CARDS, one_fails=True)
    hand_over(stage, OPERATOR, "magetan.kepala", facts.MAGETAN, uids)
    _, tokens = request_activation(stage, "magetan.kepala", uids, "", "new", "penyetuju1", "penyetuju2")
    where = place(stage, "magetan.kepala", facts.MAGETAN_TOWN, "Kantor Disdukcapil Kabupaten Magetan")
    _wrong_token(stage, uids[0], numbers[0], where)
    done = [activate(stage, "magetan.kepala", uid, tokens[uid], hw, where) for uid, hw in zip(uids, numbers, strict=True)]
    checks.download(stage, "magetan.kepala", done[0]["manifest"]["id"], uids[0])
    _relocate(stage, uids[1], numbers[1])
    _destroy(stage, uids[2])


def office_request(stage: Stage, who: str, sender: str, function: str, quantity: int, suffix: str = "") -> str:
    """Submit an office's request for cards with its letter, and have it verified. Return its id. `suffix` tells its letters apart."""
    stated = stage.letter_facts(facts.PERSONALISATION, suffix)
    pdf = letter(sender, stated, f"Mohon personalisasi {quantity} kartu SAM.")
    made = stage.people[who].send("/personalisation-requests", stated | {"function": function, "quantity": quantity}, 201, letter=pdf)
    stage.people[who].post(f"/personalisation-requests/{made['id']}/submit")
    stage.say(f"{who} asks for {quantity} {function} cards, letter {stated['letter_number']}")
    stage.people[OPERATOR].post(f"/personalisation-requests/{made['id']}/verify")
    return str(made["id"])


def personalise(stage: Stage, request: str, quantity: int, *, one_fails: bool = False) -> list[str]:
    """Record the results in two parts if there are more than two. A failed card becomes damaged at once and is replaced."""
    uids = [stage.uid() for _ in range(quantity)]
    results: list[dict[str, Any]] = [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]
    if one_fails:
        results.insert(1, {"sam_uid": stage.uid(), "outcome": "failed"})
    for part in filter(None, (results[:2], results[2:])):
        state = stage.people[OPERATOR].post(f"/personalisation-requests/{request}/results", {"results": part})["state"]
        stage.say(f"{OPERATOR} records {len(part)} results → {state}")
    return uids


def _wrong_token(stage: Stage, uid: str, hardware: str, where: dict[str, Any]) -> None:
    body = {"sam_uid": uid, "token": "AAAAAAAAAA", "hardware_number": hardware} | where
    refused = stage.people["magetan.kepala"].post("/activations", body, 422)
    stage.say(f"a wrong token is refused: {refused['detail']}")


def _relocate(stage: Stage, uid: str, hardware: str) -> None:
    _, tokens = request_activation(stage, "magetan.kepala", [uid], "/P", "relocation", "penyetuju2", "penyetuju1")
    where = place(stage, "magetan.kepala", facts.MAGETAN_PLAOSAN, "Kantor Kecamatan Plaosan")
    done = activate(stage, "magetan.kepala", uid, tokens[uid], hardware, where)
    old = stage.people["auditor1"].get("/manifests", sam_uid=uid)["items"][-1]
    stage.say(f"the card moved: manifest {old['seq']} is {old['state']}, manifest {done['manifest']['seq']} stands")
    checks.download(stage, "magetan.kepala", done["manifest"]["id"], uid)


def _destroy(stage: Stage, uid: str) -> None:
    """Play the end of a locked card: report, revocation of its manifest, proposal, approval, destruction before witnesses, verification."""
    holder = stage.people["magetan.kepala"]
    holder.post(f"/cards/{uid}/reports", {"condition": "locked", "note": "PIN terblokir setelah penggantian mesin"})
    manifest = stage.people["auditor1"].get("/manifests", sam_uid=uid)["items"][0]
    stage.say(f"magetan.kepala reports {uid} locked → its manifest is {manifest['state']}")
    made = holder.post("/destructions", {"cards": [uid], "cause": "locked", "note": "tidak dapat dibuka kembali"}, 201)
    approve(stage, "destructions", made["id"], "penyetuju1")
    record = {
        "place": "Kantor Disdukcapil Kabupaten Magetan",
        "executed_at": stage.clock.now().isoformat(),
        "method": "keping dipotong menembus chip",
        "official": {"name": "Indah Contoh", "id_kind": "nip", "id_number": "197609092001032009", "position": "Kepala Dinas"},
        "witnesses": [dict(zip(_WITNESS, values, strict=True)) for values in WITNESSES],
    }
    done = holder.send(f"/destructions/{made['id']}/record", record, 200, part="record", photos=[sample_files.photo()])
    pdf = holder.get(f"/destructions/{made['id']}/document")
    path = stage.keep(f"BA-{done['number'].replace('/', '-')}.pdf", pdf)
    stage.say(f"magetan.kepala records Berita Acara {done['number']} with two witnesses and a photo → {done['state']}")
    stage.show(f"{path} ({len(pdf)} bytes)")
    done = stage.people["operator2"].post(f"/destructions/{made['id']}/verify")
    state = holder.get(f"/cards/{uid}")["state"]
    stage.say(f"operator2 verifies it → {done['state']}; the card is {state}")


def bangli(stage: Stage) -> None:
    """Play two R readers of PT LEN. One of them is where the map shows another regency: its place gets a reason and a review."""
    who = stage.people["bangli.kepala"]
    readers = [(_free_number(stage, "bangli.kepala", number), perso) for number, perso in facts.ACTIVATION_READERS]
    units = [
        {"hardware_number": n, "model": "LEN-CRD-1", "function": "R", "pcid": secrets.token_hex(16), "sam_perso": perso}
        for n, perso in readers
    ]
    made = who.post("/units", units, 201)["items"]
    stage.say(f"bangli.kepala registers 2 readers; warning: {[w for unit in made for w in unit['warnings']]}")
    request = office_request(stage, "bangli.kepala", facts.BANGLI, "R", 2)
    approve(stage, "personalisation-requests", request, "penyetuju1")
    uids = personalise(stage, request, 2)
    hand_over(stage, OPERATOR, "bangli.kepala", facts.BANGLI, uids)
    _, tokens = request_activation(stage, "bangli.kepala", uids, "", "new", "penyetuju2")
    town = place(stage, "bangli.kepala", facts.BANGLI_TOWN, facts.ACTIVATION_ADDRESS)
    done = activate(stage, "bangli.kepala", uids[0], tokens[uids[0]], readers[0][0], town)
    checks.download(stage, "bangli.kepala", done["manifest"]["id"], uids[0])
    far = town | {"longitude": 115.45, "source": "typed", "reason": "layanan keliling di batas kabupaten"}
    refused = who.post(
        "/activations", {"sam_uid": uids[1], "token": tokens[uids[1]], "hardware_number": readers[1][0]} | far | {"reason": ""}, 422
    )
    stage.say(f"a place that does not fit needs a reason: {refused['detail']}")
    done = activate(stage, "bangli.kepala", uids[1], tokens[uids[1]], readers[1][0], far)
    seen = stage.people[OPERATOR].post(f"/activations/{done['id']}/review", {"decision": "accepted", "note": "surat tugas diperiksa"})
    stage.say(f"{OPERATOR} reviews the place → {seen['review']['state']}")


def _free_number(stage: Stage, who: str, number: str) -> str:
    """Return the hardware number of the letter in the first play, and one with this play's tag later."""
    taken = stage.people[who].get("/units", hardware_number=number)["items"]
    return f"{number}-{stage.tag}" if taken else number


def mandiri(stage: Stage) -> None:
    """Play an institution whose readers come from a manufacturer, with purchase order, batch and two BASTs. A machine activates."""
    who = stage.people["mandiri.kepala"]
    private = ECKey.generate_key("P-256", private=True)
    numbers = [f"BMRI-{stage.tag}-{n}" for n in (1, 2, 3)]
    units: list[dict[str, Any]] = [{"hardware_number": n, "model": "SOFTORB-CRD-1", "function": "R"} for n in numbers]
    registered = who.post("/units", units, 201)["items"]
    stage.say("mandiri.kepala registers 3 readers it bought")
    _register_key(stage, registered[0]["id"], private)
    request, uids = _batch(stage, numbers)
    approve(stage, "personalisation-requests", request, "penyetuju2")
    results = [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]
    state = stage.people[OPERATOR].post(f"/personalisation-requests/{request}/results", {"results": results})["state"]
    stage.say(f"{OPERATOR} records 3 results → {state}")
    hand_over(stage, OPERATOR, "softorb.kepala", facts.SOFTORB, uids)
    hand_over(stage, "softorb.kepala", "mandiri.kepala", facts.MANDIRI, uids)
    _, tokens = request_activation(stage, "mandiri.kepala", uids, "", "new", "penyetuju1")
    where = place(stage, "mandiri.kepala", facts.JAKARTA, "Plaza Mandiri, Jakarta")
    machine = Machine(stage.url, who.entry["api_key"])
    body = {"sam_uid": uids[0], "token": tokens[uids[0]], "hardware_number": numbers[0]} | where
    done = machine.post("/activations", body, 201).json()
    stage.say(f"the institution's machine activates {uids[0]} with its API key: place {done['place']}")
    jwe_file = machine.post(f"/manifests/{done['manifest']['id']}/download", {}, 200).content
    checks.keep_jwe(
        stage, uids[0], jwe_file, jwe.decrypt_compact(jwe_file.decode(), private).plaintext or b"", private.as_dict(private=True)
    )
    for uid, number in zip(uids[1:], numbers[1:], strict=True):
        activate(stage, "mandiri.kepala", uid, tokens[uid], number, where)
    _revoke(stage, uids[2])


def _register_key(stage: Stage, unit: str, private: ECKey) -> None:
    """Have the maker propose the public key of a reader, and the bank register it after it compared the thumbprint."""
    keys = [{"unit": unit, "public_jwk": private.as_dict(private=False)}]
    proposed = stage.people["softorb.kepala"].post("/unit-key-changes", {"keys": keys}, 201)
    stage.say(f"softorb.kepala, the maker, proposes the reader's public key: thumbprint {proposed['keys'][0]['thumbprint']}")
    stage.people["mandiri.kepala"].post(f"/unit-key-changes/{proposed['id']}/approve", {"digest": proposed["digest"]})
    stage.say("mandiri.kepala registers it: two persons for a key that manifests are encrypted to")


def _batch(stage: Stage, numbers: list[str]) -> tuple[str, list[str]]:
    """Send the manufacturer's batch, first with a wrong row, so that nothing is saved, then without errors."""
    who, uids = stage.people["softorb.kepala"], [stage.uid() for _ in numbers]
    rows = [(n, "SOFTORB-CRD-1", secrets.token_hex(16).upper(), uid, "") for n, uid in zip(numbers, uids, strict=True)]
    stated = stage.letter_facts(facts.Letter("12/SOFTORB/2018", "2018-12-10", "Permohonan personalisasi kartu SAM pembaca"))
    request = stated | {
        "function": "R",
        "on_behalf_of": stage.organisation(facts.MANDIRI),
        "purchase_order_number": f"PO-{stage.tag}",
    }
    pdf = letter(facts.SOFTORB, stated, "Mohon personalisasi kartu untuk Bank Mandiri.")
    order = ("po.pdf", letter(facts.MANDIRI, stated, "Pesanan pembelian.")[1], sample_files.PDF)
    wrong = [(rows[0][0], "SOFTORB-CRD-1", "00", uids[0], ""), *rows[1:]]
    refused = who.send("/personalisation-requests", request, 422, letter=pdf, purchase_order=order, batch=_csv(wrong))
    stage.say(f"softorb.kepala sends a batch with an error; nothing is saved: {refused['errors'][0]}")
    made = who.send("/personalisation-requests", request, 201, letter=pdf, purchase_order=order, batch=_csv(rows))
    who.post(f"/personalisation-requests/{made['id']}/submit")
    stage.say(f"softorb.kepala submits the batch of {made['quantity']} for {facts.MANDIRI}")
    return made["id"], uids


def _csv(rows: Sequence[tuple[str, ...]]) -> tuple[str, bytes, str]:
    out = io.StringIO()
    csv.writer(out).writerows([("hardware_number", "model", "pcid", "sam_uid", "sam_perso"), *rows])
    return "batch.csv", out.getvalue().encode(), "text/csv"


def _revoke(stage: Stage, uid: str) -> None:
    """Revoke a manifest by two persons."""
    manifest = stage.people[OPERATOR].get("/manifests", sam_uid=uid)["items"][0]
    stage.people[OPERATOR].post(f"/manifests/{manifest['id']}/revoke", {"reason": "mesin dikembalikan ke produsen"}, 202)
    done = stage.people["penyetuju2"].post(f"/manifests/{manifest['id']}/revoke", {}, 200)
    stage.say(f"{OPERATOR} proposes, penyetuju2 executes: the manifest of {uid} is {done['state']}")
