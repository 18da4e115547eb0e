"""The installation of the settings, with the organisations and people of the nation."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import select

from config.settings import Settings
from config.soundness import is_softhsm
from sifilma.accounts.service import register_organisation
from sifilma.activation.trust import ceremonies
from sifilma.app.command_groups import upgrade_database
from sifilma.cards.models import DeviceModel, Function
from sifilma.cards.service import register_model
from sifilma.custody.ceremonies import make
from sifilma.demo import facts
from sifilma.demo.facts import Account
from sifilma.identity.models import Organisation, User
from sifilma.kernel.actor import OrganisationKind as Kind
from sifilma.kernel.actor import Role
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.installation import claim_home
from sifilma.oversight.models import Agreement
from sifilma.oversight.region_imports import bring_codes
from sifilma.oversight.service import register_agreement
from sifilma.regions import villages
from sifilma.regions.models import Region
from sifilma.regions.service import is_loaded
from sifilma.resources import ensure_softhsm, root_token, signing_token
from tests.benchmarks.nation import figures
from tests.benchmarks.nation.plan import HORIZON, Party, Person, Place
from tests.support.world import World

PATIENCE = 120.0
"""Seconds that a call to the HSM may take: it makes the tokens and manifests of many cards, on a machine that does nothing else."""
BEFORE = HORIZON + timedelta(days=2)
"""How long before the present keys and organisations are there."""


def installed(settings: Settings, now: datetime, *, new: bool) -> World:
    """Return the installation of these settings. A `new` one is made, as it was when the nation began."""
    start = now - BEFORE if new else now
    claim_home(settings)
    ensure_softhsm(settings)
    upgrade_database(settings, ManualClock(start))
    patient = settings.model_copy(update={"hsm_timeout": PATIENCE})
    signing, root = signing_token(patient), root_token(patient)
    if new and is_softhsm(settings.hsm_module):
        make(settings, signing, root, start)
    own = {name: getattr(settings, name) for name in Settings.model_fields if name not in ("home", "database_url")}
    world = World(settings.database, settings.home, signing, root, start, **own)
    if new:
        with world.context() as ctx:
            ceremonies.record_ceremony(ctx, world.settings, world.trust)
            if not is_loaded(ctx.session):
                bring_codes(ctx)
    return world


def buyers(world: World, cards: int, now: datetime, seed: int) -> list[tuple[Party, int]]:
    """Register the organisations that hold cards, each with its head, and return them with the number of cards of each.

    There are fewer where there are few cards: the smallest have two.
    """
    draw = Random(f"{seed}/organisations")
    with world.context() as ctx:
        regions = list(ctx.session.scalars(select(Region.code).where(Region.level <= 2).order_by(Region.code)))
        with_points = {code[:5] for code in villages.points().codes}
        codes = [code for code in regions if code[:5] in with_points or len(code) == 2]
        draw.shuffle(codes)
        wanted = _shares(cards, codes, draw)
        for kind, name, code in wanted:
            if name not in world.organisations:
                _register(world, ctx, kind, name, code, now, draw)
    found = parties(world)
    return [(found[name], count) for (_, name, _), count in wanted.items()]


def _shares(cards: int, codes: list[str], draw: Random) -> dict[tuple[Kind, str, str | None], int]:
    """Return how many cards each organisation has: kind, name and region code."""
    offices = codes[: max(2, min(len(codes), cards // 20))]
    others = max(1, min(figures.INSTITUTIONS - len(figures.READERS), cards // 120))
    named: dict[str, float] = dict(figures.READERS)
    sizes = [1 / (rank + 3) for rank in range(others)]  # few are large
    named |= {f"LEMBAGA CONTOH {n + 1:04d}": figures.OTHER_READERS * part / sum(sizes) for n, part in enumerate(sizes)}
    shares: dict[tuple[Kind, str, str | None], float] = {}
    for name, readers in named.items():
        shares[Kind.INSTITUTION, name, None] = (1 - figures.OFFICES_SHARE) * readers / sum(named.values())
    for code in offices:
        known = [(kind, name) for kind, name, region in facts.ORGANISATIONS if region == code]
        kind = Kind.PROVINCE_OFFICE if len(code) == 2 else Kind.REGENCY_OFFICE
        name = known[0][1] if known else f"Dinas Kependudukan dan Pencatatan Sipil {code}"
        shares[kind, name, code] = figures.OFFICES_SHARE * (0.5 + draw.random()) / len(offices)
    counts = Counter({key: int(cards * share / sum(shares.values())) for key, share in shares.items()})
    largest = max(shares, key=lambda key: shares[key])
    counts[largest] += cards - counts.total()
    return {key: count for key, count in counts.items() if count}


def _register(world: World, ctx: Context, kind: Kind, name: str, code: str | None, now: datetime, draw: Random) -> None:
    made = register_organisation(ctx, kind, name, code)
    world.organisations[name] = made.id
    ctx.session.flush()
    if kind is Kind.INSTITUTION:
        until = now.date() + timedelta(days=draw.choice((10, 25, 60, 120, *range(200, 900, 50))))
        register_agreement(ctx, made, f"119/PKS/{len(world.organisations)}", (now - BEFORE).date(), until)
    number = len(world.users)
    world.add_user(ctx, Account(f"kepala{number:05d}", f"Contoh {number:05d}", name, frozenset({Role.HEAD}), f"N-{number:05d}"))


def makers(world: World) -> list[tuple[Party, tuple[str, str]]]:
    """Register the makers of readers, each with its head and a model; return them with id and name of the model."""
    with world.context() as ctx:
        for number, name in enumerate(figures.MAKERS):
            made = register_organisation(ctx, Kind.MANUFACTURER, name)
            world.organisations[name] = made.id
            ctx.session.flush()
            register_model(ctx, f"CRD-{number + 1}00", made.id, Function.R)
            world.add_user(ctx, Account(f"produsen{number}", f"Contoh Produsen {number}", name, frozenset({Role.HEAD}), f"P-{number}"))
    found, by_id = parties(world), {}
    for party in found.values():
        by_id[party.id] = party
    with world.context() as ctx:
        models = ctx.session.execute(select(DeviceModel.id, DeviceModel.name, DeviceModel.manufacturer_id, DeviceModel.function)).all()
    return [(by_id[row.manufacturer_id], (str(row.id), row.name)) for row in models if row.function == "R"]


def encoder(world: World) -> tuple[str, str]:
    """Return id and name of the model that offices have."""
    with world.context() as ctx:
        row = ctx.session.execute(select(DeviceModel.id, DeviceModel.name).where(DeviceModel.function == "RW")).first()
    assert row is not None
    return str(row.id), row.name


def person(world: World, username: str) -> Person:
    """Return an account with its person."""
    with world.context() as ctx:
        user = ctx.session.get_one(User, world.users[username])
        return Person(str(user.id), str(user.person_id))


def parties(world: World) -> dict[str, Party]:
    """Return every organisation with its first account that is a head (of the directorate: any), by name."""
    with world.context() as ctx:
        ends: dict[Any, date] = dict(ctx.session.execute(select(Agreement.organisation_id, Agreement.valid_until)).all())
        accounts = select(User.organisation_id, User.id, User.person_id).order_by(User.id.desc())
        heads = {org: Person(str(user), str(own)) for org, user, own in ctx.session.execute(accounts)}
        rows = ctx.session.scalars(select(Organisation)).all()
        return {one.name: Party(one.id, one.name, one.kind, heads[one.id], one.region_code, ends.get(one.id)) for one in rows}


def places(world: World, party: Party, wanted: int, draw: Random) -> list[Place]:
    """Return the places of an organisation's machines: an office has one in its region, a company its outlets, by the figures."""
    points = villages.points()
    found: list[Place] = []
    regions = _regions(world)
    by_province = _by_province()
    for _ in range(1 if party.region else max(1, min(wanted // 25, 400))):
        within = by_province[party.region[:2]] if party.region else by_province[draw.choices(*_weights())[0]]
        own = [at for at in within if points.codes[at].startswith(party.region)] if party.region else within
        at = draw.choice(own)
        latitude, longitude = (float(value) for value in points.degrees[at])
        code = points.codes[at]
        if code not in regions:
            continue
        found.append(
            Place(code, regions[code], round(latitude * 1e7), round(longitude * 1e7), 0, code[:5], f"Jalan Contoh {len(found) + 1}")
        )
    return found or places(world, party, wanted, draw)


_cache: dict[str, Any] = {}


def _regions(world: World) -> dict[str, str]:
    if "regions" not in _cache:
        with world.context() as ctx:
            rows = ctx.session.execute(select(Region.code, Region.version).where(Region.level == 4, Region.valid_to.is_(None)))
            _cache["regions"] = dict(rows.all())
    return _cache["regions"]


def _by_province() -> dict[str, list[int]]:
    if "villages" not in _cache:
        found: dict[str, list[int]] = {}
        for at, code in enumerate(villages.points().codes):
            found.setdefault(code[:2], []).append(at)
        _cache["villages"] = found
    return _cache["villages"]


def _weights() -> tuple[list[str], list[float]]:
    known = dict.fromkeys(_by_province(), 3.0) | {code: 3.0 + count for code, count in figures.PROVINCES.items()}
    known[figures.CAPITAL] = known.get(figures.CAPITAL, 0.0) + figures.CAPITAL_WEIGHT
    return list(known), list(known.values())
