"""Activation: a token and a place become a manifest."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from hsm import HSM
from hsm.derivation import kcv
from manifests import conf
from sifilma.activation.issuing import service as issuing
from sifilma.activation.models import Token
from sifilma.activation.schemas import ActivationIn
from sifilma.kernel.db import db
from sifilma.kernel.errors import Conflict
from sifilma.regions.sources import place_check
from tests.activation.conftest import check, verified
from tests.support.counting import counted
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, Client, World, done

Fetch = Callable[[Client, str], bytes]


def problem(response: Any) -> str:
    return str(response.json["type"]).rpartition(":")[2]


def test_the_manifest_is_for_this_card_in_this_machine_at_this_place(world: World, signing_token: HSM, fetch: Fetch) -> None:
    ready = world.ready()
    uid, client = ready.uids[0], world.client("magetan.kepala")
    answer = done(client.post("/activations", world.activation(ready, uid)), 201)
    made = verified(world, fetch(client, answer["manifest"]["id"]))
    assert (made.sub, made.fn, made.seq, made.epoch, made.prev) == (uid, "RW", 1, 1, None)
    assert made.jti == answer["manifest"]["id"]
    assert made.unit.hw == ready.hardware[uid]
    assert made.org.name == "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"
    assert (made.loc.lat_e7, made.loc.lon_e7, made.loc.code) == (-76536000, 1113280000, MAGETAN_PLACE["region_code"])
    assert made.exp - made.iat == (365 * 3 + 1) * 86400  # three years, one of them a leap year
    assert made.grace == 30 * 86400
    key = signing_token.derive_open_key(1, bytes.fromhex(uid))
    assert conf.open_key(made.cfg.conf, bytes.fromhex(made.unit.pcid)) == key
    assert made.card.kcv == kcv(key)


def test_a_reader_whose_clock_is_minutes_behind_does_not_refuse_what_was_made_now(sqlite_world: World, fetch: Fetch) -> None:
    _, answers = sqlite_world.active()
    data = fetch(sqlite_world.client("magetan.kepala"), answers[0]["manifest"]["id"])
    assert [check(sqlite_world, data, behind=seconds).reason for seconds in (0, 1, 90, 300)] == [None] * 4
    assert check(sqlite_world, data, behind=301).reason == "not-yet-valid"


def test_an_activation_records_the_result_of_the_place_check(world: World) -> None:
    _, answers = world.active()
    shown = done(world.client("auditor1").get(f"/activations/{answers[0]['id']}"))
    place = shown["place"]
    assert place["outcome"] == "PASS"
    assert place["distance_m"] == 0
    assert place["nearest"] == "35.20"
    assert len(place["source_sha256"]) == 64
    assert shown["review"]["state"] == "none"
    entries = done(world.client("auditor1").get("/audit", object=answers[0]["id"]))["items"]
    assert [entry["action"] for entry in entries] == ["activation.create"]


def test_a_token_activates_its_card_once(world: World) -> None:
    ready = world.ready()
    client, body = world.client("magetan.kepala"), world.activation(ready, ready.uids[0])
    done(client.post("/activations", body), 201)
    again = client.post("/activations", body)
    assert (again.status_code, problem(again)) == (409, "no-token")
    assert done(client.get(f"/activation-requests/{ready.request}"))["state"] == "completed"


def test_fifty_simultaneous_activations_with_one_token_give_one_manifest_and_clear_refusals(world: World) -> None:
    ready = world.ready()
    client, body = world.client("magetan.kepala"), world.activation(ready, ready.uids[0])
    answers = run_simultaneously([lambda: client.post("/activations", body)] * 50)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    assert {problem(answer) for answer in answers if answer.status_code == 409} <= {
        "no-token", "token-used", "request-not-approved", "activation-under-way",
    }  # fmt: skip
    assert world.sql("SELECT COUNT(*) FROM manifest")[0][0] == 1
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 1
    assert world.sql("SELECT state, seq FROM card")[0] == ("active", 1)


def test_two_simultaneous_last_activations_complete_the_request(world: World) -> None:
    ready = world.ready(count=2)
    client = world.client("magetan.kepala")
    bodies = [world.activation(ready, uid) for uid in ready.uids]
    answers = run_simultaneously([partial(client.post, "/activations", body) for body in bodies])
    assert [answer.status_code for answer in answers] == [201, 201]
    assert done(client.get(f"/activation-requests/{ready.request}"))["state"] == "completed"


def test_an_activation_takes_at_most_ten_statements_and_one_commit(world: World) -> None:
    ready = world.ready(count=3)
    client = world.client("magetan.kepala")
    done(client.post("/activations", world.activation(ready, ready.uids[0])), 201)  # the first activation of a month also makes a data key
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        done(client.post("/activations", world.activation(ready, ready.uids[1])), 201)
    assert len(found.statements) <= 10, found.statements
    assert (found.commits, found.connections) == (1, 0)
    _, tokens = world.tokens("magetan.kepala", ready.uids[:1], "relocation")
    with counted(engine) as found:
        done(client.post("/activations", world.activation(ready, ready.uids[0], token=tokens[ready.uids[0]])), 201)
    assert len(found.statements) <= 10, found.statements


def test_wrong_tokens_are_counted_and_the_fifth_cancels_the_token(world: World) -> None:
    ready = world.ready()
    client, body = world.client("magetan.kepala"), world.activation(ready, ready.uids[0])
    for left in (4, 3, 2, 1):
        refused = client.post("/activations", body | {"token": "AAAAAAAAAA"})
        assert (refused.status_code, problem(refused)) == (422, "token-refused")
        assert f"{left} tries" in refused.json["detail"]
        assert "AAAAAAAAAA" not in refused.get_data(as_text=True)
    assert "cancelled now" in client.post("/activations", body | {"token": "AAAAAAAAAA"}).json["detail"]
    assert client.post("/activations", body).status_code == 409  # the right token is refused now as well
    token = done(client.get(f"/activation-requests/{ready.request}"))["tokens"][0]
    assert (token["state"], token["tries_left"]) == ("cancelled", 0)
    actions = world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'token.refused'")
    assert actions[0][0] == 5


def test_the_token_of_another_card_counts_as_a_wrong_token(world: World) -> None:
    ready = world.ready(count=2)
    body = world.activation(ready, ready.uids[0], token=ready.tokens[ready.uids[1]])
    assert problem(world.client("magetan.kepala").post("/activations", body)) == "token-refused"


def test_a_token_expires_after_its_days(world: World) -> None:
    ready = world.ready()
    world.clock.advance(days=14, seconds=1)
    refused = world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0]))
    assert (refused.status_code, problem(refused)) == (409, "token-expired")


def test_only_the_holder_activates_its_card(world: World) -> None:
    ready = world.ready()
    body = world.activation(ready, ready.uids[0])
    assert world.client("bangli.kepala").post("/activations", body).status_code == 404
    for name in ("operator1", "penyetuju1", "auditor1"):
        assert world.client(name).post("/activations", body).status_code == 403
    stale = world.client("magetan.kepala", fresh=False).post("/activations", body)
    assert (stale.status_code, problem(stale)) == (403, "step-up-required")
    done(world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan").post("/activations", body), 201)


def test_a_place_outside_the_region_needs_a_reason_and_waits_for_review(world: World) -> None:
    ready = world.ready("bangli.kepala", "R")
    client, uid = world.client("bangli.kepala"), ready.uids[0]
    far = {"latitude": MAGETAN_PLACE["latitude"], "longitude": MAGETAN_PLACE["longitude"], "region_code": BANGLI_PLACE["region_code"]}
    refused = client.post("/activations", world.activation(ready, uid, **far))
    assert (refused.status_code, problem(refused)) == (422, "place-needs-reason")
    assert refused.json["errors"][0]["field"] == "reason"
    answer = done(client.post("/activations", world.activation(ready, uid, **far, reason="pameran di luar kabupaten")), 201)
    assert answer["place"] == "FAIL"
    operator = world.client("operator1")
    waiting = done(operator.get("/activations", review="waiting"))["items"]
    assert [item["id"] for item in waiting] == [answer["id"]]
    review = {"decision": "accepted", "note": "surat tugas diperiksa"}
    assert client.post(f"/activations/{answer['id']}/review", review).status_code == 403
    done(operator.post(f"/activations/{answer['id']}/review", review))
    assert operator.post(f"/activations/{answer['id']}/review", review).status_code == 409


def test_land_at_the_border_is_activated_with_a_reason_and_reviewed(world: World) -> None:
    ready = world.ready()
    client, uid = world.client("magetan.kepala"), ready.uids[0]
    border = {"latitude": -9.00875, "longitude": 124.92485, "region_code": "53.04.02.2001"}
    refused = client.post("/activations", world.activation(ready, uid, **border))
    assert (refused.status_code, problem(refused)) == (422, "place-needs-reason")
    assert "at the border" in refused.json["detail"]
    made = done(client.post("/activations", world.activation(ready, uid, **border, reason="kantor di perbatasan")), 201)
    shown = done(client.get(f"/activations/{made['id']}"))
    assert (made["place"], shown["review"]["state"]) == ("REVIEW", "waiting")


def test_impossible_places_are_refused_and_cost_no_try(world: World) -> None:
    ready = world.ready()
    client, uid = world.client("magetan.kepala"), ready.uids[0]
    for change, word in (
        ({"latitude": 0, "longitude": 0}, "place-zero"),
        ({"latitude": 1.3521, "longitude": 103.8198}, "place-foreign"),
        ({"latitude": -33.8, "longitude": 151.2}, "place-outside"),
        ({"region_code": "35.20.99.1001"}, "invalid"),
        ({"region_code": "35.20"}, "invalid"),
    ):
        refused = client.post("/activations", world.activation(ready, uid, reason="x" * 10, **change))
        assert (refused.status_code, problem(refused)) == (422, word)
    assert world.sql("SELECT tries, state FROM token")[0] == (0, "issued")
    done(client.post("/activations", world.activation(ready, uid)), 201)


def test_a_card_is_activated_only_in_a_machine_it_is_meant_for(world: World) -> None:
    ready = world.ready(count=2)
    client, uid = world.client("magetan.kepala"), ready.uids[0]
    reader = world.units("magetan.kepala", 1, "LEN-CRD-1", "R")[0]
    bare = world.units("magetan.kepala", 1, pcid=False)[0]
    done(client.post("/activations", world.activation(ready, ready.uids[1])), 201)
    for hardware, status, word in (
        ("NO-SUCH-1", 422, "invalid"),
        (reader, 422, "invalid"),
        (bare, 409, "unit-without-pcid"),
        (ready.hardware[ready.uids[1]], 422, "unit-taken"),
    ):
        refused = client.post("/activations", world.activation(ready, uid, hardware_number=hardware))
        assert (refused.status_code, problem(refused)) == (status, word), hardware


def test_a_relocation_supersedes_the_old_manifest_in_the_same_commit(world: World, fetch: Fetch) -> None:
    ready, answers = world.active()
    uid, client = ready.uids[0], world.client("magetan.kepala")
    first = fetch(client, answers[0]["manifest"]["id"])
    _, tokens = world.tokens("magetan.kepala", [uid], "relocation")
    assert check(world, first).valid  # the old manifest counts until that commit
    moved = world.activation(ready, uid, token=tokens[uid], latitude=-7.67, longitude=111.226, region_code="35.20.06.1014")
    answer = done(client.post("/activations", moved), 201)
    assert answer["manifest"]["seq"] == 2
    second = fetch(client, answer["manifest"]["id"])
    assert check(world, first).reason == "revoked"
    made = verified(world, second)
    assert made.prev == hash_of(first)
    assert check(world, second, min_seq=3).reason == "older-than-seen"  # a reader that has seen a newer manifest
    history = [(s["from_state"], s["to_state"]) for s in done(client.get(f"/cards/{uid}/history"))["items"]]
    assert history[-2:] == [("received", "active"), ("active", "active")]


def hash_of(data: bytes) -> str:
    """Return the base64url SHA-256 of a manifest's payload."""
    body = data.split(b".")[1]
    digest = hashlib.sha256(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_an_institutions_manifest_ends_with_its_agreement(world: World, fetch: Fetch) -> None:
    ready = world.institution_ready()
    client = world.client("mandiri.kepala")
    answer = done(client.post("/activations", world.activation(ready, ready.uids[0])), 201)
    made = verified(world, fetch(client, answer["manifest"]["id"]))
    assert answer["manifest"]["expires_at"] == "2028-12-31T16:59:59Z"  # the last second of the PKS in Jakarta
    assert made.org.kind == "institution"


def test_an_institution_whose_agreement_has_ended_activates_nothing(world: World) -> None:
    world.clock.advance(days=365 * 2 + 35)  # the agreement ends a few days after the token is issued
    ready = world.institution_ready()
    world.clock.advance(days=10)
    refused = world.client("mandiri.kepala").post("/activations", world.activation(ready, ready.uids[0]))
    assert (refused.status_code, problem(refused)) == (409, "no-agreement")


def test_a_request_that_waited_sees_the_tries_that_were_counted_meanwhile(world: World) -> None:
    """It was authenticated before the fifth wrong try, and comes to the card after it: SQLite would still show it the card of then."""
    ready = world.ready("magetan.kepala", "R", 1)
    client, wrong = world.client("magetan.kepala"), world.activation(ready, ready.uids[0], token="A" * 10)
    with world.acting("magetan.kepala") as ctx:
        ctx.uow.begin_read()
        assert ctx.session.scalar(select(Token.tries)) == 0
        assert {client.post("/activations", wrong).status_code for _ in range(5)} == {422}
        with pytest.raises(Conflict, match="no open token"):
            issuing.activate(ctx, world.settings, world.hsm, place_check(world.settings.home), ActivationIn.model_validate(wrong))
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'token.refused'") == [(5,)]
