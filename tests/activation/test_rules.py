"""The database itself refuses direct SQL that breaks a rule, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from sifilma.kernel.ids import uuid7
from tests.support.world import World, done, letter


@pytest.fixture
def lived(world: World) -> World:
    """Fill an installation: one card is active, one is ready for activation, one waits for approval."""
    world.active()
    world.ready()
    world.requested("magetan.kepala", world.received())
    return world


REFUSED = {
    "a token is used twice": "UPDATE token SET state = 'issued', revision = revision + 1 WHERE state = 'redeemed'",
    "a token counts backwards": "UPDATE token SET tries = tries - 1",
    "a token is redeemed without an act": "UPDATE token SET state = 'redeemed' WHERE state = 'issued'",
    "a token gets more time": "UPDATE token SET expires_at = '2099-01-01 00:00:00+00'",
    "a token goes to another card": "UPDATE token SET card_id = (SELECT id FROM card ORDER BY id DESC LIMIT 1)",
    "an activation moves": "UPDATE activation SET latitude_e7 = 0",
    "an activation goes": "DELETE FROM activation",
    "a manifest goes": "DELETE FROM manifest",
    "a manifest lasts longer": "UPDATE manifest SET expires_at = '2099-01-01 00:00:00+00'",
    "a manifest is revoked by one": (
        "UPDATE manifest SET state = 'revoked', revision = revision + 1, act_id = (SELECT id FROM audit_entry LIMIT 1)"
    ),
    "a card wakes without a manifest": "UPDATE card SET state = 'active', revision = revision + 1 WHERE state = 'received'",
    "a card's sequence goes back": "UPDATE card SET seq = 0 WHERE state = 'active'",
    "a card changes hands": "UPDATE card SET holder_id = (SELECT id FROM organisation WHERE kind = 'institution' LIMIT 1)",
    "a card is destroyed without a record": "UPDATE card SET state = 'destroyed', revision = revision + 1",
    "a card gets another UID": "UPDATE card SET uid = '30154B01FFFFFFFF' WHERE state = 'active'",
    "a card goes": "DELETE FROM card",
    "a request changes after submission": "UPDATE activation_request SET machines = 99",
    "a request is approved without approvals": (
        "UPDATE activation_request SET state = 'approved', revision = revision + 1,"
        " act_id = (SELECT id FROM audit_entry LIMIT 1) WHERE state = 'submitted'"
    ),
    "a request skips its states": "UPDATE activation_request SET state = 'completed', revision = revision + 1 WHERE state = 'submitted'",
    "cards are slipped into a request": "UPDATE activation_request_card SET position = 7",
    "an approval is forged": "UPDATE activation_approval SET digest = 'x'",
    "an approval goes": "DELETE FROM activation_approval",
    "history is rewritten": "UPDATE history SET to_state = 'active'",
    "history goes": "DELETE FROM history",
    "the record is rewritten": "UPDATE audit_entry SET action = 'access.denied'",
    "the record goes": "DELETE FROM audit_entry",
    "a data key is exchanged": "UPDATE data_key SET month = '1999-01'",
    "a data key is sealed by something else": "UPDATE data_key SET sealed = (SELECT mac FROM token LIMIT 1)",
    "a one-time code's step goes back": "UPDATE user_account SET totp_last_step = -1",
    "a person becomes another": "UPDATE user_account SET person_id = (SELECT id FROM person WHERE identity = 'test:admin1')",
}


def test_the_database_refuses_direct_sql_against_every_rule(lived: World) -> None:
    passed = []
    for what, statement in REFUSED.items():
        try:
            lived.sql(statement)
        except IntegrityError:
            continue
        except DBAPIError as other:  # an error in the statement's syntax is not a refusal
            passed.append(f"{what}: {other}")
            continue
        passed.append(what)
    assert passed == []
    assert lived.sql("SELECT COUNT(*) FROM card WHERE state = 'active'")[0][0] == 1


def test_another_account_of_the_submitter_may_not_approve(lived: World) -> None:
    request = lived.sql("SELECT id, digest, submitted_by_person FROM activation_request WHERE state = 'submitted'")[0]
    approver = lived.sql("SELECT id FROM user_account WHERE username = 'penyetuju1'")[0][0]
    act = lived.sql("SELECT id FROM audit_entry LIMIT 1")[0][0]
    columns = "(id, activation_request_id, person_id, user_id, digest, note, at, act_id)"
    values = "(:id, :request, :person, :user, :digest, '', '2026-11-23 00:00:00+00', :act)"
    forged = {"id": uuid7().hex, "request": request[0], "user": approver, "digest": request[1], "act": act}
    with pytest.raises(DBAPIError):
        lived.sql(f"INSERT INTO activation_approval {columns} VALUES {values}", person=request[2], **forged)


def test_a_step_without_its_audit_entry_cannot_be_committed(lived: World) -> None:
    with pytest.raises(IntegrityError):
        lived.sql(
            "UPDATE activation_request SET state = 'returned', revision = revision + 1, act_id = :act WHERE state = 'submitted'",
            act=uuid7().hex if lived.settings.database_url.startswith("sqlite") else str(uuid7()),
        )


def test_every_step_has_its_history_row_and_its_audit_entry(lived: World) -> None:
    orphans = lived.sql("SELECT COUNT(*) FROM history h WHERE NOT EXISTS (SELECT 1 FROM audit_entry a WHERE a.id = h.act_id)")
    assert orphans[0][0] == 0
    for table in ("card", "token", "manifest", "activation_request", "personalisation_request", "handover"):
        wrong = lived.sql(
            f"SELECT COUNT(*) FROM {table} t WHERE t.state <> (SELECT h.to_state FROM history h"
            f" WHERE h.object_kind = '{table}' AND h.object_id = t.id ORDER BY h.id DESC LIMIT 1)"
        )
        assert wrong[0][0] == 0, table


def test_the_database_counts_no_tokens_and_lets_none_too_many_in(world: World) -> None:
    ready = world.ready(count=2)
    done(world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0])), 201)
    columns = "activation_request_id, card_id, organisation_id, mac, sealed, tries, expires_at, status_list, revision, changed_at, act_id"
    for state in ("issued", "redeemed"):
        with pytest.raises(IntegrityError, match=r"uq_token_valid|token.activation_request_id, token.card_id"):
            world.sql(
                f"INSERT INTO token (id, status_index, state, change_note, {columns}) SELECT :id, 9000, 'issued', '', {columns}"
                f" FROM token WHERE state = '{state}'",
                id=uuid7().hex,
            )
    draft = world.letter() | {"kind": "new", "machines": 2, "cards": world.received(count=2)}
    made = done(world.client("magetan.kepala").send("/activation-requests", draft, letter=letter()), 201)["id"]
    world.sql("UPDATE activation_request SET machines = 1 WHERE state = 'draft'")
    with pytest.raises(IntegrityError, match="not more cards than machines"):
        world.sql(
            "UPDATE activation_request SET state = 'submitted', digest = 'x', revision = revision + 1,"
            " act_id = (SELECT id FROM audit_entry ORDER BY id LIMIT 1) WHERE state = 'draft'"
        )
    assert done(world.client("magetan.kepala").get(f"/activation-requests/{made}"))["state"] == "draft"
