"""Lives of cards, from the request to the destruction, act by act."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import Any

from sifilma.demo.sample_files import photo
from tests.activation.bulk.sheets import HEADER, sheet
from tests.chaos.clients import Client
from tests.destruction.test_service import OFFICIAL, WITNESSES
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, letter

OFFICES = {"magetan.kepala": MAGETAN_PLACE, "bangli.kepala": BANGLI_PLACE}
LETTER = ("surat.pdf", letter())
PHOTO = photo(8, 8)[:2]
Acts = Generator[None, None, None]


def lives(client: Client, office: str) -> Iterator[bool]:
    """Live lives of cards of an office, one after the other, without end. Each step is one act; it tells whether a life has ended."""
    while True:
        client.sign_in_anew()
        for _ in Life(client, office).acts():
            yield False
        yield True


class Life:
    """The life of two cards of one office: one is activated by a call and meets its end, the other is activated by file."""

    def __init__(self, client: Client, office: str) -> None:
        self.client, self.office = client, office
        self.uids = [f"30154B01{client.chance.getrandbits(32):08X}" for _ in range(2)]
        self.numbers = [f"HW-{client.chance.getrandbits(40):010X}" for _ in range(2)]
        self.tokens: dict[str, str] = {}

    def acts(self) -> Acts:
        """Take one act after the other."""
        yield from self._personalise()
        yield from self._hand_over()
        yield from self._register_units()
        yield from self._ask_for_tokens()
        manifest = self._activate()
        yield
        self._activate_by_file()
        yield
        self.client.post(self.office, f"/manifests/{manifest}/download")
        yield
        if self.client.chance.random() < 0.5:
            yield from self._revoke(manifest)
        yield from self._destroy()

    def _personalise(self) -> Acts:
        path, approver = "/personalisation-requests", self._approver()
        request = self.client.send(self.office, path, self._letter() | {"function": "R", "quantity": 2}, letter=LETTER)["id"]
        self.client.note("personalisation.draft", request)
        yield
        digest = self.client.act("personalisation.submit", request, self.office, f"{path}/{request}/submit")["digest"]
        yield
        self.client.act("personalisation.approve", request, approver, f"{path}/{request}/approve", {"digest": digest})
        yield
        results = [{"sam_uid": uid, "outcome": "personalised"} for uid in self.uids]
        self.client.act("personalisation.results", request, "operator1", f"{path}/{request}/results", {"results": results})
        self._now("personalised", *self.uids)
        yield

    def _hand_over(self) -> Acts:
        body = {"to": str(self.client.world.organisation_of(self.office)), "cards": self.uids}
        bast = self.client.post("operator1", "/handovers", body)["id"]
        self.client.note("handover.issue", bast)
        self._now("handed_over", *self.uids)
        yield
        if self.client.chance.random() < 0.5:
            self._receive_by_page(bast)
        else:
            self.client.act("handover.receive", bast, self.office, f"/handovers/{bast}/receive")
        self._now("received", *self.uids)
        yield

    def _receive_by_page(self, bast: str) -> None:
        """Send the form as a person does: without a key. Who got no answer looks at the page before sending it again."""

        def is_received() -> bool:
            return bool(self.client.get(self.office, f"/handovers/{bast}")["state"] == "received")

        self.client.form(self.office, f"/bast/{bast}/terima", is_received)
        self.client.note("handover.receive", bast)

    def _register_units(self) -> Acts:
        fields = {"model": "LEN-CRD-1", "function": "R"}
        rows = [fields | {"hardware_number": number, "pcid": f"{self.client.chance.getrandbits(128):032x}"} for number in self.numbers]
        made = self.client.post(f"key of {self.office}", "/units", rows)["items"]
        self.client.note("unit.register", made[0]["id"])  # one act for all of them
        yield

    def _ask_for_tokens(self) -> Acts:
        path = "/activation-requests"
        stated = self._letter() | {"kind": "new", "machines": 2, "cards": self.uids}
        request = self.client.send(self.office, path, stated, letter=LETTER)["id"]
        self.client.note("activation.draft", request)
        yield
        digest = self.client.act("activation.submit", request, self.office, f"{path}/{request}/submit")["digest"]
        yield
        self.client.act("activation.approve", request, self._approver(), f"{path}/{request}/approve", {"digest": digest})
        yield
        shown = self.client.post(self.office, f"{path}/{request}/tokens")["tokens"]
        self.tokens = {token["sam_uid"]: token["token"] for token in shown}
        yield

    def _activate(self) -> str:
        made = self.client.post(f"key of {self.office}", "/activations", self._activation(0))
        self.client.note("activation.create", made["id"])
        self._now("active", self.uids[0])
        return str(made["manifest"]["id"])

    def _activate_by_file(self) -> None:
        row = self._activation(1)
        file = ("aktivasi.csv", sheet([[row.get(name, "") for name in HEADER]]))
        job = self.client.send(f"key of {self.office}", "/activations/bulk", {}, file=file)["id"]
        self.client.note("job.begin", job)
        self.client.files[self.uids[1]] = job

    def _activation(self, which: int) -> dict[str, Any]:
        uid = self.uids[which]
        where = OFFICES[self.office] | {"accuracy_m": 10, "source": "device", "address": "Kantor"}
        return {"sam_uid": uid, "token": self.tokens[uid], "hardware_number": self.numbers[which]} | where

    def _revoke(self, manifest: str) -> Acts:
        path = f"/manifests/{manifest}/revoke"
        self.client.act("manifest.revoke_propose", manifest, "operator1", path, {"reason": "mesin dicuri"})
        yield
        self.client.act("manifest.revoke", manifest, self._approver(), path, {"reason": "benar"})
        self._now("received", self.uids[0])
        yield

    def _destroy(self) -> Acts:
        uid = self.uids[0]
        self.client.send(self.office, f"/cards/{uid}/reports", {"condition": "damaged", "note": "retak"}, "report", photos=PHOTO)
        self.client.note("card.report", uid)
        self._now("damaged", uid)
        yield
        made = self.client.post(self.office, "/destructions", {"cards": [uid], "cause": "damaged", "note": "rusak"})
        path = f"/destructions/{made['id']}"
        self.client.note("destruction.propose", made["id"])
        yield
        self.client.act("destruction.approve", made["id"], self._approver(), f"{path}/approve", {"digest": made["digest"]})
        yield
        self.client.send(self.office, f"{path}/record", self._record(), "record", photos=PHOTO)
        self.client.note("destruction.record", made["id"])
        self._now("destroyed", uid)
        yield
        self.client.act("destruction.verify", made["id"], "operator2", f"{path}/verify")
        yield

    def _record(self) -> dict[str, Any]:
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        return {"place": "Kantor", "executed_at": moment, "method": "dipotong", "official": OFFICIAL, "witnesses": WITNESSES}

    def _letter(self) -> dict[str, Any]:
        number = f"470/{self.client.chance.getrandbits(60)}/Dukcapil"
        return {"letter_number": number, "letter_date": "2026-11-01", "subject": "Permohonan kartu SAM"}

    def _approver(self) -> str:
        return self.client.chance.choice(("penyetuju1", "penyetuju2"))

    def _now(self, state: str, *uids: str) -> None:
        self.client.cards |= dict.fromkeys(uids, state)
