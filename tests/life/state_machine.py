"""A hypothesis state machine: takes each step in the model and in the application, and compares their states after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from sifilma.activation import tasks
from sifilma.activation.suspensions.tasks import suspend_overdue
from sifilma.demo.sample_files import photo
from sifilma.fsck.registry import Needs
from tests.life.model import TOKEN_LIFE, TRIES, Manifest, Request, Token
from tests.life.orders import ORDER_ACTS, Orders
from tests.life.places import PLACE_ACTS, Card, Places
from tests.support import fsck_findings as fsck
from tests.support.world import START, Client, World, done, letter

OFFICE, OPERATOR, APPROVER = "magetan.kepala", "operator1", "penyetuju1"
PHOTO = photo(8, 8)[:2]
_PERSON = {"name": "Satria Contoh", "id_kind": "employee", "position": "Auditor"}
WITNESSES = [_PERSON | {"id_number": f"A-{number}", "office": "Inspektorat"} for number in (1, 2)]

BATCH = 20
TAKEN = 2
"""How many personalised cards a run takes at most: it knows three cards, one of which the office holds."""

SETTLED = ("found", "arrived", "lost")
"""How the search for a missing card ends."""

TOLD = """
SELECT 'machine', '', state, '' FROM unit WHERE hardware_number = :number
UNION ALL SELECT 'card', '', state, CAST(holder_id AS text) FROM card WHERE uid = :uid
UNION ALL SELECT 'request', CAST(r.id AS text), r.state, '' FROM activation_request r
    JOIN activation_request_card k ON k.activation_request_id = r.id JOIN card c ON c.id = k.card_id WHERE c.uid = :uid
UNION ALL SELECT 'token', CAST(t.id AS text), t.state, CAST(t.tries AS text) FROM token t
    JOIN card c ON c.id = t.card_id WHERE c.uid = :uid
UNION ALL SELECT 'manifest', lpad(CAST(m.seq AS text), 6, '0'), m.state, '' FROM manifest m
    JOIN card c ON c.id = m.card_id WHERE c.uid = :uid
"""
"""What the database holds of a card (PostgreSQL): what it is, its place in the order of time, its state, and the holder or the tries."""

ACTS: list[tuple[str, dict[str, Any]]] = [
    *[("onward", {})] * 16,
    ("issue", {}),
    *[("answer_the_bast", {"how": how}) for how in ("receive", "refuse", "cancel")],
    ("come_short", {}),
    *[("settle", {"how": how}) for how in SETTLED],
    *[("travel", {"how": how}) for how in ("refuse", *SETTLED)],
    *[("ask", {"kind": kind}) for kind in ("new", "relocation", "renewal", "replacement", "replacement")],
    *[("break_the_machine", {})] * 2,
    *[("repair_the_machine", {})] * 2,
    ("approve", {}),
    *[("withdraw_the_request", {})] * 2,
    ("issue_the_token_anew", {}),
    ("issue_the_token_anew", {}),
    *[("activate", {"right": right}) for right in (True, True, False, False)],
    ("try_wrong_tokens_until_it_is_cancelled", {}),
    *[("report", {"condition": what, "who": OFFICE}) for what in ("lost", "found", "damaged", "locked")],
    *[("report", {"condition": what, "who": OPERATOR}) for what in ("lost", "lost", "found", "locked")],
    *[("propose_to_revoke", {})] * 3,
    *[("decide_on_the_revocation", {"decision": decision}) for decision in ("execute", "execute", "reject")],
    ("destroy", {}),
    *[("time_passes", {"days": days}) for days in (5, 15, 1200)],
    *PLACE_ACTS,
    *ORDER_ACTS,
]


_latest = [START]


def fsck_findings(world: World, without: tuple[Needs, ...]) -> list[str]:
    """Run fsck at the latest moment of all runs, since their cards stay.

    A run that leaves something out leaves the standing invariants out too: the last run looks at them.
    """
    world.clock.set(max(_latest[-1], world.clock.now()))
    return fsck.fsck_findings(world, without, standing=not without)


def let_the_next_begin(world: World) -> None:
    """Keep the moment of this run if it is the latest, and let the next run begin at START, by a clock that is trusted."""
    _latest.append(max(_latest[-1], world.clock.now()))
    world.clock.set(START)
    now = world.clock.reading()
    world.sql("DELETE FROM trusted_time")
    row = "(id, at, boot_id, elapsed, accepted) VALUES (1, :at, :boot_id, :elapsed, 0)"
    world.sql(f"INSERT INTO trusted_time {row}", at=str(now.at.replace(tzinfo=None)), boot_id=now.boot_id, elapsed=now.elapsed)


class Supplies:
    """Cards and machines of the office, made BATCH at a time for the runs to take: made one by one they cost a third of the test."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._received: list[str] = []
        self._personalised: list[str] = []
        self._machines: list[str] = []

    def fill(self) -> None:
        """Make the cards that one run can take. Called at START: a later run begins there again, and knows no card of the future."""
        if not self._received:
            self._received = self._world.received(OFFICE, "R", BATCH)
        if len(self._personalised) < TAKEN:
            self._personalised += self._world.personalised(OFFICE, "R", BATCH)

    def received(self) -> str:
        """Return the UID of a card that the office holds."""
        return self._received.pop()

    def personalised(self) -> str:
        """Return the UID of a card that the directorate still holds."""
        return self._personalised.pop()

    def machine(self) -> str:
        """Return the number of a machine that holds no card."""
        self._machines = self._machines or self._world.units(OFFICE, BATCH, "LEN-CRD-1", "R")
        return self._machines.pop()


class Life(Places, Orders, RuleBasedStateMachine):
    """The life of cards of one office, function R.

    `begin` must be called before the runs. Each run has cards of its own. `taken` counts the calls by verb and by whether they were
    allowed. fsck looks at the installation after each run, or after one of so many (`examined`), with the cards of all runs before.
    """

    world: ClassVar[World]
    office: ClassVar[str]
    supplies: ClassVar[Supplies]
    model: ClassVar[type[Card]] = Card
    taken: ClassVar[Counter[str]] = Counter()
    examined: ClassVar[int] = 1
    _runs: ClassVar[Iterator[int]]
    cards = Bundle("cards")

    @classmethod
    def begin(cls, world: World, examined: int) -> None:
        """Let runs begin in this installation, with fsck after one of `examined` runs; 0 leaves fsck out."""
        cls.world, cls.office, cls.supplies = world, str(world.organisation_of(OFFICE)), Supplies(world)
        cls.taken, cls.examined, cls._runs = Counter(), examined, count(1)

    def __init__(self) -> None:
        super().__init__()
        self.world.clock.set(START)
        self.known: list[Card] = []
        self._clients: dict[tuple[str, datetime], Client] = {}

    # --- new cards ---------------------------------------------------------------------------------------------------

    @initialize(target=cards)
    def a_card_with_a_token_and_one_without(self) -> Any:
        self.supplies.fill()
        first = self._know(self.supplies.received(), state="received", holder="office")
        request, tokens = self.world.tokens(OFFICE, [first.uid], function="R")
        token = Token(tokens[first.uid], self.world.clock.now() + TOKEN_LIFE)
        first.requests.append(Request(request, "new", "approved", [token]))
        return multiple(first, self._personalised())

    @precondition(lambda self: len(self.known) < 3)
    @rule(target=cards)
    def personalise(self) -> Card:
        return self._personalised()

    def _personalised(self) -> Card:
        return self._know(self.supplies.personalised())

    def _know(self, uid: str, state: str = "personalised", holder: str = "directorate") -> Card:
        card = self.model(uid, self.supplies.machine(), state, holder)
        self.known.append(card)
        return card

    @rule(card=cards, act=st.sampled_from(ACTS))
    def step(self, card: Card, act: tuple[str, dict[str, Any]]) -> None:
        """Take one act, allowed or not. ACTS holds `onward` often, so that a run reaches late states."""
        name, how = act
        getattr(self, name)(card, **how)

    def onward(self, card: Card) -> None:
        """Take the usual next step in the state of the card."""
        if card.state in ("received", "active", "suspended"):
            if not self.next_of_place(card):
                self._next_of_request(card)
        elif card.state in ("damaged", "locked"):
            self.destroy(card)
        elif card.state == "handed_over" and card.missing:
            self.settle(card, "found")
        elif card.state == "handed_over":
            self.answer_the_bast(card, "receive")
        elif card.state == "lost":
            self.report(card, "found", OFFICE)
        else:
            self.issue(card)

    def _next_of_request(self, card: Card) -> None:
        if card.may_be_approved():
            self.approve(card)
        elif card.may_be_activated(self.world.clock.now()):
            self.activate(card, right=True)
        elif card.may_have_a_new_token() and card.condition == "working":
            self.issue_the_token_anew(card)
        elif card.condition == "broken" and not card.may_be_asked_for("replacement"):
            self.repair_the_machine(card)
        elif any(request.open for request in card.requests):
            self.withdraw_the_request(card)
        else:
            usual = "new" if card.state == "received" else "relocation"
            self.ask(card, "replacement" if card.condition == "broken" else usual)

    # --- custody -----------------------------------------------------------------------------------------------------

    def issue(self, card: Card) -> None:
        body = {"to": str(self.world.organisation_of(OFFICE)), "cards": [card.uid]}
        answer = self._call(OPERATOR, "/handovers", body, allowed=card.state == "personalised")
        if answer:
            card.state, card.bast, card.bast_open = "handed_over", answer["id"], True

    def answer_the_bast(self, card: Card, how: str) -> None:
        if card.bast is None:
            return
        who = OPERATOR if how == "cancel" else OFFICE
        if self._call(who, f"/handovers/{card.bast}/{how}", {"note": "catatan"}, allowed=card.bast_open):
            card.bast_open = False
            card.holder = "office" if how == "receive" else card.holder
            if card.state == "handed_over":
                card.state = "received" if how == "receive" else "personalised"

    def come_short(self, card: Card) -> None:
        if card.bast is None:
            return
        body = {"missing": [{"sam_uid": card.uid, "note": "tidak ada di dalam kotak"}]}
        if self._call(OFFICE, f"/handovers/{card.bast}/receive", body, allowed=card.bast_open):
            card.bast_open, card.missing = False, True

    def travel(self, card: Card, how: str) -> None:
        """Issue a card that lies at its issuer, and let its way end: by an answer, or by one of SETTLED after it did not come."""
        if card.state == "personalised":
            self.issue(card)
        if how in SETTLED:
            self.come_short(card)
            self.settle(card, how)
        else:
            self.answer_the_bast(card, how)

    def settle(self, card: Card, how: str) -> None:
        if card.bast is None:
            return
        body = {"cards": [card.uid]} | ({"police_report": "LP/B/1/XI/2026"} if how == "lost" else {})
        who = OFFICE if how == "arrived" else OPERATOR
        if self._call(who, f"/handovers/{card.bast}/{how}", body, allowed=card.missing):
            card.settle(how)

    # --- activation --------------------------------------------------------------------------------------------------

    def ask(self, card: Card, kind: str) -> None:
        body, new = self.world.letter() | {"kind": kind, "machines": 1, "cards": [card.uid]}, ""
        if kind == "replacement":
            new = self.supplies.machine()
            body |= {"replacements": [{"sam_uid": card.uid, "hardware_number": new, "reason": "rusak"}]}
        answer = self._client(OFFICE).send("/activation-requests", body, letter=letter())
        if self._expect(answer, card.may_be_asked_for(kind)):
            card.requests.append(Request(answer.json["id"], kind, hardware=new))
            done(self._client(OFFICE).post(f"/activation-requests/{answer.json['id']}/submit"))

    def break_the_machine(self, card: Card) -> None:
        self._change_condition(card, "break", "working", "broken")

    def repair_the_machine(self, card: Card) -> None:
        self._change_condition(card, "repair", "broken", "working")

    def _change_condition(self, card: Card, verb: str, source: str, target: str) -> None:
        unit = done(self._client(OFFICE).get("/units", hardware_number=card.hardware))["items"][0]["id"]
        if self._call(OFFICE, f"/units/{unit}/{verb}", {"reason": "catatan"}, allowed=card.condition == source):
            card.condition = target

    def approve(self, card: Card) -> None:
        if card.request is None:
            return
        path = f"/activation-requests/{card.request.id}"
        digest = done(self._client(APPROVER).get(path))["digest"]
        if self._call(APPROVER, f"{path}/approve", {"digest": digest}, allowed=card.may_be_approved()):
            card.request.state = "approved"
            shown = done(self._client(OFFICE).post(f"{path}/tokens"))["tokens"]
            card.request.tokens.append(Token(shown[0]["token"], self.world.clock.now() + TOKEN_LIFE))

    def withdraw_the_request(self, card: Card) -> None:
        if card.request is None:
            return
        allowed = card.request.state in ("submitted", "approved")
        if self._call(OFFICE, f"/activation-requests/{card.request.id}/cancel", {}, allowed=allowed):
            card.request.state = "cancelled"
            for token in card.request.tokens:
                token.state = "cancelled" if token.state == "issued" else token.state

    def issue_the_token_anew(self, card: Card) -> None:
        if card.request is None:
            return
        allowed = card.may_have_a_new_token()
        answer = self._call(OFFICE, f"/activation-requests/{card.request.id}/tokens/{card.uid}/reissue", None, allowed=allowed)
        if answer:
            if card.token:
                card.token.state = "cancelled"
            card.request.tokens.append(Token(answer["tokens"][0]["token"], self.world.clock.now() + TOKEN_LIFE))

    def activate(self, card: Card, right: bool) -> None:
        now, token = self.world.clock.now(), card.token
        may, asked, where = card.may_be_activated(now), card.request, self.place_for(card)
        body = {
            "sam_uid": card.uid,
            "token": token.text if token and right else "salahsalah",
            "hardware_number": asked.hardware if asked and asked.kind == "replacement" and asked.state == "approved" else card.hardware,
            "accuracy_m": 10,
            "source": "device",
            "address": "Kantor",
        } | where
        answer = self._call(OFFICE, "/activations", body, allowed=may and right)
        if answer:
            expires = datetime.fromisoformat(answer["manifest"]["expires_at"])
            card.activate(Manifest(answer["manifest"]["id"], expires + timedelta(days=30)))
            self.place_taken(card, answer["id"], where)
        elif may and token:
            token.tries += 1
            token.state = "cancelled" if token.tries == TRIES else token.state

    def try_wrong_tokens_until_it_is_cancelled(self, card: Card) -> None:
        for _ in range(TRIES):
            self.activate(card, right=False)

    # --- reports, revocation, destruction, time ----------------------------------------------------------------------

    def report(self, card: Card, condition: str, who: str) -> None:
        allowed = card.may_become(condition) and (who == OPERATOR or card.holder == "office")
        if self._call(who, f"/cards/{card.uid}/reports", {"condition": condition, "note": "catatan"}, allowed=allowed):
            card.report(condition)

    def propose_to_revoke(self, card: Card) -> None:
        if not card.manifests:
            return
        newest = card.manifests[-1]
        allowed = newest.in_force and not newest.proposed
        if self._call(OPERATOR, f"/manifests/{newest.id}/revoke", {"reason": "salah tempat"}, allowed=allowed):
            newest.proposed = True

    def decide_on_the_revocation(self, card: Card, decision: str) -> None:
        if not card.manifests:
            return
        newest = card.manifests[-1]
        allowed = newest.proposed and (newest.in_force or decision == "reject")
        if self._call(APPROVER, f"/manifests/{newest.id}/revoke", {"reason": "benar", "decision": decision}, allowed=allowed):
            newest.proposed = False
            if decision == "execute":
                card.withdraw("revoked")

    def destroy(self, card: Card) -> None:
        who = OFFICE if card.holder == "office" else OPERATOR
        cause = card.state if card.state in ("damaged", "locked") else "damaged"
        made = self._call(
            who,
            "/destructions",
            {"cards": [card.uid], "cause": cause},
            allowed=card.state in ("damaged", "locked") and not card.bast_open and not card.missing,
        )
        if made:
            self.world.approve("destructions", made["id"], APPROVER)
            record = {
                "place": "Kantor",
                "executed_at": self.world.clock.now().isoformat(),
                "method": "dipotong",
                "witnesses": WITNESSES,
                "official": _PERSON | {"id_number": "A-0"},
            }
            done(self._client(who).send(f"/destructions/{made['id']}/record", record, part="record", photos=[PHOTO]))
            card.state = "destroyed"

    def time_passes(self, _card: Card, days: int) -> None:
        self.world.clock.set(self.world.clock.now() + timedelta(days=days))
        for task in (tasks.expire_tokens, tasks.expire_requests, tasks.expire_manifests, suspend_overdue):
            with self.world.context() as ctx:
                task(ctx)
        for card in self.known:
            card.lapse(self.world.clock.now())

    # --- comparison --------------------------------------------------------------------------------------------------

    @invariant()
    def the_application_says_what_the_model_says(self) -> None:
        for card in self.known:
            assert self._told(card) == _expected(card), card

    def teardown(self) -> None:
        """Run fsck at the end of runs and not after each step: it reads the whole installation, with the cards of earlier runs."""
        look = self.examined and next(self._runs) % self.examined == 0
        found = fsck_findings(self.world, without=(Needs.HSM, Needs.FILES)) if look else []
        let_the_next_begin(self.world)
        if found:
            type(self).examined = 1  # hypothesis repeats the run that failed, and must see it fail again
        assert found == [], found

    def _told(self, card: Card) -> dict[str, Any]:
        told = [tuple(row) for row in self.world.sql(TOLD, uid=card.uid, number=card.hardware)]
        rows = {what: sorted(row[1:] for row in told if row[0] == what) for what in ("machine", "card", "request", "token", "manifest")}
        [(_, state, holder)] = rows["card"]
        return {
            "machine": rows["machine"][0][1],
            "card": (state, "office" if holder == self.office else "directorate"),
            "requests": [state for _, state, _ in rows["request"]],
            "tokens": [(state, int(tries)) for _, state, tries in rows["token"]],
            "manifests": [state for _, state, _ in rows["manifest"]],
        }

    def _call(self, who: str, path: str, body: Any, *, allowed: bool) -> Any:
        """Post a step and return its JSON, None if it was refused. AssertionError unless it succeeds exactly when the model allows it."""
        answer = self._client(who).post(path, body)
        self.taken[f"{path.rpartition('/')[2]} {allowed}"] += 1
        return answer.json if self._expect(answer, allowed) else None

    def _client(self, who: str) -> Client:
        """Return a client whose one-time code is fresh at the present time of the clock."""
        key = (who, self.world.clock.now())
        return self._clients.get(key) or self._clients.setdefault(key, self.world.client(who))

    def _expect(self, answer: Any, allowed: bool) -> bool:
        text = answer.get_data(as_text=True)
        assert (answer.status_code < 300) == allowed, (answer.status_code, text)
        assert allowed or 400 <= answer.status_code < 500, (answer.status_code, text)
        return allowed


def _expected(card: Card) -> dict[str, Any]:
    return {
        "machine": card.condition,
        "card": (card.state, card.holder),
        "requests": [request.state for request in card.requests],
        "tokens": [(token.state, token.tries) for request in card.requests for token in request.tokens],
        "manifests": [manifest.state for manifest in card.manifests],
    }
