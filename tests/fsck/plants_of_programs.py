"""Planted faults of what programs may do: keys, public keys of units, cards that were reported; and of work that somebody has."""

from __future__ import annotations

from tests.fsck.plant import plant

_JWK = (
    '{"crv": "P-256", "kty": "EC", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
)
_KEYED = "key_change_id IS NOT NULL"
_EXECUTED = "{some unit_key_change state='executed'}"
_LIVING_KEY = "{some api_key revoked_at IS NULL}"
PROGRAMS = [
    plant("key-terms", "api_key", "has scopes that no audit entry gave",
          "INSERT INTO api_key (id, organisation_id, name, prefix, key_hash, created_at, scopes, addresses, expires_at, last_used_ip)"
          " VALUES ('00000000000000000000000000000001', {some organisation kind='institution'}, 'tanaman', 'sf_xxxxx', '" + "a" * 64
          + "', '2026-11-23 00:00:00', 'manifests', '', '2099-01-01 00:00:00', '')"),
    plant("key-terms", "api_key", "its entry gave 'read'", "UPDATE api_key SET scopes='manifests read' WHERE scopes='read'"),
    plant("key-terms", "api_key", "is taken from '0.0.0.0/0', its entry says '192.0.2.0/24'",
          "UPDATE api_key SET addresses='0.0.0.0/0' WHERE addresses <> ''"),
    plant("key-terms", "api_key", "has another last day than its entry gave",
          f"UPDATE api_key SET expires_at='2099-01-01 00:00:00.000000' WHERE id = {_LIVING_KEY}"),
    plant("unit-key", "unit", "has another public key than the one that two persons set",
          f"UPDATE unit SET public_jwk='{_JWK}' WHERE {_KEYED}"),
    plant("unit-key", "unit", "has a public key without the entries of two persons", f"UPDATE unit SET key_change_id=NULL WHERE {_KEYED}"),
    plant("unit-key", "unit", "has a public key without the entries of two persons",
          f"UPDATE unit SET public_jwk='{_JWK}' WHERE hardware_number='HW-LAGI'"),
    plant("unit-key", "unit", "has a public key without the entries of two persons", "DELETE FROM audit_entry WHERE action='unit.key_execute'"),
    plant("unit-key", "unit", "the digest differs", f"UPDATE unit SET public_jwk='{_JWK}' WHERE {_KEYED}",
          f"UPDATE unit_key SET jwk='{_JWK}' WHERE change_id = {_EXECUTED}"),
    plant("four-eyes", "unit_key_change", "was executed by nobody, or by the person who proposed it",
          "UPDATE unit_key_change SET decided_by_person=proposed_by_person WHERE state='executed'"),
    plant("card-ended-by-person", "card", "became locked by a program alone",
          f"UPDATE audit_entry SET user_id=NULL, person_id=NULL, api_key_id={_LIVING_KEY} WHERE id ="
          " (SELECT act_id FROM history WHERE object_kind='card' AND to_state='locked' ORDER BY id LIMIT 1)"),
    plant("card-suspended", "card", "is suspended for no cause", "UPDATE card_suspension SET closed_act=opened_act WHERE closed_act IS NULL"),
    plant("card-suspended", "card", "is received, and a suspension of it is open", "UPDATE card SET state='received' WHERE state='suspended'"),
    plant("card-suspended", "card_report", "is pending, its suspension is not",
          "UPDATE card_suspension SET closed_act=opened_act WHERE closed_act IS NULL"),
    plant("card-suspended", "card_report", "is withdrawn, and no person decided it",
          "UPDATE card_report SET decided_by_person=NULL WHERE state='withdrawn'", loosen=("card_report",)),
    plant("sealed", "unit", "has a public key with other members", "UPDATE unit SET public_jwk='{\"kty\": \"EC\"}' WHERE id = {some unit}"),
]  # fmt: skip

WORK = [
    plant("assignment-waits", "assignment", "is of a reference_change that waits for nobody",
          "UPDATE reference_change SET state='rejected' WHERE state='proposed'"),
    plant("assignment-waits", "assignment", "is of a destruction that waits for nobody",
          "UPDATE assignment SET object_kind='destruction', object_id={some destruction state='verified'}"),
    plant("assignment-act", "assignment", "is not what its act records",
          "UPDATE assignment SET user_id={some user_account username='penyetuju2'}"),
    plant("assignment-act", "assignment", "is not what its act records", "UPDATE assignment SET role='operator'"),
    plant("assignment-act", "assignment", "is to nobody of the directorate",
          "UPDATE assignment SET user_id={some user_account username='magetan.kepala'}"),
    plant("notice-told", "notice", "is to an account that is not there",
          "UPDATE notice SET user_id='00000000000000000000000000000001' WHERE id = {some notice}"),
    plant("notice-told", "notice", "says nothing that has words", "UPDATE notice SET task='lain' WHERE id = {some notice}"),
]  # fmt: skip
