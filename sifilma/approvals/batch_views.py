"""Approving several requests one after the other: all looked at on one page, confirmed once, each an act of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import LazyString

from sifilma.approvals.service import Submissions
from sifilma.kernel import deadline
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Forbidden, Invalid, NotFound
from sifilma.kernel.text import say
from sifilma.resources import Resources, resources
from sifilma.sign_in.request_gate import note_denial
from sifilma.web.errors import refusal_of
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("approvals", __name__, template_folder="templates")  # for its templates: routes are on the callers' blueprints
MOST = 50
SECONDS_KEPT = 2.0  # of the answer's deadline: enough for one approval and the page
SEEN = re.compile(r"([0-9a-f-]{36}):([0-9a-f]{64})")
TEMPLATE = "approvals/batch.html"


@dataclass(frozen=True)
class Candidate:
    """A request as its approver is shown it. `objection`: why this person cannot approve it now, empty if they can."""

    id: UUID
    letter_number: str
    letter_date: date
    subject: str
    organisation: str
    function: str
    quantity: int
    digest: str
    given: int
    needed: int
    objection: str


def candidate(ctx: Context, way: Submissions, one: Any, organisation: str, quantity: int, hindrance: str) -> Candidate:
    """A request of either kind; `hindrance` is what stands against it whoever approves."""
    return Candidate(
        id=one.id,
        letter_number=one.letter_number,
        letter_date=one.letter_date,
        subject=one.subject,
        organisation=organisation,
        function=one.function,
        quantity=quantity,
        digest=one.digest or "",
        given=one.required_approvals - way.missing(one),
        needed=one.required_approvals,
        objection=way.objection_told(ctx, one) or hindrance,
    )


@dataclass(frozen=True)
class Summary:
    """What is approved together, and what of the chosen cannot be."""

    candidates: Sequence[Candidate]

    @property
    def approvable(self) -> list[Candidate]:
        """What this person can approve now."""
        return [one for one in self.candidates if not one.objection]

    @property
    def refused(self) -> list[Candidate]:
        """What they cannot, each with the reason."""
        return [one for one in self.candidates if one.objection]

    @property
    def organisations(self) -> list[str]:
        """Whose requests they are."""
        return sorted({one.organisation for one in self.approvable})

    @property
    def functions(self) -> list[tuple[str, int, int]]:
        """Of each function how many requests, for how many."""
        requests = Counter(one.function for one in self.approvable)
        wanted: Counter[str] = Counter()
        for one in self.approvable:
            wanted[one.function] += one.quantity
        return [(name, requests[name], wanted[name]) for name in sorted(requests)]

    @property
    def quantity(self) -> int:
        """How many cards or machines in all."""
        return sum(one.quantity for one in self.approvable)


@dataclass(frozen=True)
class Outcome:
    """What became of one: the approvals it lacks yet, or why it was refused."""

    lacking: int = 0
    refusal: str = ""
    faulty: bool = False


@dataclass(frozen=True)
class Together:
    """One kind of request. `approve` gives how many approvals are lacking yet; `counted` says what `quantity` counts."""

    operation: str
    candidates: Callable[[Context, Sequence[UUID]], list[Candidate]]
    approve: Callable[[Context, Resources, UUID, str, str], int]
    counted: LazyString
    show: str
    letter: Callable[[UUID], str]


def add_together(blueprint: Blueprint, kind: Together) -> None:
    """Add the page that shows what was chosen, and the one that approves it."""

    @operation(f"{kind.operation}.view")
    def together() -> Response:
        """What was chosen in the list; nothing is done yet."""
        chosen = list(dict.fromkeys(_uuids(request.args.getlist("pilih"))))
        return _page(kind, Form(), chosen[:MOST], left_out=max(0, len(chosen) - MOST))

    @operation(f"{kind.operation}.approve", reads_first=True, idempotent=False)
    def approve_together() -> Response:
        """Approve each of exactly what was shown, and say what became of it."""
        ctx, form = context(), Form.sent()
        seen: dict[UUID, str] = {}
        with form.attempt(ctx):
            seen = _seen(form.values.getlist("request"))
            note = form.get("note").strip()[:2000]
            outcomes = approve_each(ctx, seen, lambda thing, digest: kind.approve(ctx, resources(), thing, digest, note))
            return _page(kind, form, list(seen), outcomes=outcomes)
        return _page(kind, form, list(seen))

    blueprint.get("/sekaligus", endpoint="together")(together)
    blueprint.post("/sekaligus", endpoint="sekaligus")(approve_together)


def approve_each(ctx: Context, seen: Mapping[UUID, str], approve: Callable[[UUID, str], int]) -> dict[UUID, Outcome]:
    """Each in a transaction of its own, as long as nothing is out of order and there is time to answer; never half of one."""
    outcomes: dict[UUID, Outcome] = {}
    for thing, digest in seen.items():
        left = deadline.remaining()
        if any(outcome.faulty for outcome in outcomes.values()) or (left is not None and left < SECONDS_KEPT):
            outcomes[thing] = Outcome(refusal=say("Not tried: choose it once more."))
        else:
            outcomes[thing] = _approve(ctx, thing, digest, approve)
    return outcomes


def _approve(ctx: Context, thing: UUID, digest: str, approve: Callable[[UUID, str], int]) -> Outcome:
    try:
        return Outcome(lacking=ctx.uow.at_once(lambda: approve(thing, digest)))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is this one's: those before it stand
        refused = refusal_of(error)
    if isinstance(refused, Forbidden | NotFound):
        note_denial(refused)
    return Outcome(refusal=refused.detail or refused.title, faulty=refused.status >= 500)


def _page(kind: Together, form: Form, chosen: Sequence[UUID], **values: Any) -> Response:
    found = {one.id: one for one in kind.candidates(context(), chosen)} if chosen else {}
    summary = Summary([found[one] for one in chosen if one in found])
    return form.again(TEMPLATE, summary=summary, kind=kind, blueprint=request.blueprint, most=MOST, **values)


def _uuids(texts: Sequence[str]) -> Iterator[UUID]:
    for text in texts:
        try:
            yield UUID(text)
        except ValueError:
            continue


def _seen(sent: Sequence[str]) -> dict[UUID, str]:
    """The digest each was shown with; Invalid where nothing, too much, or anything else was sent."""
    found = [SEEN.fullmatch(one) for one in sent]
    if not 1 <= len(found) <= MOST:
        raise Invalid(say("From 1 to %(most)s requests are approved together.", most=MOST))
    if not all(found):
        raise Invalid("This is not what the page sent: choose the requests once more.")
    return {UUID(one[1]): one[2] for one in found if one}
