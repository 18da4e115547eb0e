"""Seals at the upgrade: what stood before them is sealed once, in a recorded act, and never again."""

from __future__ import annotations

import pytest

from sifilma.app.command_groups import upgrade_database
from sifilma.demo.facts import MAGETAN
from sifilma.fsck.run import examine
from sifilma.kernel import triggers
from sifilma.kernel.actor import Actor
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Conflict
from sifilma.schema import migrate
from sifilma.sign_in import recovery_codes
from tests.accounts.test_people import invited
from tests.fsck.conftest import installation
from tests.schema.earlier import back_to_0019
from tests.sign_in.test_codes import password_step, signed_in
from tests.support.world import World, done


def before_seals(world: World) -> None:
    """Bring a database back to the time before seals, as whoever owns the tables can."""
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0019(connection)
    engine.dispose()


def test_what_stands_before_seals_is_sealed_once_in_a_recorded_act(world: World) -> None:
    running, machine, secret = world.client("magetan.staf"), world.machine(MAGETAN), invited(world)
    with world.context(Actor(user_id=world.users["magetan.staf"])) as ctx:
        codes = recovery_codes.make(ctx, world.settings)
    before_seals(world)
    upgrade_database(world.settings, world.clock)
    assert migrate.check(world.settings.database_url).ok
    assert running.get("/me").status_code == 401  # sessions are not vouched for: they end
    done(machine.get("/me"))
    done(world.client("magetan.kepala").get("/me"))
    signed_in(world, password_step(world).post("/session/otp", {"code": codes[0]}))
    assert world.anonymous().open("GET", f"/undangan/{secret}").status_code == 200
    assert [str(found) for found in examine(installation(world), ["row-sealed", "authority-acts"]).findings] == []
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'seal.vouch' AND object_id = 'upgrade'") == [(1,)]


def test_seals_that_were_taken_away_are_not_made_anew(world: World) -> None:
    upgrade_database(world.settings, world.clock)
    before_seals(world)
    with pytest.raises(Conflict, match="older, or somebody took them away"):
        upgrade_database(world.settings, world.clock)
    migrate.upgrade(world.settings.database_url)  # past the command: the rows stand, and nobody is anybody
    assert world.client("magetan.kepala").get("/me").status_code == 401
