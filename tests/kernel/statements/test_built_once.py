"""A statement that is kept says at each execution what one built anew would say, for whoever executes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Select, String, bindparam, insert, literal, select
from sqlalchemy.orm import sessionmaker

from sifilma.documents.indonesian import zone_of
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.db import Base, make_engine
from sifilma.kernel.statements import built_once
from sifilma.kernel.unit_of_work import UnitOfWork

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)
HEAD = frozenset({Role.HEAD})


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[UnitOfWork]:
    """Yield a unit of work on a database with two offices, made an hour ago and now."""
    engine = make_engine(f"sqlite:///{tmp_path}/kept.sqlite")
    Base.metadata.tables["organisation"].create(engine)
    unit = UnitOfWork(sessionmaker(engine))
    for key, at in ((ONE, NOW - timedelta(hours=1)), (OTHER, NOW)):
        row: dict[str, Any] = {"id": key, "name": f"Kantor {key.int}", "kind": "regency_office", "region_code": f"35.{key.int:02}"}
        unit.session.execute(insert(Organisation).values(**row, address="", version=1, created_at=at))
    built_once.forget()
    yield unit
    unit.close()
    engine.dispose()


def of(unit: UnitOfWork, organisation: UUID, at: datetime = NOW, region: str = "35.01", user: UUID | None = ONE) -> Context:
    kind = OrganisationKind.REGENCY_OFFICE
    actor = Actor(organisation_id=organisation, organisation_kind=kind, region_code=region, user_id=user, person_id=user, roles=HEAD)
    return Context(unit, ManualClock(at), actor)


def mine(ctx: Context, _variant: Any) -> Select[Any]:
    return select(Organisation.name).where(Organisation.id == ctx.actor.organisation_id)


def older(ctx: Context, _variant: Any) -> Select[Any]:
    return select(Organisation.name).where(Organisation.created_at < ctx.now - timedelta(minutes=30)).order_by(Organisation.name)


def listed(ctx: Context, _variant: Any) -> Select[Any]:
    ids = [ctx.actor.organisation_id, UUID(int=9)]
    return select(Organisation.name).where(Organisation.id.in_(ids), Organisation.name.like(bindparam("like")))


def by_region(ctx: Context, _variant: Any) -> Select[Any]:
    return select(Organisation.name).where(Organisation.region_code == f"{ctx.actor.region_code}"[:5])


def by_zone(ctx: Context, _variant: Any) -> Select[Any]:
    return select(literal(str(zone_of(ctx.actor.region_code)), String))


def below_region(ctx: Context, _variant: Any) -> Select[Any]:
    return select(Organisation.name).where(Organisation.region_code.like(f"{ctx.actor.region_code}.%")).order_by(Organisation.name)


def by_day(ctx: Context, _variant: Any) -> Select[Any]:
    return select(literal(f"{ctx.now:%Y-%m-%d}", String))


def at_moments(_ctx: Context, _variant: Any) -> Select[Any]:
    return select(Organisation.name).where(Organisation.created_at.in_([NOW, NOW + timedelta(days=1)]))


def from_database(ctx: Context, _variant: Any) -> Select[Any]:
    first = ctx.session.scalars(select(Organisation.name).order_by(Organisation.name)).first()
    return select(literal(first, String))


def test_each_actor_gets_their_own_rows_of_one_statement(unit: UnitOfWork) -> None:
    assert built_once.rows(of(unit, ONE), mine) == [("Kantor 1",)]
    assert built_once.rows(of(unit, OTHER), mine) == [("Kantor 2",)]
    assert built_once.built() == 1


def test_the_moment_is_that_of_the_execution(unit: UnitOfWork) -> None:
    assert built_once.rows(of(unit, ONE), older) == [("Kantor 1",)]
    assert built_once.rows(of(unit, ONE, NOW + timedelta(hours=1)), older) == [("Kantor 1",), ("Kantor 2",)]
    assert built_once.rows(of(unit, ONE, NOW - timedelta(hours=1)), older) == []


def test_the_region_is_that_of_the_actor(unit: UnitOfWork) -> None:
    assert built_once.rows(of(unit, ONE, region="35"), below_region) == [("Kantor 1",), ("Kantor 2",)]
    assert built_once.rows(of(unit, ONE, region="36"), below_region) == []
    assert built_once.built() == 1


def test_a_list_that_cannot_stand_in_a_statement_is_given_anew_at_each_execution(unit: UnitOfWork) -> None:
    made = built_once.find(of(unit, ONE).actor, at_moments)
    assert made is not None
    assert made.prepared is None
    assert built_once.rows(of(unit, ONE), at_moments) == [("Kantor 2",)]


def test_lists_of_values_and_own_parameters_are_filled(unit: UnitOfWork) -> None:
    assert built_once.rows(of(unit, OTHER), listed, None, {"like": "Kantor%"}) == [("Kantor 2",)]
    assert built_once.rows(of(unit, ONE), listed, None, {"like": "Kantor%"}) == [("Kantor 1",)]
    assert built_once.rows(of(unit, ONE), listed, None, {"like": "Dinas%"}) == []


def test_the_same_words_built_elsewhere_keep_their_own_values(unit: UnitOfWork) -> None:
    """SQLAlchemy compiles equal statements once. One whose values stand in it is not given those of an execution, nor the other way."""
    plain = mine(of(unit, ONE), None)
    assert unit.session.execute(plain).all() == [("Kantor 1",)]
    assert built_once.rows(of(unit, OTHER), mine) == [("Kantor 2",)]
    assert unit.session.execute(plain).all() == [("Kantor 1",)]


@pytest.mark.parametrize(
    ("build", "found"), [(by_region, "Kantor 2"), (by_zone, "Asia/Jakarta"), (by_day, "2026-11-23"), (from_database, "Kantor 1")]
)
def test_a_statement_made_from_more_than_ids_and_the_moment_is_built_each_time(
    unit: UnitOfWork, build: built_once.Build, found: str
) -> None:
    ctx = of(unit, ONE, region="35.02")
    assert built_once.rows(ctx, build) == [(found,)]
    assert built_once.find(ctx.actor, build) is None


def test_an_actor_without_a_person_has_a_statement_of_their_own(unit: UnitOfWork) -> None:
    built_once.rows(of(unit, ONE), mine)
    built_once.rows(of(unit, ONE, user=None), mine)
    assert built_once.built() == 2
