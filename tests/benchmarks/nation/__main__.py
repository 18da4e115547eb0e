"""Fill the database of the settings: `python -m tests.benchmarks.nation --cards N`. One that is there is kept."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from config.settings import Settings, SettingsError
from sifilma.cards.models import Card
from sifilma.commands.practice import settings_with_secrets
from sifilma.fsck.run import Installation, examine
from sifilma.kernel.db import db
from sifilma.resources import resources
from tests.benchmarks.nation.filling import fill
from tests.benchmarks.nation.installation import installed
from tests.support.world import World

NOTE = "nation.json"
"""In the home: seed, size and moment of the nation in its database."""


def main() -> int:
    """Fill the database, or find it filled; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nation", description=__doc__)
    parser.add_argument("--cards", type=int, required=True, help="how many cards")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other cards in the same shape")
    parser.add_argument("--fsck", action="store_true", help="check every invariant afterwards, which takes longer than filling")
    chosen = parser.parse_args()
    settings = settings_with_secrets()
    if settings.env == "production" or settings.database.startswith("sqlite"):
        raise SettingsError("The nation is invented: it fills a PostgreSQL database of an installation that is not in production.")
    world = nation(settings, chosen.cards, chosen.seed)
    return check(world) if chosen.fsck else 0


def nation(settings: Settings, cards: int, seed: int) -> World:
    """Return the installation of these settings with a nation in it: the one that is there, or a new one. Exit for any other content."""
    note = settings.home / NOTE
    wanted = {"cards": cards, "seed": seed}
    if note.exists():
        return _found(settings, note, wanted)
    if settings.home.joinpath("trust").exists():
        raise SystemExit(f"{settings.home} belongs to an installation already, or to a nation that was not finished: set an empty one.")
    begun, now = time.monotonic(), datetime.now(UTC).replace(microsecond=0)
    world = installed(settings, now, new=True)
    fill(world, cards, seed, now, lambda told: print(told, flush=True))
    seconds = round(time.monotonic() - begun)
    note.write_text(json.dumps(wanted | {"at": now.isoformat(), "seconds": seconds}) + "\n")
    print(f"{cards:,} cards in {seconds} s")
    return world


def _found(settings: Settings, note: Path, wanted: dict[str, int]) -> World:
    kept = json.loads(note.read_text())
    if {name: kept[name] for name in wanted} != wanted:
        raise SystemExit(
            f"{settings.home} has a nation of {kept['cards']} cards with the seed {kept['seed']}: set another home and database."
        )
    world = installed(settings, datetime.now(UTC), new=False)
    with world.context() as ctx:
        there = ctx.session.scalar(select(func.count()).select_from(Card)) or 0
    if there < kept["cards"]:
        raise SystemExit(f"The database has {there} cards, and its note says {kept['cards']}: it is not the one of {settings.home}.")
    print(f"{there:,} cards, filled at {kept['at']} in {kept['seconds']} s")
    return world


def check(world: World) -> int:
    """Check every invariant; print what is broken and return the exit code."""
    with world.app.app_context():
        held = resources()
        report = examine(Installation(db.engine, world.settings, world.hsm, held.files, held.clock), tell=print)
    print(f"{len(report.looked_at)} invariants, {len(report.findings)} findings")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
