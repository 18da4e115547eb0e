"""Planted faults of rows that acts rest on, and of the digests that acts record of them."""

from __future__ import annotations

from tests.fsck.plant import plant

MANDIRI = "{some organisation kind='institution'}"
KEY = (
    '{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
)
LATER = "(SELECT object_id FROM row_digest WHERE kind='unit' AND version=2 ORDER BY object_id LIMIT 1)"
NOBODY = "00000000000000000000000000000001"
_CHANGED = "is not what its newest act recorded"
_PLANTED = (
    "INSERT INTO device_model (id, name, manufacturer_id, function, created_at, version)"
    f" SELECT '{NOBODY}', 'TANAM-1', manufacturer_id, function, created_at, 1 FROM device_model WHERE id = {{some device_model}}"
)

ROWS = [
    *(
        plant("row-recorded", table, _CHANGED, f"UPDATE {table} SET {change} WHERE id = {{some {table}}}")
        for table, change in (
            ("unit", f"public_jwk='{KEY}'"), ("unit", "pcid='0000000000000000000000000000000A'"), ("unit", "function='R', sam_perso='LAIN'"),
            ("unit", "hardware_number='HW-LAIN'"), ("unit", "model_id=(SELECT id FROM device_model ORDER BY id DESC LIMIT 1)"),
            ("organisation", "region_code='51.06'"), ("organisation", "name='Dinas Lain'"), ("organisation", "kind='institution', address='x'"),
            ("person", "name='Orang Lain'"), ("person", "id_kind='nip', id_number='1', identity='nip:1'"),
            ("device_model", "function='R', name='LAIN-1'"), ("device_model", f"manufacturer_id={MANDIRI}"),
            ("agreement", "valid_until='2039-12-31'"), ("agreement", "valid_from='2020-01-01'"),
            ("card", "key_version=7"), ("card", f"buyer_id={MANDIRI}"), ("card", "uid='30154B0100000000'"), ("card", "function='R'"),
            ("conversation_message", "body='Lain.'"),
            ("personalisation_result", "kcv='000000'"), ("personalisation_result", "hardware_number='HW-LAIN'"),
            ("activation", "address='Tempat lain'"), ("activation", "latitude_e7=latitude_e7+1"), ("activation", "reason='lain'"),
            ("activation", "place_outcome='PASS', place_distance_m=7"),
        )
    ),
    plant("row-recorded", "unit", "is an old version: the record of acts has version", f"UPDATE unit SET pcid=NULL, version=version-1 WHERE id = {LATER}"),
    plant("row-recorded", "unit", "has a version that no act made", "UPDATE unit SET version=version+1"),
    plant("row-recorded", "device_model", "stands on no act", _PLANTED),
    plant("row-recorded", "card", "stands on no act", "DELETE FROM row_digest WHERE kind='card'"),
    plant("row-recorded", "activation", "stands on no act", "UPDATE audit_entry SET object_id='x' WHERE action='activation.create'"),
    plant("row-recorded", "unit", _CHANGED, "UPDATE audit_entry SET salt=CAST('0123456789abcdef' AS BLOB) WHERE action='unit.register'"),
    plant("row-act", "audit_entry", "did not leave the rows whose digests name it",
          f"UPDATE unit SET pcid=NULL, version=1 WHERE id = {LATER}", f"DELETE FROM row_digest WHERE kind='unit' AND version=2 AND object_id = {LATER}"),
    plant("row-act", "audit_entry", "did not leave the rows whose digests name it", "UPDATE row_digest SET digest=CAST('x' AS BLOB)"),
    plant("row-act", "audit_entry", "did not leave the rows whose digests name it", _PLANTED,
          f"INSERT INTO row_digest (kind, object_id, version, digest, act_id) SELECT 'device_model', '{NOBODY}', 1, digest, act_id"
          " FROM row_digest WHERE kind='device_model' LIMIT 1"),
    plant("row-act", "agreement", "was recorded (version 1) and is not there", "DELETE FROM agreement"),
    plant("row-act", "row_digest", "names an act that is not recorded", f"UPDATE row_digest SET act_id='{NOBODY}' WHERE kind='unit'"),
    plant("region-recorded", "region", _CHANGED, "UPDATE region SET name='LAIN' WHERE code='35.20'"),
    plant("region-recorded", "region", "stands on no act",
          "INSERT INTO region (code, name, level, version, valid_from) VALUES ('99', 'LAIN', 1, '1', '2026-01-01 00:00:00')"),
    plant("card-result", "card", "has another key check value than its result", "UPDATE card SET kcv='000000' WHERE state='active'"),
    plant("card-result", "card", "is tied to a unit that neither its result nor its batch names",
          "UPDATE card SET unit_id={some unit hardware_number='HW-LAGI'} WHERE id = {some card state='personalised'}"),
    plant("message-files", "conversation_message", "has other attachments than it names",
          "DELETE FROM conversation_attachment WHERE position = 2"),
    plant("message-files", "conversation_message", "has other attachments than it names",
          "UPDATE conversation_attachment SET position = 3 - position", loosen=("conversation_attachment",)),
    plant("message-files", "conversation_message", "is about a personalisation_request that is not there",
          f"UPDATE conversation_message SET object_id='{NOBODY}'"),
    plant("place-review", "activation", "which no act records like this",
          "UPDATE activation SET review_state='rejected' WHERE review_state='accepted'"),
    plant("place-review", "activation", "which no act records like this",
          "UPDATE activation SET review_state='none', review_note='' WHERE review_state='accepted'"),
]  # fmt: skip
