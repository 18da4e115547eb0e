"""The verification finds and names what an owner of the database changed in the audit entries or the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sifilma.audit import verification
from sifilma.audit.findings import AT_MOST, Fault, Report
from sifilma.kernel.ids import uuid7
from tests.support.transparency_log import act, as_superuser, grown, newest_note, sequence, verify
from tests.support.world import World


@dataclass
class Log:
    """A log with two checkpoints and entries after each; the text of the early checkpoint is kept elsewhere."""

    world: World
    early: str
    size: int

    def entry_at(self, seq: int) -> str:
        """Return the id of the entry at a place, as the database writes it."""
        return str(self.world.sql("SELECT entry_id FROM log_leaf WHERE seq = :seq", seq=seq)[0][0])


@pytest.fixture
def log(world: World) -> Log:
    grown(world, 20)
    early = newest_note(world)
    grown(world, 30)
    return Log(world, early, world.sql("SELECT COUNT(*) FROM log_leaf")[0][0])


def faults(report: Report) -> set[Fault]:
    return {found.fault for found in report.findings}


def named(report: Report, fault: Fault, entry_id: str) -> bool:
    """Tell whether the report names the entry with this fault, by its id and in its text."""
    plain = entry_id.replace("-", "")
    return any(
        found.fault is fault and found.entry_id is not None and found.entry_id.hex == plain and str(found.entry_id) in found.text
        for found in report.findings
    )


def test_an_unchanged_log_has_no_finding(log: Log) -> None:
    report = verify(log.world, log.early)
    assert (report.findings, report.size, report.checkpoints, report.waiting) == ([], log.size, 2, 0)


# --- edit ------------------------------------------------------------------------------------------------------------

EDITS = {
    "the action": "action = 'access.denied'",
    "the moment": "at = '2026-01-01 00:00:00{zone}'",
    "whose": "organisation_id = :other",
    "who": "user_id = :other",
    "the address": "ip = '203.0.113.9'",
    "the object": "object_id = 'another'",
    "the facts": "data = '[\"never said\"]'",
    "the salt": "salt = :salt",
}


def test_an_edited_entry_is_named(log: Log) -> None:
    victims = {log.entry_at(seq): edit for seq, edit in enumerate(EDITS.values(), start=log.size - 40)}
    zone = "" if "sqlite" in log.world.settings.database_url else "+00:00"
    for victim, edit in victims.items():
        as_superuser(
            log.world, f"UPDATE audit_entry SET {edit.format(zone=zone)} WHERE id = :id", id=victim, other=uuid7().hex, salt=bytes(16)
        )
    report = verify(log.world)
    assert faults(report) == {Fault.EDITED}
    assert [victim for victim in victims if not named(report, Fault.EDITED, victim)] == []
    assert [found.seq for found in report.findings] == list(range(log.size - 40, log.size - 40 + len(EDITS)))


def test_the_signed_checkpoints_narrow_down_an_entry_edited_with_its_leaf(log: Log) -> None:
    seq = log.size - 5
    as_superuser(log.world, "UPDATE log_leaf SET hash = :hash WHERE seq = :seq", hash=bytes(32), seq=seq)
    report = verify(log.world, log.early)
    assert Fault.REWRITTEN in faults(report)
    assert f"places {log.size - 30} to {log.size - 1}" in next(f.text for f in report.findings if f.fault is Fault.REWRITTEN)
    assert [f.text for f in report.findings if f.fault is Fault.REWRITTEN and "checkpoint over " + str(log.size - 30) in f.text] == []


def test_an_entry_that_sqlite_cannot_read_is_named(sqlite_world: World) -> None:
    grown(sqlite_world, 5)
    victim = str(sqlite_world.sql("SELECT entry_id FROM log_leaf WHERE seq = 2")[0][0])
    for spoilt in ("data = 'no json'", "at = 'never'", "user_id = 'nobody'"):
        column = spoilt.split(" = ")[0]
        before = sqlite_world.sql(f"SELECT {column} FROM audit_entry WHERE id = :id", id=victim)[0][0]
        as_superuser(sqlite_world, f"UPDATE audit_entry SET {spoilt} WHERE id = :id", id=victim)
        report = verify(sqlite_world)
        assert named(report, Fault.EDITED, victim), spoilt
        as_superuser(sqlite_world, f"UPDATE audit_entry SET {column} = :before WHERE id = :id", id=victim, before=before)
    assert verify(sqlite_world).ok


# --- delete ----------------------------------------------------------------------------------------------------------


def _delete_entry(world: World, entry_id: str) -> None:
    """Delete an entry to which no other row refers (a foreign key would prevent it otherwise)."""
    as_superuser(world, "DELETE FROM audit_entry WHERE id = :id", id=entry_id)


def test_a_deleted_entry_is_named(log: Log) -> None:
    victim = log.entry_at(log.size - 7)
    _delete_entry(log.world, victim)
    report = verify(log.world)
    assert faults(report) == {Fault.DELETED}
    assert named(report, Fault.DELETED, victim)


def test_an_entry_deleted_with_its_leaf_leaves_a_gap(log: Log) -> None:
    seq = log.size - 7
    victim = log.entry_at(seq)
    _delete_entry(log.world, victim)
    as_superuser(log.world, "DELETE FROM log_leaf WHERE seq = :seq", seq=seq)
    report = verify(log.world)
    assert {Fault.DELETED, Fault.REWRITTEN} <= faults(report)
    assert any(found.fault is Fault.DELETED and found.seq == seq for found in report.findings)


def test_a_deleted_entry_is_found_at_its_place_although_the_gap_was_closed(log: Log) -> None:
    seq = log.size - 7
    _delete_entry(log.world, log.entry_at(seq))
    as_superuser(log.world, "DELETE FROM log_leaf WHERE seq = :seq", *_shift(seq, -1), seq=seq)
    report = verify(log.world)
    told = [found for found in report.findings if found.fault is Fault.DELETED]
    assert [found.seq for found in told] == [seq]
    assert "earlier than they were logged" in told[0].text
    assert Fault.CUT in faults(report)  # the newest checkpoint covers one entry more


def test_an_entry_deleted_before_sequencing_is_named_while_it_waits(log: Log) -> None:
    victim = act(log.world)[0]
    as_superuser(log.world, "DELETE FROM audit_entry WHERE id = :id", id=_stored(log.world, victim))
    assert sequence(log.world) == 0
    assert named(verify(log.world), Fault.DELETED, victim)


def _shift(after: int, by: int) -> list[str]:
    """Return SQL that moves every later place, first far away, so that no two places are equal between the statements."""
    far = 1_000_000
    condition = "seq > :seq" if by < 0 else "seq >= :seq"
    return [f"UPDATE log_leaf SET seq = seq + {far} WHERE {condition}", f"UPDATE log_leaf SET seq = seq - {far - by} WHERE seq >= {far}"]


def _stored(world: World, entry_id: str) -> str:
    """Return an id as the database writes it."""
    return entry_id.replace("-", "") if "sqlite" in world.settings.database_url else entry_id


# --- insert ----------------------------------------------------------------------------------------------------------

COPIED = "action, user_id, person_id, api_key_id, organisation_id, object_kind, object_id, request_id, ip, data, salt"
COPY = f"INSERT INTO audit_entry (id, at, {COPIED}) SELECT :new, at, {COPIED} FROM audit_entry WHERE id = :like"


def test_an_entry_inserted_without_triggers_is_named(log: Log) -> None:
    forged = str(uuid7())
    as_superuser(log.world, COPY, new=_stored(log.world, forged), like=log.entry_at(9))
    report = verify(log.world)
    assert faults(report) == {Fault.INSERTED}
    assert named(report, Fault.INSERTED, forged)


def test_an_entry_inserted_with_a_place_is_found_at_its_place(log: Log) -> None:
    forged, seq = str(uuid7()), log.size - 12
    values = {"new": _stored(log.world, forged), "like": log.entry_at(9), "seq": seq, "hash": bytes(range(32))}
    as_superuser(
        log.world,
        COPY,
        *_shift(seq, 1),
        "INSERT INTO log_leaf (seq, entry_id, hash) VALUES (:seq, :new, :hash)",
        **values,
    )
    report = verify(log.world)
    assert any(f.fault is Fault.INSERTED and f.seq == seq and f"place {seq} was inserted" in f.text for f in report.findings)
    assert Fault.REWRITTEN in faults(report)
    assert named(report, Fault.EDITED, forged)  # and its leaf does not match it


def test_a_backdated_entry_is_named_once_sequenced(log: Log) -> None:
    """With triggers the entry is sequenced like any other, but after entries that are younger than its date and signed."""
    world, forged = log.world, str(uuid7())
    world.clock.advance(minutes=30)
    grown(world, 3)
    world.sql(COPY, new=_stored(world, forged), like=log.entry_at(9))
    sequence(world)
    report = verify(world)
    assert faults(report) == {Fault.INSERTED}
    assert named(report, Fault.INSERTED, forged)


# --- reorder ---------------------------------------------------------------------------------------------------------

SWAPS: dict[str, Callable[[int, int], list[str]]] = {
    "the places": lambda a, b: [
        f"UPDATE log_leaf SET seq = 1000000 WHERE seq = {a}",
        f"UPDATE log_leaf SET seq = {a} WHERE seq = {b}",
        f"UPDATE log_leaf SET seq = {b} WHERE seq = 1000000",
    ],
    "the entries at them": lambda a, b: [
        "CREATE TABLE kept AS SELECT * FROM log_leaf",
        f"DELETE FROM log_leaf WHERE seq IN ({a}, {b})",
        f"INSERT INTO log_leaf SELECT k.seq, o.entry_id, k.hash FROM kept k, kept o WHERE k.seq + o.seq = {a + b} AND k.seq IN ({a}, {b})",
        "DROP TABLE kept",
    ],
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
def test_exchanged_entries_are_named_with_their_right_places(log: Log, swap: Callable[[int, int], list[str]]) -> None:
    for apart in (1, 11):
        first, second = log.size - 20, log.size - 20 + apart
        there, here = log.entry_at(first), log.entry_at(second)
        as_superuser(log.world, *swap(first, second))
        report = verify(log.world)
        assert named(report, Fault.REORDERED, there)
        assert named(report, Fault.REORDERED, here)
        assert Fault.EDITED not in faults(report)
        assert any(found.seq == first and f"logged at place {second}" in found.text for found in report.findings)
        as_superuser(log.world, *swap(first, second))
        assert verify(log.world).ok


# --- cut -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_checkpoint", [True, False])
def test_a_cut_tail_is_found(log: Log, keeps_checkpoint: bool) -> None:
    """The tail is cut with everything that belongs to it. Even without checkpoints in the database, the copy beside it or a checkpoint
    kept elsewhere reveals the cut.
    """
    end = log.size - 10
    as_superuser(
        log.world,
        *([] if keeps_checkpoint else [f"DELETE FROM log_checkpoint WHERE size > {end}"]),
        f"DELETE FROM audit_entry WHERE id IN (SELECT entry_id FROM log_leaf WHERE seq >= {end})",
        f"DELETE FROM log_leaf WHERE seq >= {end}",
        f"DELETE FROM log_node WHERE height = 4 AND (idx + 1) * 16 > {end}",
    )
    report = verify(log.world, beside=False)
    assert faults(report) == ({Fault.CUT} if keeps_checkpoint else set())
    report = verify(log.world)
    assert faults(report) == {Fault.CUT}
    assert f"ends after {end} entries" in report.findings[0].text


def test_a_checkpoint_kept_elsewhere_reveals_a_rewritten_log(log: Log) -> None:
    """Entry, leaves, tree and checkpoints in the database are made consistent; only the checkpoint kept elsewhere contradicts them."""
    as_superuser(
        log.world,
        "DELETE FROM log_checkpoint",
        "DELETE FROM log_node",
        "DELETE FROM log_leaf",
        "UPDATE audit_entry SET action = 'access.denied' WHERE id = :id",
        "INSERT INTO audit_pending SELECT id FROM audit_entry",
        id=log.entry_at(3),
    )
    (log.world.settings.trust / "log-checkpoint.txt").unlink()
    sequence(log.world)
    assert verify(log.world).ok  # nothing on this machine contradicts the forged log
    report = verify(log.world, log.early)
    assert faults(report) == {Fault.REWRITTEN}
    assert "kept checkpoint" in report.findings[0].text


# --- tree and checkpoints --------------------------------------------------------------------------------------------


def test_a_changed_hash_of_the_tree_is_found(log: Log) -> None:
    as_superuser(log.world, "UPDATE log_node SET hash = :hash WHERE height = 4 AND idx = 1", hash=bytes(32))
    report = verify(log.world)
    assert [(found.fault, found.seq) for found in report.findings] == [(Fault.TREE, 16)]


@pytest.mark.parametrize("column", ["root = :hash", "note = REPLACE(note, 'sifilma', 'filmasi')", "origin = 'x'"])
def test_a_changed_checkpoint_is_found(log: Log, column: str) -> None:
    as_superuser(log.world, f"UPDATE log_checkpoint SET {column} WHERE size = {log.size}", hash=bytes(32))
    report = verify(log.world, beside=False)
    assert faults(report) == {Fault.CHECKPOINT}
    assert f"{log.size} entries" in report.findings[0].text


def test_an_unsigned_checkpoint_is_not_trusted(log: Log) -> None:
    forged = newest_note(log.world).replace(f"\n{log.size}\n", f"\n{log.size - 1}\n")
    assert faults(verify(log.world, forged)) == {Fault.CHECKPOINT}
    assert faults(verify(log.world, "no note at all")) == {Fault.CHECKPOINT}


# --- the report ------------------------------------------------------------------------------------------------------


def test_many_findings_are_counted_and_the_first_listed(log: Log) -> None:
    as_superuser(log.world, f"UPDATE audit_entry SET ip = 'x' WHERE id IN (SELECT entry_id FROM log_leaf WHERE seq >= {log.size - 25})")
    report = verify(log.world)
    assert (len(report.findings), report.more[Fault.EDITED]) == (AT_MOST, 25 - AT_MOST)


def test_the_newest_entries_alone_can_be_verified_against_the_checkpoints(log: Log) -> None:
    assert verify(log.world, newest=5).ok
    as_superuser(log.world, "UPDATE audit_entry SET ip = 'x' WHERE id = :id", id=log.entry_at(log.size - 2))
    assert faults(verify(log.world, newest=5)) == {Fault.EDITED}
    assert verify(log.world, newest=1).ok
    as_superuser(log.world, "UPDATE log_node SET hash = :hash WHERE height = 4 AND idx = 0", hash=bytes(32))
    assert Fault.REWRITTEN in faults(verify(log.world, newest=1))
    as_superuser(log.world, "DELETE FROM log_node")
    assert faults(verify(log.world, newest=1)) == {Fault.TREE}


class Busy(list[ec.EllipticCurvePublicKey]):
    """Trusted keys that let the log grow and be signed each time the verification iterates over them."""

    def __init__(self, world: World) -> None:
        super().__init__(world.trust.keys("audit"))
        self._world = world

    def __iter__(self) -> Iterator[ec.EllipticCurvePublicKey]:
        grown(self._world, 1)
        return super().__iter__()


def test_a_log_that_grows_during_its_verification_has_no_finding(log: Log) -> None:
    with log.world.context() as ctx:
        report = verification.verify(ctx, Busy(log.world), [log.early])
    assert (report.findings, report.size) == ([], log.size)
    assert log.world.sql("SELECT COUNT(*) FROM log_leaf")[0][0] > log.size + 2
