"""The state and output of one play, and the steps that several scenes share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from sifilma.demo import facts, sample_files
from sifilma.demo.people import Someone
from sifilma.kernel.clock import Clock


@dataclass
class Stage:
    """The people, the server and the folder of one play. `tag` keeps its letters, machines and cards apart from earlier plays."""

    url: str
    out: Path
    people: dict[str, Someone]
    clock: Clock
    tag: str = field(default_factory=lambda: secrets.token_hex(2).upper())
    number: int = 0

    def say(self, text: str) -> None:
        """Print one numbered step."""
        self.number += 1
        click.echo(f"{self.number:3}. {text}")

    def show(self, text: str) -> None:
        """Print details of a step."""
        click.echo(f"     {text}")

    def keep(self, name: str, data: bytes) -> Path:
        """Store a file in the demo's folder and return its path."""
        path = self.out / name
        path.write_bytes(data)
        return path

    def fetch(self, path: str) -> bytes:
        """Fetch a public file of the server."""
        answer = httpx.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer.content

    def uid(self) -> str:
        """Return the UID of a new card in the maker's range: 30 15 4B 01 …"""
        return f"30154B01{secrets.token_hex(4).upper()}"

    def letter_facts(self, letter: facts.Letter, suffix: str = "") -> dict[str, Any]:
        """Return number, date and subject of a letter. The number has this play's tag, because numbers must be new."""
        return {"letter_number": f"{letter.number}{suffix}/{self.tag}", "letter_date": letter.date, "subject": letter.subject}

    def village(self, who: Someone, place: tuple[float, float]) -> str:
        """Return the village code that the server finds at a position."""
        found = who.get("/regions/locate", latitude=place[0], longitude=place[1])
        return str(found["village"] or self._some_village(who, found["regency"]))

    def _some_village(self, who: Someone, regency: str) -> str:
        """Return a village of the regency, for a boundary layer that knows no villages."""
        district = who.get("/regions", parent=regency)["items"][0]["code"]
        return str(who.get("/regions", parent=district)["items"][0]["code"])

    def organisation(self, name: str) -> str:
        """Return an organisation's id by its name."""
        found = self.people["operator1"].get("/organisations", q=name)["items"]
        return str(next(item["id"] for item in found if item["name"] == name))


def letter(sender: str, letter_facts: dict[str, Any], text: str) -> tuple[str, bytes, str]:
    """Return the letter as a PDF."""
    return sample_files.letter(sender, letter_facts["letter_number"], letter_facts["letter_date"], letter_facts["subject"], text)


def approve(stage: Stage, kind: str, request_id: str, *approvers: str) -> dict[str, Any]:
    """Let each approver read the object and approve the digest that was read."""
    seen: dict[str, Any] = {}
    for name in approvers:
        person = stage.people[name]
        digest = person.get(f"/{kind}/{request_id}")["digest"]
        seen = person.post(f"/{kind}/{request_id}/approve", {"digest": digest})
        stage.say(
            f"{name} approves digest {digest[:16]}… → {seen['state']}, {len(seen['approvals'])} of {seen.get('required_approvals', 1)}"
        )
    return seen


def hand_over(stage: Stage, giver: str, receiver: str, organisation: str, uids: list[str]) -> None:
    """Issue a BAST, store its PDF, and receive the cards."""
    bast = stage.people[giver].post("/handovers", {"to": stage.organisation(organisation), "cards": uids}, 201)
    stage.say(f"{giver} issues BAST {bast['number']} for {len(uids)} cards to {organisation}")
    pdf = stage.people[giver].get(f"/handovers/{bast['id']}/document")
    path = stage.keep(f"BAST-{bast['number'].replace('/', '-')}.pdf", pdf)
    stage.show(f"{path} ({len(pdf)} bytes)")
    done = stage.people[receiver].post(f"/handovers/{bast['id']}/receive")
    stage.say(f"{receiver} receives it → {done['state']}")


def request_activation(
    stage: Stage, who: str, uids: list[str], suffix: str, kind: str, *approvers: str, **more: Any
) -> tuple[str, dict[str, str]]:
    """Submit a request with its letter, have it approved, and show the tokens to the organisation. `more` are further fields of it.

    Return the request's id and the tokens by UID.
    """
    person = stage.people[who]
    stated = stage.letter_facts(facts.ACTIVATION, suffix)
    request = stated | {"kind": kind, "machines": len(uids), "cards": uids} | more
    pdf = letter(person.entry["organisation"], stated, f"Mohon pengaktifan {len(uids)} kartu SAM.")
    made = person.send("/activation-requests", request, 201, letter=pdf)
    person.post(f"/activation-requests/{made['id']}/submit")
    stage.say(f"{who} asks for {kind} activation of {len(uids)} cards, letter {stated['letter_number']}")
    approve(stage, "activation-requests", made["id"], *approvers)
    shown = person.post(f"/activation-requests/{made['id']}/tokens")["tokens"]
    stage.say(f"{who} sees {len(shown)} tokens (recorded; nobody central can)")
    return made["id"], {token["sam_uid"]: token["token"] for token in shown}


def place(stage: Stage, who: str, at: tuple[float, float], address: str, **more: Any) -> dict[str, Any]:
    """Return the part of an activation that states the place."""
    code = more.pop("region_code", None) or stage.village(stage.people[who], at)
    base = {"latitude": at[0], "longitude": at[1], "accuracy_m": 20, "source": "device", "address": address, "region_code": code}
    return base | more


def activate(stage: Stage, who: str, uid: str, token: str, hardware: str, where: dict[str, Any]) -> dict[str, Any]:
    """Activate one card and return the answer, which holds the manifest's id."""
    body = {"sam_uid": uid, "token": token, "hardware_number": hardware} | where
    done: dict[str, Any] = stage.people[who].post("/activations", body, 201)
    stage.say(f"{who} activates {uid} in {hardware}: place {done['place']} ({done['distance_m']} m), manifest {done['manifest']['seq']}")
    return done
