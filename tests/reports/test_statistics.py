"""The page of statistics against a plain recount of the rows, on both databases."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import select

from sifilma.activation.derived.stages.queries import STAGES
from sifilma.activation.derived.tasks import add_up
from sifilma.activation.models import Activation
from sifilma.cards.models import Card
from sifilma.kernel.days import read_day
from sifilma.kernel.db import db
from sifilma.kernel.lifecycle import History
from sifilma.kernel.timekeeping.targets import local
from sifilma.kernel.timekeeping.working_days import Calendar
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.reports.statistics import pages, queries
from sifilma.resources import resources
from tests.support.counting import counted
from tests.support.visitor import english
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, Ready, World, done, new_uid

HOLIDAYS = ["2026-11-25", "2026-12-09"]
LOTS = (("magetan.kepala", 1, (0, 0, 0, 0)), ("magetan.kepala", 3, (1, 6, 2, 9)), ("bangli.kepala", 2, (5, 2, 4, 1)))
"""Who, how many cards, and the days of approval, personalisation, handover and activation."""


def walk(world: World, who: str, count: int, days: tuple[int, int, int, int]) -> None:
    """Bring cards from their letter to their manifests within these days."""
    request = world.submitted(who, quantity=count)["id"]
    world.clock.advance(days=days[0])
    world.approve("personalisation-requests", request, "penyetuju1", "penyetuju2")
    world.clock.advance(days=days[1])
    uids = [new_uid() for _ in range(count)]
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]}
    done(world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    bast = done(world.client("operator1").post("/handovers", {"to": str(world.organisation_of(who)), "cards": uids}), 201)
    world.clock.advance(days=days[2], hours=15)  # 01.00 WIB of the next day
    done(world.client(who).post(f"/handovers/{bast['id']}/receive"))
    asked, tokens = world.tokens(who, uids)
    numbers = world.units(who, count)
    world.clock.advance(days=days[3])
    ready = Ready(uids, tokens, dict(zip(uids, numbers, strict=True)), asked)
    place = BANGLI_PLACE if who.startswith("bangli") else MAGETAN_PLACE
    for uid in uids:
        done(world.client(who).post("/activations", world.activation(ready, uid, **place)), 201)


def recount(world: World, calendar: Calendar, holder: str = "") -> dict[str, Counter[int]]:
    """Return what `queries.times` should, from the rows one by one."""
    found: dict[str, Counter[int]] = {stage: Counter() for stage in STAGES}
    own = world.organisation_of(holder) if holder else None
    with world.context() as ctx:
        for card, letter in ctx.session.execute(
            select(Card, PersonalisationRequest).where(PersonalisationRequest.id == Card.personalisation_request_id)
        ):
            if own and card.holder_id != own:
                continue
            steps = ctx.session.execute(select(History.object_id, History.to_state, History.at).order_by(History.id)).all()
            at = {state: moment for key, state, moment in steps if key == card.id and state in ("personalised", "received")}
            assert letter.submitted_at is not None
            at["submitted"] = letter.submitted_at
            at["approved"] = next(moment for key, state, moment in steps if key == letter.id and state == "approved")
            at["manifest"] = min(ctx.session.scalars(select(Activation.at).where(Activation.card_id == card.id)))
            for stage, (first, last) in STAGES.items():
                found[stage][calendar.elapsed(local(at[first]), local(at[last]))] += 1
    return found


def test_times_and_counts_are_those_of_a_recount(world: World, tmp_path: Path) -> None:
    (tmp_path / "libur.csv").write_text("".join(f"{day},Libur contoh\n" for day in HOLIDAYS))
    world.configure(holidays_file=str(tmp_path / "libur.csv"))
    for lot in LOTS:
        walk(world, *lot)
        if lot is LOTS[1]:
            with world.context() as ctx:  # the worker has counted what there is; the rest is added on reading
                assert add_up(ctx, resources(world.app).targets.calendar)
    world.clock.advance(seconds=(datetime(2026, 12, 31, 20, tzinfo=UTC) - world.clock.now()).total_seconds())  # January in Indonesia
    calendar = Calendar.without(map(read_day, HOLIDAYS))
    for who, whose in (("auditor1", ""), ("bangli.kepala", "bangli.kepala"), ("jatim.kepala", "magetan.kepala"), ("len.kepala", "")):
        right = recount(world, calendar, whose)
        with world.acting(who) as ctx, counted(db.engine) as spent:
            found = pages.statistics(ctx, resources().targets)
            assert queries.times(ctx, resources().targets) == right, who
        assert len(spent.statements) <= 6 + 1
        cards = right["all"].total()
        assert [stage.cards for stage in found.stages] == [cards] * 5
        assert sum(count for _, count in found.provinces) == sum(count for _, count in found.models) == cards
        assert (found.months[0][0], found.months[-1]) == (date(2026, 2, 1), (date(2027, 1, 1), 0))
        assert sum(count for _, count in found.months) == cards
    page, right = english(world, "auditor1").text("/statistik"), recount(world, calendar)
    for words, stage, target in (("Personalisation", "personalisation", "5"), ("From letter to manifest", "all", "–")):
        days = sorted(right[stage].elements())  # six cards
        assert f"{words} 6 {days[2]} {days[5]} {target}" in page
    assert "No card was activated" in english(world, "mandiri.kepala").text("/statistik")


def test_shares_are_the_least_days_that_enough_cards_did_not_exceed() -> None:
    took = Counter({0: 5, 3: 4, 40: 1})
    assert [pages.at_most(took, percent) for percent in (50, 51, 90, 91)] == [0, 3, 3, 40]
    assert [pages.at_most(Counter({7: 1}), percent) for percent in (50, 90)] == [7, 7]
