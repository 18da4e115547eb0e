"""Letters from before: their keys are made anew, and no two open requests are made one."""

from __future__ import annotations

from sqlalchemy import text

from sifilma.approvals.letters import letter_key
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.schema import migrate
from tests.schema.second import back_to_0027
from tests.support.world import World, done, letter

FULL_WIDTH, PLAIN, DASHED = "470\uff0f773\uff0fDUKCAPIL", "470/773/Dukcapil", "470 \u2013 774 / Dukcapil"


def test_keys_of_letters_are_made_anew_and_the_second_of_two_keeps_its_own(world: World) -> None:
    office, stated = world.client("magetan.kepala"), {"letter_date": "2026-11-01", "subject": "Surat", "function": "R", "quantity": 1}
    made = []
    for number in ("1/satu", "2/dua", DASHED):
        sent = office.send("/personalisation-requests", stated | {"letter_number": number}, letter=letter())
        made.append(done(sent, 201)["id"].replace("-", ""))
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0027(connection)
        for number, key, was in ((PLAIN, "470/773/dukcapil", "1/satu"), (FULL_WIDTH, FULL_WIDTH.casefold(), "2/dua")):
            change = text("UPDATE personalisation_request SET letter_number = :number, letter_key = :key WHERE letter_number = :was")
            connection.execute(change, {"number": number, "key": key, "was": was})
    engine.dispose()
    migrate.upgrade(world.settings.database_url)
    assert migrate.check(world.settings.database_url).ok
    keys = dict(world.sql("SELECT letter_number, letter_key FROM personalisation_request"))
    assert keys == {PLAIN: letter_key(PLAIN), FULL_WIDTH: FULL_WIDTH.casefold(), DASHED: letter_key(DASHED)}
