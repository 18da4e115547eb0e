"""Status lists: published after a change, with a growing sequence; a revocation is never withdrawn."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hsm import HSM
from manifests.keyset import sign_keyset
from manifests.status import StatusValue, verify_status
from sifilma.activation.trust import status_list
from sifilma.app.audit_commands import keep_log
from sifilma.kernel import triggers
from sifilma.kernel.db import db
from sifilma.kernel.errors import KeyOutsidePeriod
from sifilma.web import metrics
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import SoftHSM
from tests.support.world import World, done


def fetch(world: World, number: int = 1) -> bytes:
    response = world.app.test_client(use_cookies=False).get(f"/status/{number}.jws")
    assert response.status_code == 200, response.get_data()
    assert response.content_type == "application/jose"
    return response.get_data()


def values(world: World, data: bytes) -> tuple[int, list[StatusValue]]:
    """Verify a list with the token's public key; return its sequence and its first four entries."""
    listed = verify_status(data, world.hsm.public_key("status-sign"))
    return listed.seq, [listed.value(index) for index in range(4)]


def test_a_list_is_published_again_only_after_a_change(world: World) -> None:
    ready, _ = world.active()
    first = fetch(world)
    assert fetch(world) == first
    assert values(world, first) == (1, [StatusValue.VALID] * 4)
    done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    assert values(world, fetch(world)) == (2, [StatusValue.REVOKED, *[StatusValue.VALID] * 3])


def test_a_list_is_renewed_before_it_expires(world: World) -> None:
    world.active()
    first, _ = values(world, fetch(world))
    world.clock.advance(hours=11)
    assert values(world, fetch(world))[0] == first
    world.clock.advance(hours=2)
    assert values(world, fetch(world))[0] == first + 1


def test_each_manifest_that_one_statement_changes_is_counted(world: World) -> None:
    world.active(count=3)
    before = world.sql("SELECT changes FROM status_list")[0][0]
    act = "(SELECT id FROM audit_entry ORDER BY id LIMIT 1)"
    world.sql(f"UPDATE manifest SET state = 'expired', revision = revision + 1, act_id = {act}")
    assert world.sql("SELECT changes FROM status_list")[0][0] == before + 3
    world.sql("UPDATE manifest SET revision = revision + 1")
    assert world.sql("SELECT changes FROM status_list")[0][0] == before + 3


def test_an_unknown_list_is_not_found(world: World) -> None:
    assert world.app.test_client(use_cookies=False).get("/status/7.jws").status_code == 404
    for number in (2**31, 10**25):
        assert world.anonymous().open("GET", f"/status/{number}.jws").status_code == 404


def test_simultaneous_readers_get_one_list_and_the_sequence_only_grows(world: World) -> None:
    world.active()
    answers = run_simultaneously([lambda: fetch(world)] * 12)
    seqs = sorted({values(world, data)[0] for data in answers})
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(set(answers)) == len(seqs)  # all readers got the same sequence and text
    assert values(world, fetch(world))[0] == seqs[-1]


@pytest.mark.parametrize("changes", ["3", "(SELECT changes FROM published_status_list)"], ids=["changed_since", "as_published"])
def test_a_restored_older_database_does_not_withdraw_a_revocation(world: World, changes: str) -> None:
    ready, _ = world.active(count=2)
    before = fetch(world)
    done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    seq, revoked = values(world, fetch(world))
    assert revoked[0] == StatusValue.REVOKED
    restore_older(world, changes)  # as after a restore of yesterday's copy, which does not hold the revocation
    assert before != fetch(world)
    later, shown = values(world, fetch(world))
    assert later > seq
    assert shown[0] == StatusValue.REVOKED
    done(world.client("magetan.kepala").post(f"/cards/{ready.uids[1]}/reports", {"condition": "lost", "note": "hilang"}))
    assert values(world, fetch(world))[1][:2] == [StatusValue.REVOKED, StatusValue.REVOKED]


def restore_older(world: World, changes: str) -> None:
    """Remove the revocation and its publication from the database without its triggers, as a restore of an older copy would."""
    with world.app.app_context(), db.engine.begin() as connection:
        triggers.uninstall(connection)
        connection.exec_driver_sql("UPDATE manifest SET state = 'active'")
        connection.exec_driver_sql("UPDATE card SET state = 'active'")
        connection.exec_driver_sql("DELETE FROM published_status_list WHERE seq > 1")
        connection.exec_driver_sql(f"UPDATE status_list SET changes = {changes}")
        triggers.install(connection)


@pytest.fixture
def small_lists(sqlite_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose status lists have eight entries."""
    with closing(World(sqlite_url, tmp_path / "home", signing_token, root_token, status_list_size=8)) as made:
        yield made


def test_a_full_list_is_followed_by_a_new_one(small_lists: World) -> None:
    with small_lists.context() as ctx:
        assert status_list.reserve(ctx.session, 5, 8) == [(1, n) for n in range(5)]
        assert status_list.reserve(ctx.session, 5, 8) == [(1, 5), (1, 6), (1, 7), (2, 0), (2, 1)]
        assert status_list.reserve(ctx.session, 20, 8)[-1] == (4, 5)
    small_lists.active()
    assert values(small_lists, fetch(small_lists, 4))[0] == 1


def not_renewed() -> float:
    return metrics.REGISTRY.get_sample_value("sifilma_status_lists_not_renewed_total", {"reason": "hsm"}) or 0.0


def test_a_list_still_valid_is_served_while_the_hsm_is_away(world: World, softhsm: SoftHSM) -> None:
    ready, _ = world.active()
    client, first = world.app.test_client(use_cookies=False), fetch(world)
    before = not_renewed()
    with softhsm.away():
        done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
        world.clock.advance(hours=23)  # past half its life, and something has changed
        answer = client.get("/status/1.jws")
        assert (answer.status_code, answer.get_data()) == (200, first)
        assert answer.headers["Cache-Control"] == "public, max-age=10"
        world.clock.advance(hours=1)
        assert client.get("/status/1.jws").status_code == 503
        assert client.get("/status/2.jws").status_code == 404
        for path in ("sam-keyset.jws", "jwks.json", "sam-root.crt"):
            assert client.get(f"/.well-known/{path}").status_code == 200
    assert not_renewed() == before + 1
    deadline = time.monotonic() + 5
    while client.get("/status/1.jws").status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.2)  # the HSM is probed once a second
    assert values(world, fetch(world)) == (2, [StatusValue.REVOKED, *[StatusValue.VALID] * 3])


def test_nothing_is_signed_with_a_key_outside_its_period(sqlite_world: World, root_token: HSM) -> None:
    world = sqlite_world
    ready, _ = world.active(function="R", count=2)
    waiting, last = world.ready(function="R"), fetch(world)
    listed = verify_status(last, world.hsm.public_key("status-sign"))
    shorter = [key.model_copy(update={"exp": listed.iat + 3600}) for key in world.trust.keyset.keys]
    held = world.trust.keyset.model_copy(update={"keys": shorter, "version": 2})
    line = sign_keyset(held, (root_token.public_key("root"), lambda digest: root_token.sign("root", digest)))
    (world.settings.trust / "sam-keyset.jws").write_text(line)
    central = world.client("operator1")
    for page in central.open("GET", "/", headers=central.headers), world.anonymous().open("GET", "/status"):  # told long before
        assert re.search("hanya menandatangani sampai|masa sebuah kunci penanda tangan", page.get_data(as_text=True))
    left = world.app.test_client().get("/metrics").get_data(as_text=True)
    assert re.search(r"sifilma_signing_key_days 0\.0", left)
    world.clock.advance(minutes=55, seconds=1)  # within five minutes of its end nothing is signed: another node's clock may be ahead
    office = world.client("magetan.kepala")
    refused = office.post("/activations", world.activation(waiting, waiting.uids[0]))
    assert (refused.status_code, refused.json["type"]) == (503, "urn:sifilma:problem:key-outside-period")
    assert "manifest-sign" in refused.json["detail"]
    assert world.sql("SELECT tries, state FROM token WHERE state <> 'redeemed'") == [(0, "issued")]
    done(office.post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    assert fetch(world) == last  # valid still, as the readers that hold it think
    world.clock.advance(hours=23, minutes=5)
    assert done(world.anonymous().open("GET", "/status/1.jws"), 503)["type"] == "urn:sifilma:problem:key-outside-period"
    with world.app.app_context(), pytest.raises(KeyOutsidePeriod):
        keep_log(now=True)
    assert world.sql("SELECT count(*) FROM log_checkpoint") == [(0,)]
