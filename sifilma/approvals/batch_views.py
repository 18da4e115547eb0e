"""Approve several requests on one page. The approver confirms once; each approval is an act and a transaction of its own."""

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
from sqlalchemy.exc import SQLAlchemyError

from sifilma.approvals.service import Submissions
from sifilma.kernel import deadline
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Forbidden, Invalid, NotFound, OutcomeUnknown
from sifilma.kernel.text import say
from sifilma.resources import Resources, resources
from sifilma.sign_in.denials import note_denial
from sifilma.web.errors import refusal_of
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

# It brings the templates only. The routes are on the callers' blueprints.
blueprint = Blueprint("approvals", __name__, template_folder="templates")
MOST = 50
SECONDS_KEPT = 2.0  # of the request's deadline: enough for one more approval and the page
# What the page sends back for each request: its id and the digest that the approver saw.
SEEN = re.compile(r"([0-9a-f-]{36}):([0-9a-f]{64})")
TEMPLATE = "approvals/batch.html"


@dataclass(frozen=True)
class Candidate:
    """A request as it is shown to the approver.

    `given` of the `needed` approvals are there already. `objection` says why this person cannot approve it now; it is empty if they can.
    """

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
    """Return the candidate for a request of either kind. `hindrance` says why nobody can approve it now; it is empty if somebody can."""
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
    """The chosen requests: those that are approved together, and those that this person cannot approve."""

    candidates: Sequence[Candidate]

    @property
    def approvable(self) -> list[Candidate]:
        """Return the requests this person can approve now."""
        return [one for one in self.candidates if not one.objection]

    @property
    def refused(self) -> list[Candidate]:
        """Return the requests this person cannot approve now."""
        return [one for one in self.candidates if one.objection]

    @property
    def organisations(self) -> list[str]:
        """Return the names of the organisations of the approvable requests, sorted."""
        return sorted({one.organisation for one in self.approvable})

    @property
    def functions(self) -> list[tuple[str, int, int]]:
        """Return, for each function of the approvable requests, its name, the number of requests, and the sum of their quantities."""
        requests = Counter(one.function for one in self.approvable)
        wanted: Counter[str] = Counter()
        for one in self.approvable:
            wanted[one.function] += one.quantity
        return [(name, requests[name], wanted[name]) for name in sorted(requests)]

    @property
    def quantity(self) -> int:
        """Return the number of cards or machines of all approvable requests."""
        return sum(one.quantity for one in self.approvable)


@dataclass(frozen=True)
class Outcome:
    """The result for one request: the approvals it still lacks, or why it was refused. `faulty`: the server failed (status 5xx)."""

    lacking: int = 0
    refusal: str = ""
    faulty: bool = False


@dataclass(frozen=True)
class Together:
    """One kind of request. `approve` takes id, digest and note, and returns how many approvals the request still lacks.

    `counted` names what `quantity` counts, `show` is the endpoint of the page of a request, and `letter` returns the URL of its letter.
    """

    operation: str
    candidates: Callable[[Context, Sequence[UUID]], list[Candidate]]
    approve: Callable[[Context, Resources, UUID, str, str], int]
    counted: LazyString
    show: str
    letter: Callable[[UUID], str]


def add_together(blueprint: Blueprint, kind: Together) -> None:
    """Add to `blueprint` the page that shows the chosen requests, and the one that approves them."""

    @operation(f"{kind.operation}.view")
    def together() -> Response:
        """Show the requests chosen in the list, for confirmation."""
        form = Form.begun()
        left = [text.partition(":")[0] for text in form.values.getlist("request")]
        chosen = list(dict.fromkeys(_uuids(left or request.args.getlist("pilih"))))
        return _page(kind, form, chosen[:MOST], left_out=max(0, len(chosen) - MOST))

    @operation(f"{kind.operation}.approve", reads_first=True, idempotent=False)
    def approve_together() -> Response:
        """Approve each request with the digest that was shown, and show the results."""
        ctx, form = context(), Form.sent()
        seen: dict[UUID, str] = {}
        outcomes: dict[UUID, Outcome] = {}
        with form.attempt(ctx):
            seen = _seen(form.values.getlist("request"))
            note = form.get("note").strip()[:2000]
            outcomes = approve_each(ctx, seen, lambda thing, digest: kind.approve(ctx, resources(), thing, digest, note))
        return _outcomes_page(kind, form, outcomes) if outcomes else _page(kind, form, list(seen))

    blueprint.get("/sekaligus", endpoint="together")(together)
    blueprint.post("/sekaligus", endpoint="sekaligus")(approve_together)


def approve_each(ctx: Context, seen: Mapping[UUID, str], approve: Callable[[UUID, str], int]) -> dict[UUID, Outcome]:
    """Approve requests one by one, each in a transaction of its own. Return the outcome of each.

    After a fault of the server, or when less than SECONDS_KEPT is left to answer, the rest is not tried, and its outcome says so.
    `seen` holds the digest of each request by its id.
    """
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
    except Exception as error:  # noqa: BLE001  # a fault of one request must not hide the results of those committed before it
        refused = refusal_of(error)
    if isinstance(refused, Forbidden | NotFound):
        # The gate records the denials that become the answer of a request; this one becomes a line of a page.
        note_denial(refused)
    return Outcome(refusal=refused.detail or refused.title, faulty=refused.status >= 500)


def _outcomes_page(kind: Together, form: Form, outcomes: Mapping[UUID, Outcome]) -> Response:
    """Return the page of the outcomes. Raise OutcomeUnknown if it cannot be made: `nothing was changed` would be wrong."""
    try:
        return _page(kind, form, list(outcomes), outcomes=outcomes)
    except SQLAlchemyError as lost:
        raise OutcomeUnknown from lost


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
    """Return the digest that each request was shown with. Raise Invalid for none, for more than MOST, and for anything else than SEEN."""
    if not sent:
        raise Invalid("No request is chosen: choose at least one in the list.")
    found = [SEEN.fullmatch(one) for one in sent]
    if not 1 <= len(found) <= MOST:
        raise Invalid(say("From 1 to %(most)s requests are approved together.", most=MOST))
    if not all(found):
        raise Invalid("This is not what the page sent: choose the requests once more.")
    return {UUID(one[1]): one[2] for one in found if one}
