"""Tokens: who sees them, how they are reissued, when they expire."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from sifilma.activation import tasks
from sifilma.activation.tokens import service as tokens
from tests.support.simultaneous_calls import start_in_background
from tests.support.world import World, done


def test_tokens_are_ten_mixed_alphanumerics_and_unique(world: World) -> None:
    ready = world.ready(count=5)
    assert len(set(ready.tokens.values())) == 5
    assert all(len(token) == 10 and token.isalnum() for token in ready.tokens.values())


def test_no_token_is_in_clear_in_the_database(world: World) -> None:
    ready = world.ready()
    token = ready.tokens[ready.uids[0]].encode()
    for mac, sealed in world.sql("SELECT mac, sealed FROM token"):
        assert len(mac) == 32
        assert token not in bytes(sealed)
    for (data,) in world.sql("SELECT CAST(data AS text) FROM audit_entry"):
        assert token.decode() not in data


def test_only_the_organisation_that_asked_sees_its_tokens(world: World) -> None:
    ready = world.ready()
    path = f"/activation-requests/{ready.request}/tokens"
    for name in ("operator1", "penyetuju1", "auditor1"):
        assert world.client(name).post(path).status_code == 403
    assert world.client("jatim.kepala").post(path).status_code == 404  # the province sees the request, not its tokens
    assert world.client("bangli.kepala").post(path).status_code == 404
    assert world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan").post(path).status_code == 403
    assert world.client("magetan.staf", fresh=False).post(path).json["type"].endswith("step-up-required")
    assert done(world.client("magetan.staf").post(path))["tokens"][0]["token"] == ready.tokens[ready.uids[0]]
    assert "no-store" in world.client("magetan.staf").post(path).headers["Cache-Control"]
    shown = world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'token.reveal'")
    assert shown[0][0] == 3


def test_whoever_may_see_the_request_sees_that_tokens_exist(world: World) -> None:
    ready = world.ready()
    for name in ("operator1", "auditor1", "jatim.kepala", "magetan.kepala"):
        shown = done(world.client(name).get(f"/activation-requests/{ready.request}"))
        assert [token["state"] for token in shown["tokens"]] == ["issued"]
        assert ready.tokens[ready.uids[0]] not in str(shown)


def test_a_reissued_token_replaces_the_old_one(world: World) -> None:
    ready = world.ready()
    uid, client = ready.uids[0], world.client("magetan.kepala")
    fresh = done(client.post(f"/activation-requests/{ready.request}/tokens/{uid}/reissue"))["tokens"][0]
    assert fresh["token"] != ready.tokens[uid]
    refused = client.post("/activations", world.activation(ready, uid))
    assert refused.json["type"].endswith("token-refused")
    done(client.post("/activations", world.activation(ready, uid, token=fresh["token"])), 201)
    again = client.post(f"/activation-requests/{ready.request}/tokens/{uid}/reissue")
    assert again.status_code == 409


def test_a_token_reissued_while_its_request_is_cancelled_is_cancelled_too(postgresql_world: World) -> None:
    world = postgresql_world
    ready, client = world.ready(), world.client("magetan.staf")
    for _ in range(5):  # no token is open, so only the lock of the request serialises the two calls
        assert client.post("/activations", world.activation(ready, ready.uids[0], token="x" * 10)).status_code == 422
    with world.acting("magetan.kepala") as ctx:
        tokens.reissue(ctx, world.settings, world.hsm, UUID(ready.request), ready.uids[0])
        other = start_in_background(partial(client.post, f"/activation-requests/{ready.request}/cancel"))
    assert done(other())["state"] == "cancelled"
    assert world.sql(
        "SELECT COUNT(*) FROM token t JOIN activation_request r ON r.id = t.activation_request_id"
        " WHERE t.state = 'issued' AND r.state <> 'approved'"
    ) == [(0,)]


def test_a_reissued_token_works_after_five_wrong_tries(world: World) -> None:
    ready = world.ready()
    uid, client = ready.uids[0], world.client("magetan.kepala")
    for _ in range(5):
        client.post("/activations", world.activation(ready, uid, token="wrong"))
    void = client.post("/activations", world.activation(ready, uid))
    assert void.json["type"].endswith("no-token")
    fresh = done(client.post(f"/activation-requests/{ready.request}/tokens/{uid}/reissue"))["tokens"][0]["token"]
    done(client.post("/activations", world.activation(ready, uid, token=fresh)), 201)


def test_a_card_the_request_does_not_name_gets_no_token(world: World) -> None:
    ready = world.ready()
    answer = world.client("magetan.kepala").post(f"/activation-requests/{ready.request}/tokens/30154B01FFFFFFFF/reissue")
    assert answer.status_code == 404


def test_tokens_expire_and_the_request_expires_with_the_last_one(world: World) -> None:
    ready = world.ready(count=2)
    done(world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0])), 201)
    world.clock.advance(days=13)
    assert run(world) == (0, 0)
    world.clock.advance(days=2)
    assert run(world) == (1, 1)
    shown = done(world.client("magetan.kepala").get(f"/activation-requests/{ready.request}"))
    assert shown["state"] == "expired"
    assert sorted(token["state"] for token in shown["tokens"]) == ["expired", "redeemed"]
    assert run(world) == (0, 0)


def run(world: World) -> tuple[int, int]:
    """Run the worker's expiry once; return the numbers of expired tokens and requests."""
    with world.context() as ctx:
        tokens = tasks.expire_tokens(ctx)
    with world.context() as ctx:
        return tokens, tasks.expire_requests(ctx)


def test_cancelling_a_request_cancels_its_open_tokens(world: World) -> None:
    ready = world.ready(count=2)
    client = world.client("magetan.kepala")
    done(client.post("/activations", world.activation(ready, ready.uids[0])), 201)
    done(client.post(f"/activation-requests/{ready.request}/cancel", {"note": "salah kartu"}))
    states = dict(world.sql("SELECT state, COUNT(*) FROM token GROUP BY state"))
    assert states == {"redeemed": 1, "cancelled": 1}
    assert client.post("/activations", world.activation(ready, ready.uids[1])).status_code == 409


def test_a_damaged_card_gets_no_new_token(world: World) -> None:
    ready = world.ready()
    client, uid = world.client("magetan.kepala"), ready.uids[0]
    done(client.post(f"/cards/{uid}/reports", {"condition": "lost", "note": "hilang"}))
    refused = client.post(f"/activation-requests/{ready.request}/tokens/{uid}/reissue")
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:card-not-ready")
    done(client.post(f"/cards/{uid}/reports", {"condition": "found", "note": "ditemukan"}))
    assert done(client.post(f"/activation-requests/{ready.request}/tokens/{uid}/reissue"))["tokens"][0]["sam_uid"] == uid
