"""People, accounts and what is theirs, as they stood, in a database that is migrated."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sifilma.demo.facts import MAGETAN
from sifilma.fsck.run import examine
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.schema import migrate
from tests.accounts.known_people import accepted, invited_by, take_up
from tests.accounts.test_people import taken_up
from tests.fsck.conftest import installation
from tests.schema.first import back_to_0018
from tests.schema.second import back_to_0019
from tests.schema.test_migrate import upgraded
from tests.support.visitor import english
from tests.support.world import World, done

SPELLINGS = (("ab12", "0812-3456-7890", "Umi@Magetan.GO.ID"), ("cd34", "62 812 1", ""), ("CD34", "+62815", ""), ("EF56", "lama", ""))


def test_people_in_place_get_one_spelling_and_clashes_are_left_for_a_person_to_decide(world: World) -> None:
    engine = make_engine(world.settings.database_url, pool_size=1)
    organisation = world.organisations[MAGETAN]
    accounts = ("magetan.kepala", "magetan.staf", "bangli.kepala", "jatim.kepala")
    with engine.begin() as connection:
        triggers.uninstall(connection)
        for name, (number, phone, email) in zip(accounts, SPELLINGS, strict=True):
            connection.execute(
                text(
                    "UPDATE person SET identity = :identity, id_number = :number"
                    " WHERE id = (SELECT person_id FROM user_account WHERE username = :name)"
                ),
                {"identity": f"employee:{organisation}:{number}", "number": number, "name": name},
            )
            connection.execute(
                text("UPDATE user_account SET phone = :phone, email = :email WHERE username = :name"),
                {"phone": phone, "email": email, "name": name},
            )
        back_to_0018(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '0017'"))
    engine.dispose()
    upgraded(world)
    found = world.sql(
        "SELECT p.id_number, p.identity, u.phone, u.email FROM person p JOIN user_account u ON u.person_id = p.id"
        " WHERE p.identity LIKE :mine", mine=f"employee:{organisation}:%",
    )  # fmt: skip
    assert {(number, identity.rpartition(":")[2], phone, email) for number, identity, phone, email in found} >= {
        ("AB12", "AB12", "+6281234567890", "Umi@magetan.go.id"), ("cd34", "cd34", "+628121", ""), ("CD34", "CD34", "+62815", ""),
        ("EF56", "EF56", "lama", ""),
    }  # fmt: skip
    told = world.app.test_cli_runner().invoke(args=["users", "clashes"])
    assert told.exit_code == 1
    assert "magetan.staf (Joko Contoh, cd34) and bangli.kepala (Komang Contoh, CD34)" in told.output
    page = english(world, "admin1").text("/pengguna")
    assert "two accounts have the same id number in two spellings" in page
    world.change_account("bangli.kepala", state="disabled")
    assert world.app.test_cli_runner().invoke(args=["users", "clashes"]).exit_code == 0


def test_people_in_place_are_claimed_until_they_take_up_and_further_accounts_count_as_accepted(world: World) -> None:
    known, unknown = "198001012005011001", "199505052020032015"
    take_up(world, "umi.lama", invited_by(world, "jatim.kepala", "umi.lama", known))
    invited_by(world, "magetan.kepala", "umi.lain", known)
    accepted(world, "umi.lama", "umi.lain")
    late = invited_by(world, "magetan.kepala", "umi.tunda", known)
    first, second = (invited_by(world, head, f"umi.{head}", unknown) for head in ("magetan.kepala", "bangli.kepala"))
    report = done(world.client("admin1").post(f"/users/{world.users['magetan.kepala']}/lost-factor", {"reason": "hilang"}), 202)["id"]
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        # One person of both invitations, as 0019 had it.
        one = "(SELECT person_id FROM user_account WHERE username = 'umi.magetan.kepala')"
        connection.execute(text(f"UPDATE user_account SET person_id = {one} WHERE username = 'umi.bangli.kepala'"))
        back_to_0019(connection)
    engine.dispose()
    upgraded(world)
    found = migrate.check(world.settings.database_url)
    assert found.ok, found
    claimed = "SELECT DISTINCT p.claims FROM user_account u JOIN person p ON p.id = u.person_id WHERE u.username LIKE :name"
    assert world.sql(claimed, name="umi.%.kepala") == [(f"nip:{unknown}",)]
    names = ["person-once", "consent", "lost-factor", "state-last-step", "steps-in-table", "step-act", "act-step"]
    assert [str(finding) for finding in examine(installation(world), names).findings] == []
    assert world.sql("SELECT state, decided_by FROM account_consent") == [("accepted", None)]
    done(world.client("admin2").post(f"/user-changes/{report}/lost-factor-decision", {"decision": "execute"}))
    with pytest.raises(DBAPIError):
        world.sql("UPDATE person SET claims = NULL WHERE claims IS NOT NULL")
    assert [taken_up(world, secret) for secret in (late, first, second)] == [409, 204, 409]  # one human is one person
