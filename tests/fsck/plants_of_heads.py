"""Planted faults of heads who follow each other by decree."""

from __future__ import annotations

from tests.fsck.plant import plant

ENTRY = "(SELECT id FROM audit_entry ORDER BY id DESC LIMIT 1)"
MAGETAN = "{some user_account username='magetan.kepala'}"
OPERATOR = "(SELECT person_id FROM user_account WHERE username='operator1')"
ADDED = "0" * 31 + "7"
HEADS = [
    plant("head-by-act", "user", "and no act made it so",
          f"INSERT INTO user_role (id, user_id, role, since) SELECT '{ADDED}', id, 'head', '2026-11-23 04:00:00.000000' FROM user_account"
          " WHERE username='magetan.staf'"),
    plant("succession-whole", "user_change", "nothing says of whom by which decree", "DELETE FROM head_succession"),
    plant("succession-whole", "head_succession", "is of no proposal", "UPDATE user_change SET change='roles', ends_at=NULL WHERE change='succession'"),
    plant("succession-whole", "head_succession", "names an account of another organisation",
          f"UPDATE head_succession SET outgoing_id={MAGETAN}"),
    plant("succession-whole", "user_change", "neither two user administrators nor the outgoing head and one decided it",
          f"UPDATE user_change SET decided_by_person={OPERATOR} WHERE change='succession'"),
    plant("succession-whole", "user_change", "neither two user administrators nor the outgoing head and one decided it",
          "UPDATE user_change SET proposed_by_person=(SELECT person_id FROM user_account WHERE id=user_change.user_id) WHERE change='succession'"),
    plant("succession-done", "head_succession", "its successor was not made head then",
          "DELETE FROM user_role WHERE role='head' AND user_id IN (SELECT successor_id FROM head_succession)"),
    plant("succession-done", "head_succession", "or for another time", "UPDATE user_role SET ends_at=NULL WHERE role='head'"),
    plant("succession-done", "head_succession", "the outgoing head stayed head",
          "UPDATE user_role SET until='2099-01-01 00:00:00.000000' WHERE role='head' AND until IS NOT NULL"),
    plant("role-end", "user", "has the role head until a day that no executed proposal names",
          "UPDATE user_role SET ends_at='2090-01-01 00:00:00.000000' WHERE role='head' AND ends_at IS NOT NULL"),
    plant("passed-work", "head_succession", "passed on a personalisation_request that is not its organisation's",
          "UPDATE passed_work SET object_id={some personalisation_request requester_id=(SELECT organisation_id FROM user_account WHERE username='magetan.kepala')}"),
    plant("passed-work", "head_succession", "passed work on, and was not executed",
          "UPDATE user_change SET state='rejected' WHERE change='succession'"),
    plant("passed-work", "head_succession", "passed on 0 objects, its entry says 1", "DELETE FROM passed_work"),
]  # fmt: skip
