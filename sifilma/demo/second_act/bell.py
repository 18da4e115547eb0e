"""The bell rings: work is given to a colleague, a request comes back to its office, and each is told at once."""

from __future__ import annotations

from typing import Any

from sifilma.demo import facts
from sifilma.demo.scenes import office_request
from sifilma.demo.stage import Stage

HEAD, GIVER, COLLEAGUE = "bangli.kepala", "penyetuju1", "penyetuju2"


def a_bell_rings(stage: Stage) -> None:
    """Play an approver who gives a request to a colleague, and the colleague who returns it. Both notices stay unread, to be looked at."""
    request = office_request(stage, HEAD, facts.BANGLI, "R", 1, "/B")
    giver, asked = stage.people[GIVER], {"object_kind": "personalisation_request", "object_id": request}
    colleagues = giver.get("/assignments/object", **asked)["colleagues"]
    to = next(one["id"] for one in colleagues if one["name"] == _name(COLLEAGUE))
    giver.post("/assignments", asked | {"to": to})
    stage.say(f"{GIVER} gives it to {COLLEAGUE}, whose bell rings: {_newest(stage, COLLEAGUE)}")
    stage.people[COLLEAGUE].post(f"/personalisation-requests/{request}/return", {"note": "nomor surat tidak terbaca"})
    stage.say(f"{COLLEAGUE} returns it, and the bell of {HEAD} rings: {_newest(stage, HEAD)}")
    stage.people[HEAD].post(f"/personalisation-requests/{request}/cancel", {"note": "diajukan dengan surat baru"})
    stage.show(f"sign in as {COLLEAGUE} or {HEAD}: the number is at the bell in the head of each page")


def _name(username: str) -> str:
    return next(account.name for account in facts.ACCOUNTS if account.username == username)


def _newest(stage: Stage, username: str) -> str:
    """Return what the newest unread notice of somebody says, and how many there are."""
    unread: list[dict[str, Any]] = stage.people[username].get("/notices", unseen="true", limit=100)["items"]
    return f"“{unread[0]['words']}” ({unread[0]['title']}), {len(unread)} unread"
