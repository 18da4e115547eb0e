"""Makes a lived-in installation: objects of every kind, in most of their states, and most transitions between them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc.jwk import ECKey
from pydantic import SecretStr

from sifilma.access_review.tasks import open_review
from sifilma.accounts import consents
from sifilma.activation import tasks
from sifilma.activation.carrying.tasks import carry
from sifilma.activation.suspensions.tasks import suspend_overdue
from sifilma.activation.trust import ceremonies
from sifilma.demo.sample_files import photo
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import Actor
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.delivery import deliver
from sifilma.notifications.outbox import Recipient
from sifilma.own_files.writer import end_old
from sifilma.sign_in import recovery_codes
from sifilma.sign_in.models import Passkey
from tests.accounts.known_people import accepted, asked, invited_by, take_up
from tests.accounts.test_deputies import deputy
from tests.accounts.test_people import STAFF, invited, taken_up
from tests.activation.bulk.sheets import rows_of, sent, sheet, worked
from tests.activation.requests.replacing import approved
from tests.cards.unit_keys import register_key
from tests.destruction.test_service import record
from tests.oversight import case_steps
from tests.oversight.test_reference import digest, proposed
from tests.own_files.files import asked as file_asked
from tests.own_files.files import written
from tests.sign_in.test_codes import password_step, signed_in
from tests.succession import head_successions
from tests.support.softhsm import PIN
from tests.support.transparency_log import sequence
from tests.support.visitor import Visitor, goes_to
from tests.support.world import BANGLI_PLACE, MAGETAN_PLACE, Client, Ready, World, done, letter, new_uid

HEAD, MAGETAN = "magetan.kepala", "/activation-requests/{}"


@dataclass(frozen=True)
class Life:
    """The installation, and the clear text of a token that is open in it."""

    world: World
    token: str


def lived(world: World) -> Life:
    """Fill the installation. The destruction comes early, so that most objects are younger than it."""
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, world.settings, world.trust)
    _accounts(world)
    ready, answers = world.active(HEAD, "RW", 4)
    _destroy(world, ready.uids[0])
    _revoke(world, answers[1]["manifest"]["id"])
    _relocate(world, ready)
    _upkeep(world)
    done(world.client(HEAD).post(f"/cards/{ready.uids[3]}/reports", {"condition": "lost", "note": "hilang"}))
    done(world.client(HEAD).post(f"/cards/{ready.uids[3]}/reports", {"condition": "found", "note": "ketemu"}))
    _reissue(world)
    _bangli(world)
    _bank(world)
    _places(world)
    _orders(world)
    _papers(world)
    _reference(world)
    sequence(world)
    token = _tokens(world)
    with world.context() as ctx:
        assert suspend_overdue(ctx) == 1
    _clock(world)
    _files(world)
    done(world.client(HEAD).post("/units", {"hardware_number": "HW-LAGI", "model": "LEN-CRD-1", "function": "R"}, Idempotency_Key="k"), 201)
    assert world.app.test_client().get("/status/1.jws").status_code == 200
    return Life(world, token)


def _accounts(world: World) -> None:
    """Sign in, step up, sign out, accept an invitation, disable and enable an account, revoke an API key, add a central account."""
    client = signed_in(world, password_step(world, HEAD).post("/session/otp", {"code": world.code(HEAD)}))
    world.clock.advance(seconds=60)
    assert client.post("/session/step-up", {"code": world.code(HEAD)}).status_code in (200, 204)
    assert world.client(HEAD).call("DELETE", "/session").status_code == 204
    head = world.client(HEAD)
    secret = invited(world)
    assert taken_up(world, secret) == 204
    people = {row["username"]: row["id"] for row in done(head.get("/users"))["items"]}
    for what in ("disable", "enable", "disable"):
        done(head.post(f"/users/{people[STAFF['username']]}/changes", {"change": what}))
        world.clock.advance(seconds=20)
    key = done(head.post("/api-keys", {"name": "mesin"}), 201)
    done(head.call("DELETE", f"/api-keys/{key['id']}"))
    kept = done(head.post("/api-keys", {"name": "layar", "scopes": ["read", "units"]}), 201)
    done(head.post(f"/api-keys/{kept['id']}/terms", {"scopes": ["read"], "addresses": ["192.0.2.0/24"]}))
    central = {"username": "operator9", "name": "Vina Contoh", "id_kind": "nip", "id_number": "199001012015032016", "roles": ["operator"]}
    proposed = done(world.client("admin1").post("/central-users", central | {"organisation": str(world.organisation_of("admin1"))}), 202)
    done(world.client("admin2").post(f"/user-changes/{proposed['proposal']}/decision", {"decision": "execute"}))
    _replace_lost_factor(world)
    _review_access(world)
    _consents(world)
    _successions(world)


def _successions(world: World) -> None:
    """Have one head follow another, with open work; then the former one stands in until a day."""
    jatim, successor = "jatim.kepala", "w.jatim"
    world.submitted(jatim, "R")
    first = done(head_successions.proposed(world, outgoing=jatim, successor=successor, former="staff"), 202)
    done(head_successions.decided(world, first["id"]))
    acting = done(head_successions.proposed(world, outgoing=successor, successor=jatim, former="head", until="2027-10-31"), 202)
    done(head_successions.decided(world, acting["id"], successor))


def _consents(world: World) -> None:
    """Ask known people: one accepts, one refuses, one lets it expire, one has no living account, so that two administrators decide."""
    number, jatim = "198001012005011001", "jatim.kepala"
    take_up(world, "umi.lama", invited_by(world, "bangli.kepala", "umi.lama", number))
    for username in ("x.jatim", "y.jatim", "z.jatim"):
        invited_by(world, jatim, username, number)
    accepted(world, "umi.lama", "x.jatim")
    done(world.client("umi.lama").post(f"/me/consents/{asked(world, 'y.jatim')}/answer", {"decision": "refuse"}))
    invited_by(world, jatim, "w.jatim", str(STAFF["id_number"]))
    proposal = done(world.client("admin1").post(f"/account-consents/{asked(world, 'w.jatim')}/proposal"), 202)["id"]
    link = done(world.client("admin2").post(f"/user-changes/{proposal}/decision", {"decision": "execute"}))["invitation"]
    take_up(world, "w.jatim", link.rpartition("/")[2])
    reported = done(world.client("magetan.kepala").post(f"/users/{world.users['magetan.staf']}/lost-factor", {"reason": "hilang"}), 202)
    done(world.client("magetan.staf").post(f"/me/lost-factor-reports/{reported['id']}/objection"))


def _review_access(world: World) -> None:
    """Give a role until a day, and let the head confirm a member of staff."""
    deputy(world, "operator2")
    home = world.organisation_of(HEAD)
    with world.context() as ctx:
        review = open_review(ctx, world.settings, ctx.session.get_one(Organisation, home)).id
    [line] = done(world.client(HEAD).get(f"/access-reviews/{review}/lines"))["items"]
    decision = {"line": line["id"], "outcome": "confirmed", "roles": line["roles"]}
    assert done(world.client(HEAD).post(f"/access-reviews/{review}/decisions", {"decisions": [decision]}))["state"] == "closed"


def _replace_lost_factor(world: World) -> None:
    """Replace a head's lost second factor, which ends recovery codes and a passkey; one message is given up, one is sent."""
    lost = world.users["bpjs.kepala"]
    [(person,)] = world.sql("SELECT person_id FROM user_account WHERE username = 'bpjs.kepala'")
    with world.context(Actor(user_id=lost, person_id=UUID(str(person)))) as ctx:
        recovery_codes.make(ctx, world.settings)
        ctx.session.add(Passkey(user_id=lost, name="Ponsel", credential_id=b"1", public_key=b"2", sign_count=0, created_at=ctx.now))
        outbox.enqueue(ctx, world.settings, Recipient(Channel.SMS, "+628120000001", lost), "code", "", "123456")
        outbox.enqueue(ctx, world.settings, Recipient(Channel.SMS, "+628120000001", lost), "reminder", "", "1 hal")
    deliver(world.context, world.settings)
    world.client("bpjs.kepala")
    world.clock.advance(seconds=1)
    reported = done(world.client("admin1").post(f"/users/{lost}/lost-factor", {"reason": "ponsel hilang"}), 202)["id"]
    done(world.client("admin2").post(f"/user-changes/{reported}/lost-factor-decision", {"decision": "execute"}))


def _destroy(world: World, uid: str) -> None:
    head = world.client(HEAD)
    done(head.send(f"/cards/{uid}/reports", {"condition": "damaged", "note": "retak"}, part="report", photos=[photo()[:2]]))
    made = done(head.post("/destructions", {"cards": [uid], "cause": "damaged", "note": "rusak"}), 201)
    world.approve("destructions", made["id"], "penyetuju1")
    done(head.send(f"/destructions/{made['id']}/record", record(world), part="record", photos=[photo()[:2]]))
    done(world.client("operator2").post(f"/destructions/{made['id']}/verify"))


def _revoke(world: World, manifest: str) -> None:
    done(world.client("operator1").post(f"/manifests/{manifest}/revoke", {"reason": "mesin dicuri"}), 202)
    done(world.client("penyetuju1").post(f"/manifests/{manifest}/revoke"))


def unit_id(client: Client, number: str) -> str:
    return str(done(client.get("/units", hardware_number=number))["items"][0]["id"])


def _upkeep(world: World) -> None:
    """Break, repair and retire units, correct them by one and by two persons, move one to an outlet, replace a machine."""
    head, staff = world.client(HEAD), world.client("magetan.staf")
    number = world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    for verb in ("correct", "break", "repair", "retire"):
        path = f"/units/{unit_id(head, number)}"
        done(head.post(f"{path}/{verb}", {"reason": "catatan"} | ({"sam_perso": "A" * 16} if verb == "correct" else {})))
    place = MAGETAN_PLACE | {"name": "KC Magetan", "branch_code": "KC-1", "address": "Jalan Raya 1"}
    at = done(head.post("/outlets", place), 201)
    ready, _ = world.active(HEAD, "R")
    done(head.post(f"/units/{unit_id(head, ready.hardware[ready.uids[0]])}/move", {"outlet": at["id"]}))
    shut = done(head.post("/outlets", place | {"name": "KCP Lama", "branch_code": "KC-2"}), 201)
    for verb in ("close", "reopen", "close"):
        done(head.post(f"/outlets/{shut['id']}/{verb}", {"reason": "pindah gedung"}))
    uid, new = ready.uids[0], world.units(HEAD, 1, "LEN-CRD-1", "R")[0]
    moved = approved(world, (uid, new))
    done(head.post("/activations", world.activation(moved, uid)), 201)
    path = f"/units/{unit_id(head, new)}/correct"
    for decision in ("withdraw", "reject", "execute"):
        asked = done(head.post(path, {"pcid": secrets.token_hex(16), "reason": "tertukar"}), 202)["correction"]["id"]
        who = head if decision == "withdraw" else staff
        done(who.post(path, {"proposal": asked, "decision": decision, "reason": "sesuai label"}))
    done(head.post(f"/units/{unit_id(head, new)}/move", {"outlet": at["id"]}))
    done(head.call("PUT", f"/users/{world.users['magetan.staf']}/outlets", json={"outlets": [at["id"]]}))


def _relocate(world: World, ready: Ready) -> None:
    uid = ready.uids[2]
    _, tokens = world.tokens(HEAD, [uid], "relocation")
    done(world.client(HEAD).post("/activations", world.activation(ready, uid, token=tokens[uid])), 201)


def _reissue(world: World) -> None:
    """Replace the key that signs manifests, and have those that it signed issued anew."""
    world.configure(root_pin=SecretStr(PIN))
    for act, what in (("rotate", "manifest-sign"), ("reissue", "1")):
        world.clock.advance(seconds=31)  # a code counts once
        arguments = ["hsm", act, what, "--custodian", "kustodian1"]
        told = world.app.test_cli_runner().invoke(args=arguments, input=world.code("kustodian1") + "\n")
        assert told.exit_code == 0, (told.output, told.exception)
    assert carry(world.context, world.settings, world.hsm) > 0


def _bangli(world: World) -> None:
    """Activate at a doubtful place that is accepted later, and report another card locked."""
    ready = world.ready("bangli.kepala", "R", 2)
    client = world.client("bangli.kepala")
    far = BANGLI_PLACE | {"latitude": -8.60}
    answer = done(client.post("/activations", world.activation(ready, ready.uids[0], **far, reason="pelayanan keliling")), 201)
    done(world.client("operator1").post(f"/activations/{answer['id']}/review", {"decision": "accepted", "note": "surat tugas"}))
    done(client.post("/activations", world.activation(ready, ready.uids[1], **BANGLI_PLACE)), 201)
    done(client.post(f"/cards/{ready.uids[1]}/reports", {"condition": "locked", "note": "terkunci"}))
    own = next(name for name, key in world.organisations.items() if key == world.organisation_of("bangli.kepala"))
    for uid, decision in zip(world.received("bangli.kepala", "R", 2), ("confirm", ""), strict=True):
        _reported(world, world.machine(own), "bangli.kepala", uid, decision)


def _bank(world: World) -> None:
    """Activate a bank's card with the API key of its machine, which reports it; the unit has a public key, and gets another."""
    ready = world.institution_ready()
    uid = ready.uids[0]
    register_key(world, ready.hardware[uid], ECKey.generate_key("P-256", private=False).as_dict())
    name = next(name for name, key in world.organisations.items() if key == world.organisation_of("mandiri.kepala"))
    machine, head = world.machine(name), world.client("mandiri.kepala")
    done(machine.post("/activations", world.activation(ready, uid)), 201)
    unit = done(head.get("/units", hardware_number=ready.hardware[uid]))["items"][0]["id"]
    sent_key = {"keys": [{"unit": unit, "public_jwk": ECKey.generate_key("P-256", private=False).as_dict()}]}
    change = done(machine.post("/unit-key-changes", sent_key), 201)
    done(head.post(f"/unit-key-changes/{change['id']}/take-up", {"digest": change["digest"]}))
    done(head.post(f"/unit-key-changes/{change['id']}/reject", {"note": "sidik tidak sama"}))
    _reported(world, machine, "mandiri.kepala", uid, "withdraw")


def _reported(world: World, machine: Client, who: str, uid: str, decision: str) -> None:
    """Let a program report a card, and a person decide, if `decision` names a verb."""
    report = done(machine.post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "macet"}))["pending_report"]
    if decision:
        done(world.client(who).post(f"/card-reports/{report}/{decision}", {"note": "dilihat sendiri"}))


def _papers(world: World) -> None:
    """Return, correct, reject and cancel requests; record a failed card; refuse, cancel and leave open handovers."""
    head, operator = world.client(HEAD), world.client("operator1")
    for what in ("return", "reject"):
        made, kind = world.submitted(HEAD, "R", 2)["id"], "personalisation-requests"
        who = operator if what == "return" else world.client("penyetuju2")
        fields = {"fields": {"subject": "Perihal tidak sama dengan surat."}} if what == "return" else {}
        done(who.post(f"/{kind}/{made}/{what}", {"note": "kurang jelas"} | fields))
        if what == "return":
            done(head.send(f"/{kind}/{made}", world.letter() | {"function": "R", "quantity": 1}, method="PUT"))
            done(head.post(f"/{kind}/{made}/submit"))
            done(head.post(f"/{kind}/{made}/cancel", {"note": "tidak jadi"}))
    made = world.submitted(HEAD, "R", 2)["id"]
    files = [photo(8, 8)[1], photo(9, 9)[1]]
    done(operator.send(f"/personalisation-requests/{made}/messages", {"body": "Foto terlampir."}, part="message", attachments=files), 201)
    world.approve("personalisation-requests", made, "penyetuju1")
    results = [{"sam_uid": new_uid(), "outcome": outcome} for outcome in ("personalised", "failed")]
    done(operator.post(f"/personalisation-requests/{made}/results", {"results": results}))
    uids = world.personalised(HEAD, "R", 2)
    body: dict[str, Any] = {"to": str(world.organisation_of(HEAD)), "cards": uids}
    bast = done(operator.post("/handovers", body), 201)["id"]
    done(head.post(f"/handovers/{bast}/refuse", {"note": "salah nomor"}))
    bast = done(operator.post("/handovers", body), 201)["id"]
    done(operator.post(f"/handovers/{bast}/cancel", {"note": "salah lagi"}))
    done(operator.post("/handovers", body | {"cards": uids[:1]}), 201)
    _short_and_back(world, body)


def _short_and_back(world: World, body: dict[str, Any]) -> None:
    """Receive a BAST of which cards are missing and damaged; one is found, one lost. The damaged one goes back, and is replaced."""
    head, operator, uids = world.client(HEAD), world.client("operator1"), world.personalised(HEAD, "R", 5)
    bast = done(operator.post("/handovers", body | {"cards": uids}), 201)["id"]
    told: dict[str, Any] = {"missing": [{"sam_uid": uid, "note": "tidak ada"} for uid in uids[1:4]]}
    done(head.post(f"/handovers/{bast}/receive", told | {"damaged": [{"sam_uid": uids[4], "note": "retak"}]}))
    done(operator.post(f"/handovers/{bast}/found", {"cards": [uids[2]], "note": "di gudang"}))
    done(operator.post(f"/handovers/{bast}/lost", {"cards": [uids[3]], "police_report": "LP/B/1/XI/2026"}))
    back = {"kind": "return", "reason": "repair", "to": str(world.organisation_of("operator1")), "cards": [uids[4]]}
    done(operator.post(f"/handovers/{done(head.post('/handovers', back), 201)['id']}/receive"))
    asked = world.letter() | {"function": "R", "replaces": [uids[3], uids[4]]}
    made = done(head.send("/personalisation-requests", asked, letter=letter()), 201)["id"]
    done(head.post(f"/personalisation-requests/{made}/submit"))


def _places(world: World) -> None:
    """Reject the places of four cards: one is suspended and freed again, one suspended, one left, and of one nobody decides."""
    ready = world.ready("bangli.kepala", "R", 4)
    client, far = world.client("bangli.kepala"), BANGLI_PLACE | {"latitude": -8.60}
    for uid in ready.uids:
        answer = done(client.post("/activations", world.activation(ready, uid, **far, reason="pelayanan keliling")), 201)
        done(world.client("operator1").post(f"/activations/{answer['id']}/review", {"decision": "rejected", "note": "tidak sesuai surat"}))
    keys = [one["id"] for one in done(client.get("/place-suspensions"))["items"]]
    for key, decision in zip(keys, ("suspend", "suspend", "drop"), strict=False):
        done(world.client("penyetuju1").post(f"/place-suspensions/{key}/decision", {"decision": decision, "note": "dilihat sendiri"}))
    done(world.client("penyetuju2").post(f"/place-suspensions/{keys[0]}/lift", {"note": "tempatnya benar"}))


def _orders(world: World) -> None:
    """Record, use and cancel deliveries of blanks; close one request with a remainder, and reject to close another."""
    operator, uids = world.client("operator1"), [new_uid() for _ in range(5)]
    note = {"number": "SJ-1/2026", "supplier": "PT Kartu Contoh", "delivered_on": "2026-11-20"}
    done(operator.post("/blank-deliveries", note | {"cards": uids}), 201)
    wrong = done(operator.post("/blank-deliveries", note | {"number": "SJ-2/2026", "cards": [new_uid()]}), 201)
    done(operator.post(f"/blank-deliveries/{wrong['id']}/cancel", {"note": "salah catat"}))
    for closes in (True, False):
        request = world.submitted(HEAD, "R", 3)["id"]
        world.approve("personalisation-requests", request, "penyetuju1")
        path, body = f"/personalisation-requests/{request}", {"personalisation_request": request, "count": 1}
        for _ in range(2 if closes else 1):
            done(operator.post("/blank-cards/issue", body))
        if closes:
            results = [{"sam_uid": uids[0], "outcome": "personalised"}, {"sam_uid": uids[3], "outcome": "failed"}]
            done(operator.post(f"{path}/results", {"results": results}))
        done(world.client(HEAD).post(f"{path}/close", {"reason": "pesanan dikurangi"}), 202)
        decision = {"reason": "sesuai surat", "decision": "execute" if closes else "reject"}
        done(world.client("penyetuju1").post(f"{path}/close", decision))


def _clock(world: World) -> None:
    """Set the clock two days ahead, and right again; an operator accepts it."""
    world.beat()
    for days in (2, -2):
        world.clock.jump(days=days)
        world.clock.advance(seconds=10)
        world.beat()
    arguments = ["clock", "accept", "--username", "operator1"]
    told = world.app.test_cli_runner().invoke(args=arguments, input=world.code("operator1") + "\n")
    assert told.exit_code == 0, told.output


def _files(world: World) -> None:
    """Work on a file of activations of which one row fails, and leave another file waiting."""
    rows = rows_of(world.ready(HEAD, "R", 2))
    sent(world.client(HEAD), sheet([*rows, [new_uid(), *rows[0][1:]]]))
    assert worked(world) == 3
    sent(world.client(HEAD), sheet(rows_of(world.ready(HEAD, "R", 1))))
    for address in ("/unit", "/kartu"):  # one whose time is over, and one that is ready
        file_asked(world.client(HEAD), address)
        written(world)
        if address == "/unit":
            world.sql("UPDATE own_file SET ends_at = created_at")
            with world.context() as ctx:
                assert end_old(ctx) == 1


def _reference(world: World) -> None:
    """Certify, return, reject, withdraw and leave open applications for models; execute and withdraw reference data."""
    case_steps.certified(world)
    goes_to(Visitor(world, "operator1").send(f"{case_steps.certified(world, 'testing')}/lapor"))
    goes_to(Visitor(world, "penyetuju2").send(f"{case_steps.recorded(world)}/kembalikan", note="nomor keliru"))
    goes_to(Visitor(world, "penyetuju2").send(f"{case_steps.applied(world, 'testing')}/tolak", note="tidak lengkap"))
    goes_to(Visitor(world, "len.kepala").send(f"{case_steps.applied(world, who='len.kepala', model='LEN-CRD-1')}/batalkan"))
    case_steps.applied(world, who="len.kepala", model="LEN-ENC-1")
    goes_to(Visitor(world, "operator1").send(f"{proposed(world)}/tarik"))
    goes_to(Visitor(world, "penyetuju1").send(f"{proposed(world)}/laksanakan", digest=digest(world)))
    waits = proposed(world, rows=[("institution", "BANK MENUNGGU", "", "")])
    goes_to(Visitor(world, "penyetuju1").send(f"{waits}/penugasan", verb="take"))


def _tokens(world: World) -> str:
    """Cancel a token by five wrong tries and reissue it, cancel and reject requests, let tokens expire, use one request partly.

    Returns the clear text of an open token with upper and lower case letters.
    """
    ready = world.ready(HEAD, "R", 2)
    head = world.client(HEAD)
    for _ in range(5):
        head.post("/activations", world.activation(ready, ready.uids[0], token="wrong"))
    done(head.post(f"/activation-requests/{ready.request}/tokens/{ready.uids[0]}/reissue"))
    world.clock.advance(days=15)
    with world.context() as ctx:
        assert tasks.expire_tokens(ctx) == 2
    with world.context() as ctx:
        assert tasks.expire_requests(ctx) == 1
        assert consents.expire_consents(ctx) == 1
    cancelled, _ = world.tokens(HEAD, ready.uids, "new", "R")
    done(world.client(HEAD).post(f"/activation-requests/{cancelled}/cancel", {"note": "ganti"}))
    request = world.requested(HEAD, ready.uids)["id"]
    done(world.client("operator1").post(f"/activation-requests/{request}/verify"))
    done(world.client("penyetuju1").post(f"/activation-requests/{request}/reject", {"note": "tunggu"}))
    half = world.ready(HEAD, "R", 3)
    done(world.client(HEAD).post("/activations", world.activation(half, half.uids[0])), 201)
    return next(token for uid, token in half.tokens.items() if uid != half.uids[0] and not token.isupper() and not token.islower())
