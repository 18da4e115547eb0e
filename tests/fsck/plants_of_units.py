"""Planted faults of the upkeep of units: their condition, corrections by two persons, cards moved by a replacement, outlets."""

from __future__ import annotations

from tests.fsck.plant import plant

_MOVED = (
    "(SELECT k.{column} FROM activation_request_card k JOIN activation_request r ON r.id=k.activation_request_id"
    " WHERE r.kind='replacement' ORDER BY r.id LIMIT 1)"
)
_EXECUTED = "{some unit_correction state='executed'}"
UNITS = [
    plant("unit-function", "unit", "is for RW, which LEN-CRD-1 is not made for",
          "UPDATE unit SET function='RW' WHERE model_id = {some device_model name='LEN-CRD-1'}"),
    plant("unit-condition", "unit", "is retired with card",
          "UPDATE unit SET state='retired' WHERE id = (SELECT unit_id FROM card WHERE state='active' ORDER BY id LIMIT 1)"),
    plant("unit-condition", "activation", "was in a unit that was broken",
          f"UPDATE history SET to_state='broken' WHERE object_kind='unit' AND object_id = {_MOVED.format(column='unit_id')}"),
    plant("unit-correction", "unit_correction", "the digest differs", f"UPDATE unit_correction SET pcid='{'0' * 32}' WHERE id = {_EXECUTED}"),
    plant("unit-correction", "unit_correction", "without the entries of two persons",
          "DELETE FROM audit_entry WHERE action='unit.correct_execute'"),
    plant("four-eyes", "unit_correction", "was executed by nobody, or by the person who proposed it",
          "UPDATE unit_correction SET decided_by_person=proposed_by_person WHERE state='executed'"),
    plant("replacement", "activation", "was in another unit than its request names",
          f"UPDATE activation_request_card SET unit_id=former_unit_id WHERE card_id = {_MOVED.format(column='card_id')} AND unit_id IS NOT NULL"),
    plant("replacement", "unit", "and nobody said that it is broken",
          f"DELETE FROM history WHERE object_kind='unit' AND to_state='broken' AND object_id = {_MOVED.format(column='former_unit_id')}"),
    plant("replacement", "activation_request", "is a relocation whose cards do not fit that",
          "UPDATE activation_request SET kind='relocation' WHERE kind='replacement'"),
    plant("manifest-verifies", "manifest", "says another unit than its row", f"DELETE FROM unit_correction WHERE id = {_EXECUTED}"),
    plant("one-organisation", "unit", "belongs to another organisation than its outlet",
          "UPDATE outlet SET organisation_id = {some organisation kind='manufacturer'}"),
    plant("unit-outlet", "outlet", "is in 99.99.99.9999, which is no village", "UPDATE outlet SET region_code='99.99.99.9999'"),
    plant("unit-outlet", "unit", "stands at another outlet than it was moved to",
          "UPDATE unit SET outlet_id=NULL WHERE outlet_id IS NOT NULL"),
    plant("unit-outlet", "unit", "works at a closed outlet", "UPDATE outlet SET state='closed' WHERE state='open'"),
    plant("account-outlets", "user", "is limited to another organisation's outlet",
          "UPDATE outlet SET organisation_id = {some organisation kind='manufacturer'}"),
    plant("account-outlets", "user", "is central, and limited to outlets",
          "UPDATE user_account SET outlets='x' WHERE username='operator1'"),
    plant("row-recorded", "outlet", "is not what its newest act recorded", "UPDATE outlet SET address='Jalan lain'"),
]  # fmt: skip
