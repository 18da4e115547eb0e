"""The head of a province office is transferred: a new person follows by decree, open work passes on, and comes back."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
import pyotp

from sifilma.demo import facts
from sifilma.demo.people import API, STEP, Refused, Someone
from sifilma.demo.stage import Stage, letter

HEAD, ADMINISTRATORS = "jatim.kepala", ("admin1", "admin2")


def transferred_head(stage: Stage) -> None:
    """Play two successions: proposed by the head for a new person, then by an administrator for the former head, who comes back.

    It ends the session of the head: no later scene acts as they.
    """
    head = stage.people[HEAD]
    stated = stage.letter_facts(facts.PERSONALISATION, "/JT")
    draft = head.send(
        "/personalisation-requests", stated | {"function": "R", "quantity": 1}, 201, letter=letter(facts.EAST_JAVA, stated, "Konsep.")
    )
    stage.say(f"{HEAD} drafts a request and is transferred before it is submitted")
    invited = _new_person(stage)
    made = _proposed(stage, head, {"invited": invited, "former": "staff"})
    stage.say(f"{HEAD} proposes {invited['name']} by decree {made['decree_number']}; {len(made['passes'])} open request would pass on")
    answer = stage.people[ADMINISTRATORS[0]].post(f"/user-changes/{made['id']}/decision", {"decision": "execute"}, 200)
    [vacancy] = stage.people["operator1"].get("/offices-without-head", name=facts.EAST_JAVA)["items"]
    stage.say(
        f"{ADMINISTRATORS[0]} executes it and is shown the link; until it is taken up the office has no living head: {vacancy['reason']}"
    )
    successor = _taken_up(stage, invited["username"], answer["invitation"])
    seen = successor.get(f"/head-successions/{made['id']}")
    stage.say(f"{successor.name} takes the office up; request {seen['passes'][0]['title']} has passed on")
    successor.post(f"/personalisation-requests/{draft['id']}/cancel", {"note": "tidak jadi"})
    back = _proposed(
        stage,
        stage.people[ADMINISTRATORS[0]],
        {
            "organisation": stage.organisation(facts.EAST_JAVA),
            "outgoing": seen["successor"]["id"],
            "successor": seen["outgoing"]["id"],
        },
    )
    successor.post(f"/user-changes/{back['id']}/decision", {"decision": "execute"}, 200)
    stage.say(f"the former head comes back by decree {back['decree_number']}; {successor.name} agrees and is disabled")
    after = stage.people[ADMINISTRATORS[1]].get(f"/head-successions/{back['id']}")
    for one in (after["successor"], after["outgoing"]):
        stage.show(f"{one['username']} is {one['state']}")


def _new_person(stage: Stage) -> dict[str, Any]:
    # A number of its own in each play: a known person would be asked for consent first.
    number = f"19850101{secrets.randbelow(10**10):010}"
    return {"username": f"jatim.{stage.tag.lower()}", "name": "Wahyu Contoh", "id_kind": "nip", "id_number": number}


def _proposed(stage: Stage, who: Someone, who_follows: dict[str, Any]) -> dict[str, Any]:
    """Propose a succession with its decree."""
    number = f"821.2/{secrets.randbelow(10**6)}/{stage.tag}"
    day = stage.clock.now().date().isoformat()
    stated = {"letter_number": number, "letter_date": day, "subject": "Pengangkatan kepala dinas"}
    paper = letter("Gubernur Jawa Timur", stated, "Menetapkan kepala dinas.")
    made: dict[str, Any] = who.send("/head-successions", {"decree_number": number, "decree_date": day} | who_follows, 202, decree=paper)
    return made


def _taken_up(stage: Stage, username: str, link: str) -> Someone:
    """Take an invitation up as its person does, and return them, signed in."""
    secret, password = link.rpartition("/")[2], secrets.token_urlsafe(16)
    with httpx.Client(base_url=stage.url + API, timeout=30) as stranger:
        view = stranger.post("/invitations/view", json={"invitation": secret}).raise_for_status().json()
        # The code of the step before: that of now is for signing in, and each counts once.
        code = pyotp.TOTP(view["seed"]).at(int(stage.clock.now().timestamp()) - STEP)
        body = {"invitation": secret, "browser": view["browser"], "password": password, "code": code}
        answer = stranger.post("/invitations/enrol", json=body)
    if not answer.is_success:
        raise Refused(f"{username}: the invitation was not taken up: {answer.text}")
    entry = {"username": username, "password": password, "totp_secret": view["seed"], "organisation": facts.EAST_JAVA}
    made = Someone(stage.url, entry, stage.clock)
    made.sign_in()
    return made
