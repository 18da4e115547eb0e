"""Seals at the upgrade: what stood before them is sealed once, in a recorded act, and never again."""

from __future__ import annotations

import json

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import select, text

from sifilma.app.command_groups import upgrade_database
from sifilma.demo.facts import MAGETAN
from sifilma.fsck.run import examine
from sifilma.identity.models import ApiKey
from sifilma.kernel import triggers
from sifilma.kernel.actor import Actor
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Conflict
from sifilma.kernel.seals import sealer_of
from sifilma.schema import migrate
from sifilma.sign_in import recovery_codes
from tests.accounts.test_people import invited
from tests.fsck.conftest import installation
from tests.schema.second import back_to_0019, back_to_0021
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


def test_keys_of_before_keep_what_they_could_do_and_are_written_down(world: World) -> None:
    """0022 gives an old API key its scopes and a year, and names the public key that a unit has: fsck accepts both, and nothing newer."""
    machine = world.machine(MAGETAN)
    number = world.units("magetan.kepala", 1, "LEN-CRD-1", "R")[0]
    jwk = ECKey.generate_key("P-256", private=False).as_dict()
    with world.context() as ctx:  # as the key was sealed before there were scopes
        key = ctx.session.scalars(select(ApiKey)).one()
        bare = {name: getattr(key, name) for name in ApiKey.__sealed__} | dict.fromkeys(("scopes", "addresses", "expires_at"))
        seal = sealer_of(ctx.session).seal(ApiKey, bare)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        connection.execute(
            text("UPDATE unit SET public_jwk = :jwk WHERE hardware_number = :number"),
            {"jwk": json.dumps(jwk | {"kid": "lama"}), "number": number},
        )
        back_to_0021(connection)
        connection.execute(text("UPDATE api_key SET seal = :seal"), {"seal": seal})
    engine.dispose()
    migrate.upgrade(world.settings.database_url)
    assert machine.get("/units").status_code == 401  # past the command: nobody has vouched for the new columns
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0021(connection)
        connection.execute(text("DELETE FROM audit_entry WHERE request_id = 'migration-0022'"))
        connection.execute(text("DELETE FROM audit_pending WHERE entry_id NOT IN (SELECT id FROM audit_entry)"))
    engine.dispose()
    upgrade_database(world.settings, world.clock)
    assert migrate.check(world.settings.database_url).ok
    assert machine.get("/units").status_code == 200
    terms = world.sql("SELECT scopes, addresses FROM api_key WHERE last_used_at IS NOT NULL")
    assert [tuple(row) for row in terms] == [("activations batches manifests read reports requests units", "")]
    stored = json.loads(world.sql("SELECT CAST(public_jwk AS TEXT) FROM unit WHERE hardware_number = :n", n=number)[0][0])
    assert sorted(stored) == ["crv", "kty", "x", "y"]
    assert _broken(world, "key-terms", "unit-key", "log-tree") == []
    with engine.begin() as connection:
        triggers.uninstall(connection)
        connection.execute(
            text("UPDATE unit SET public_jwk = :jwk"), {"jwk": json.dumps(ECKey.generate_key("P-256", private=False).as_dict())}
        )
    engine.dispose()
    assert _broken(world, "unit-key") == ["unit"]


def _broken(world: World, *names: str) -> list[str]:
    """Return the kinds of the objects that fsck finds broken."""
    return [finding.broken.kind for finding in examine(installation(world), names).findings]
