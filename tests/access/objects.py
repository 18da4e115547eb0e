"""The objects whose access is tested: two organisations of each kind, and every object in the database with its owners, by SQL."""

from __future__ import annotations

import io
import secrets
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc.jwk import ECKey
from sqlalchemy import select

from sifilma.access_review.tasks import open_review
from sifilma.app.chores import CHORES
from sifilma.demo.facts import ACCOUNTS, Account
from sifilma.documents.tables.writing import write_csv
from sifilma.identity.models import Organisation
from sifilma.kept_forms.service import Page, add_form
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.ids import uuid7
from sifilma.notifications import bell, outbox
from sifilma.notifications.bell import Ring
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.own_files.models import FileKind
from sifilma.own_files.service import NewFile, ask
from sifilma.reconciliation.models import OpenQuestion
from sifilma.sign_in.models import Passkey
from sifilma.witness.models import Reconciliation, Step
from tests.accounts.known_people import asked, claimed_account, invited_by, take_up
from tests.activation.bulk.sheets import refused_batch, rows_of, sent, sheet
from tests.oversight.case_steps import applied
from tests.succession.head_successions import proposed
from tests.support.transparency_log import sequence
from tests.support.visitor import Visitor, goes_to
from tests.support.world import BANGLI_PLACE, Client, World, done, letter, new_uid

BALI = "Dinas Kependudukan dan Pencatatan Sipil Provinsi Bali"
MORE_PEOPLE = (
    ("bali.kepala", "bali", Role.HEAD),
    ("jatim.staf", "jatim.kepala", Role.STAFF),
    ("softorb.staf", "softorb.kepala", Role.STAFF),
    ("mandiri.staf", "mandiri.kepala", Role.STAFF),
    ("magetan.lama", "magetan.kepala", Role.STAFF),
    ("bangli.staf", "bangli.kepala", Role.STAFF),
    ("magetan.baru", "magetan.kepala", Role.STAFF),
    ("jatim.baru", "jatim.kepala", Role.STAFF),
    ("softorb.baru", "softorb.kepala", Role.STAFF),
    ("mandiri.baru", "mandiri.kepala", Role.STAFF),
    ("operator3", "operator1", Role.OPERATOR),
)
"""User name, whose organisation, role. The `baru` are there to be looked at: nobody signs in as they."""
OFFICES = ("magetan.kepala", "bangli.kepala", "jatim.kepala", "bali.kepala")
TRADES = (("softorb.kepala", "mandiri.kepala", "SOFTORB-CRD-1"), ("len.kepala", "bpjs.kepala", "LEN-CRD-1"))
WITH_KEYS = (
    "magetan.kepala",
    "bangli.kepala",
    "jatim.kepala",
    "bali.kepala",
    "softorb.kepala",
    "len.kepala",
    "mandiri.kepala",
    "bpjs.kepala",
)


@dataclass(frozen=True)
class OwnedObject:
    """One object: its key in URLs, its state, a text that only it has (`mark`), its owners, those linked by a batch, and a part of it."""

    kind: str
    key: str
    state: str
    mark: str
    owners: frozenset[UUID]
    linked: frozenset[UUID] = frozenset()
    part: str = ""


# Each select returns key, state, mark, two owners and one linked organisation. A batch links its maker to its cards. To prepare
# a batch, the maker of a model reads all units of that model and the cards tied to them.
# An audit entry belongs to an organisation and to the person who acted; a session belongs to its person.
SELECTS: dict[str, str] = {
    "card": "SELECT c.uid, c.state, c.uid, c.holder_id, c.buyer_id, COALESCE(m.manufacturer_id, r.requester_id) FROM card c"
    " JOIN personalisation_request r ON r.id = c.personalisation_request_id"
    " LEFT JOIN unit u ON u.id = c.unit_id LEFT JOIN device_model m ON m.id = u.model_id",
    "unit": "SELECT u.id, 'registered', u.hardware_number, u.organisation_id, NULL, m.manufacturer_id FROM unit u"
    " JOIN device_model m ON m.id = u.model_id",
    "personalisation_request": "SELECT id, state, letter_number, requester_id, buyer_id, NULL FROM personalisation_request",
    "own_letter": "SELECT id, state, letter_number, requester_id, NULL, NULL FROM personalisation_request",
    "handover": "SELECT id, state, number, issuer_id, receiver_id, NULL FROM handover",
    "activation_request": "SELECT id, state, letter_number, organisation_id, NULL, NULL FROM activation_request",
    "activation": "SELECT id, review_state, id, organisation_id, NULL, NULL FROM activation",
    "doubtful_place": "SELECT id, review_state, id, organisation_id, NULL, NULL FROM activation WHERE review_state <> 'none'",
    "job": "SELECT id, state, id, organisation_id, NULL, NULL FROM job",
    "manifest": "SELECT id, state, id, organisation_id, NULL, NULL FROM manifest",
    "destruction": "SELECT id, state, id, organisation_id, NULL, NULL FROM destruction",
    "device_model": "SELECT id, function, name, manufacturer_id, NULL, NULL FROM device_model",
    "model_case": "SELECT id, state, id, organisation_id, NULL, NULL FROM model_case",
    "reference_change": "SELECT id, state, id, NULL, NULL, NULL FROM reference_change",
    "institution": "SELECT id, kind, name, id, NULL, NULL FROM organisation WHERE kind = 'institution'",
    "maker": "SELECT id, kind, name, id, NULL, NULL FROM organisation WHERE kind = 'manufacturer'",
    "organisation": "SELECT id, kind, name, id, NULL, NULL FROM organisation",
    "buyer": "SELECT id, kind, name, id, NULL, NULL FROM organisation WHERE kind NOT IN ('directorate', 'manufacturer')",
    "access_review": "SELECT id, 'open', id, organisation_id, NULL, NULL FROM access_review",
    "user": "SELECT id, state, id, organisation_id, NULL, NULL FROM user_account",
    "central_user": "SELECT a.id, a.state, a.id, a.organisation_id, NULL, NULL FROM user_account a"
    " JOIN organisation o ON o.id = a.organisation_id WHERE o.kind = 'directorate'",
    "invited_head": "SELECT a.id, a.state, a.id, a.organisation_id, NULL, NULL FROM user_account a"
    " WHERE a.state = 'invited' AND EXISTS (SELECT 1 FROM user_role r WHERE r.user_id = a.id AND r.role = 'head' AND r.until IS NULL)",
    "user_change": "SELECT c.id, c.state, c.id, a.organisation_id, NULL, NULL FROM user_change c JOIN user_account a ON a.id = c.user_id",
    "head_succession": "SELECT s.id, c.state, s.id, s.organisation_id, NULL, NULL FROM head_succession s JOIN user_change c ON c.id = s.id",
    "lost_factor": "SELECT c.id, c.state, c.id, a.organisation_id, NULL, NULL FROM user_change c JOIN user_account a ON a.id = c.user_id"
    " WHERE c.change = 'factor'",
    "consent": "SELECT c.id, c.state, c.id, u.id, NULL, NULL FROM account_consent c JOIN user_account u ON u.person_id = c.person_id"
    " WHERE c.state = 'asked'",
    "orphaned_consent": "SELECT c.id, c.state, c.id, NULL, NULL, NULL FROM account_consent c"
    " JOIN user_account u ON u.person_id = c.person_id AND u.state = 'disabled' WHERE c.state = 'asked'",
    "own_report": "SELECT id, state, id, user_id, NULL, NULL FROM user_change WHERE change = 'factor'",
    "message": "SELECT m.id, m.state, m.id, a.organisation_id, NULL, NULL FROM outbox_message m JOIN user_account a ON a.id = m.user_id",
    "api_key": "SELECT id, CASE WHEN revoked_at IS NULL THEN 'active' ELSE 'revoked' END, id, organisation_id, NULL, NULL FROM api_key",
    "card_report": "SELECT id, state, id, organisation_id, NULL, NULL FROM card_report",
    "place_suspension": "SELECT id, state, id, organisation_id, NULL, NULL FROM place_suspension",
    "open_question": "SELECT id, 'waiting', id, NULL, NULL, NULL FROM open_question",
    "blank_delivery": "SELECT id, state, id, NULL, NULL, NULL FROM blank_delivery",
    "outlet": "SELECT id, 'registered', name, organisation_id, NULL, NULL FROM outlet",
    "unit_correction": "SELECT id, state, id, organisation_id, NULL, NULL FROM unit_correction",
    "unit_key_change": "SELECT id, state, id, organisation_id, by_organisation_id, NULL FROM unit_key_change",
    "kept_form": "SELECT id, 'kept', id, user_id, NULL, NULL FROM kept_form",
    "own_file": "SELECT id, state, id, asked_by, NULL, NULL FROM own_file",
    "notice": "SELECT id, 'unseen', id, user_id, NULL, NULL FROM notice WHERE seen_at IS NULL",
    "passkey": "SELECT id, 'active', id, user_id, NULL, NULL FROM passkey WHERE ended_at IS NULL",
    "session": "SELECT id, 'running', id, user_id, NULL, NULL FROM login_session WHERE ended_at IS NULL",
    "leaf": "SELECT l.seq, 'sequenced', l.seq, e.organisation_id, e.user_id, NULL FROM log_leaf l JOIN audit_entry e ON e.id = l.entry_id",
    "audit_entry": "SELECT id, 'recorded', id, organisation_id, user_id, NULL FROM audit_entry",
}

# The part of an object: what a second parameter of its URL names, or the unit to which a card is tied.
PARTS: dict[str, str] = {
    "card": "SELECT c.uid, u.hardware_number FROM card c JOIN unit u ON u.id = c.unit_id",
    "activation_request": "SELECT k.activation_request_id, MIN(c.uid) FROM activation_request_card k JOIN card c ON c.id = k.card_id"
    " GROUP BY k.activation_request_id",
}


def objects_of(world: World, kind: str) -> list[OwnedObject]:
    """Return every object of a kind."""
    parts = {_text(key): str(part) for key, part in world.sql(PARTS[kind])} if kind in PARTS else {}
    return [
        OwnedObject(
            kind, _text(key), str(state), _text(mark), frozenset(_ids(one, two)), frozenset(_ids(linked)), parts.get(_text(key), "")
        )
        for key, state, mark, one, two, linked in world.sql(SELECTS[kind] + " ORDER BY 1")
    ]


def _ids(*values: Any) -> list[UUID]:
    return [UUID(str(value)) for value in values if value is not None]


def _text(value: Any) -> str:
    """Write a UUID with hyphens (SQLite returns 32 hex digits); leave other texts as they are."""
    text = str(value)
    return str(UUID(text)) if len(text) == 32 else text


def populate(world: World) -> None:
    """Make people, keys, and objects of every kind in several states, for two organisations of each kind."""
    _people(world)
    _passkeys(world)
    _kept_forms(world)
    for office in OFFICES:
        _office(world, office)
    for trade in TRADES:
        _trade(world, *trade)
    _blanks(world)
    for maker, _, model in TRADES:
        applied(world, "testing", maker, model)
    header, row = ("kind", "name", "region_code", "address"), ("institution", "BANK CONTOH", "", "Jakarta")
    goes_to(Visitor(world, "operator1").send("/organisasi/berkas/organisasi", file=(io.BytesIO(write_csv(header, [row])), "berkas.csv")))
    for name in WITH_KEYS:
        done(world.client(name).post("/api-keys", {"name": "mesin lama"}), 201)
    _successions(world)
    for username in ("magetan.baru", "jatim.baru", "softorb.baru", "mandiri.baru", "bangli.staf"):
        head = f"{username.partition('.')[0]}.kepala"
        done(world.client(head).post(f"/users/{world.users[username]}/lost-factor", {"reason": "ponsel hilang"}), 202)
    _consents(world)
    _messages(world)
    _notices(world)
    _questions(world)
    _own_files(world)
    with world.context() as ctx:
        for organisation in ctx.session.scalars(select(Organisation)).all():
            open_review(ctx, world.settings, organisation)
    operator3 = str(world.users["operator3"])
    done(world.client("admin1").post(f"/central-users/{operator3}/changes", {"change": "disable", "reason": "pindah"}), 202)
    sequence(world)
    with world.app.app_context():
        while CHORES["changes of cards added up"].run():  # as a worker has within seconds: of more than a hundred, pages say as of when
            pass


def _people(world: World) -> None:
    with world.context() as ctx:
        world.add_organisation(ctx, OrganisationKind.PROVINCE_OFFICE, BALI, "51")
    homes = {account.username: account.organisation for account in ACCOUNTS} | {"bali": BALI}
    with world.context() as ctx:
        for number, (username, like, role) in enumerate(MORE_PEOPLE):
            world.add_user(ctx, Account(username, f"{username} Contoh", homes[like], frozenset({role}), f"X-{number:04}"))


def _successions(world: World) -> None:
    """Propose new people as heads in organisations of every kind."""
    for number, head in enumerate(("magetan", "bangli", "jatim", "softorb", "mandiri")):
        new = {"username": f"{head}.calon", "name": "Calon Contoh", "id_kind": "nip", "id_number": f"19850101201003100{number}"}
        done(proposed(world, outgoing=f"{head}.kepala", successor=f"{head}.kepala", invited=new), 202)


def _consents(world: World) -> None:
    """Ask people of every kind of organisation about a further account, and two who have no account in use; report factors of their own."""
    for of in ("operator1", "penyetuju1", "admin2", "magetan.kepala", "magetan.staf", "mandiri.staf", "softorb.staf"):
        claimed_account(world, of, f"{of}.lagi", "bangli.kepala", Role.STAFF)
        asked(world, f"{of}.lagi")
    for number, username in (("198001012005011001", "bangli.satu"), ("198001012005011002", "bangli.dua")):
        take_up(world, username, invited_by(world, "bangli.kepala", username, number))
        done(world.client("bangli.kepala").post(f"/users/{world.users[username]}/changes", {"change": "disable"}))
        invited_by(world, "jatim.kepala", f"{username}.lagi", number)
        asked(world, f"{username}.lagi")
    for head, username in (("jatim.kepala", "jatim.staf"), ("mandiri.kepala", "mandiri.staf")):
        done(world.client(head).post(f"/users/{world.users[username]}/lost-factor", {"reason": "ponsel hilang"}), 202)


def _passkeys(world: World) -> None:
    with world.context() as ctx:
        ctx.session.add_all(
            Passkey(user_id=user, name="laptop", credential_id=user.bytes, public_key=b"", sign_count=0, created_at=ctx.now)
            for user in world.users.values()
        )


def _kept_forms(world: World) -> None:
    page = Page("/unit/daftar", "", "/unit/daftar")
    with world.context() as ctx:
        for user in world.users.values():
            add_form(ctx.session, world.settings, user, page, [("hardware_number", "HW-1")], ctx.now)


def _messages(world: World) -> None:
    with world.context() as ctx:
        for user in world.users.values():
            outbox.enqueue(ctx, world.settings, Recipient(Channel.EMAIL, "surat@contoh.example", user), "reminder", "Pengingat", "Isi")


def _notices(world: World) -> None:
    with world.context() as ctx:
        bell.ring(ctx.session, ctx.now, [Ring(user, "role_ends", user) for user in world.users.values()])


def _questions(world: World) -> None:
    """Make a question that a reconciliation left."""
    with world.context() as ctx:
        ended = Reconciliation(id=uuid7(), step=Step.DONE.value, begun_at=ctx.now, ended_at=ctx.now)
        ctx.session.add(ended)
        ctx.session.flush()
        told = {"kind": "card", "id": str(uuid7()), "uid": "30154B0100009999", "action": "card.register"}
        asked = OpenQuestion(reconciliation_id=ended.id, kind="card", subject=told["id"], told=told, witnessed_at=ctx.now)
        ctx.session.add(asked)


def _own_files(world: World) -> None:
    new = NewFile(FileKind.LIST, "pemberitahuan", "csv", {"address": "/pemberitahuan?unduh=csv", "language": "id"})
    users = world.sql("SELECT id, organisation_id FROM user_account")
    for user, organisation in ((_uuid(user), _uuid(organisation)) for user, organisation in users):
        with world.context(Actor(organisation, user_id=user)) as ctx:
            ask(ctx, new)


def _uuid(key: Any) -> UUID:
    return key if isinstance(key, UUID) else UUID(str(key))


def _office(world: World, who: str) -> None:
    """Make a submitted request, a draft, an open BAST, two activation requests, a manifest, and a card to be destroyed."""
    client = world.client(who)
    _corrected(world, who, next(iter(world.active(who, "R")[0].hardware.values())))
    world.ready(who, "R")
    elsewhere = world.ready(who, "R", 2)
    far = {"region_code": BANGLI_PLACE["region_code"], "reason": "dipinjamkan"}
    doubtful = [done(client.post("/activations", world.activation(elsewhere, uid, **far)), 201) for uid in elsewhere.uids]
    _reject_place(world, doubtful[0]["id"])
    world.submitted(who, "R")
    done(client.send("/personalisation-requests", world.letter() | {"function": "R", "quantity": 2}, letter=letter()), 201)
    waiting, asked, broken = world.personalised(who, "R", 3), world.received(who, "R"), world.received(who, "R")
    body = {"to": str(world.organisation_of(who)), "cards": waiting[:2]}
    done(world.client("operator1").post("/handovers", body), 201)
    world.requested(who, asked)
    _to_be_destroyed(world, who, broken)
    _reported(world, who, world.received(who, "R", 2), 1)
    _public_keys(world, who, who, "LEN-CRD-1")
    _outlet(world, who)
    sent(client, sheet(rows_of(elsewhere)), f"aktivasi {who}.csv")


def _outlet(world: World, who: str) -> None:
    """Register an outlet, whose name nobody else has."""
    place = BANGLI_PLACE | {"name": f"Gerai {secrets.token_hex(4)}", "branch_code": "KC-1", "address": "Jalan Raya 1"}
    done(world.client(who).post("/outlets", place), 201)


def _corrected(world: World, who: str, number: str) -> None:
    """Propose a correction of a unit with a card, and break it."""
    client = world.client(who)
    unit = done(client.get("/units", hardware_number=number))["items"][0]["id"]
    done(client.post(f"/units/{unit}/correct", {"pcid": secrets.token_hex(16), "reason": "salah ketik"}), 202)
    done(client.post(f"/units/{unit}/break", {"reason": "terjatuh"}))


def _machine(world: World, who: str) -> Client:
    own = world.organisation_of(who)
    return world.machine(next(name for name, organisation in world.organisations.items() if organisation == own))


def _reported(world: World, who: str, uids: list[str], confirmed: int) -> None:
    """Let a program report the cards, the first of which a person of the holder confirms."""
    machine, told = _machine(world, who), {"condition": "damaged", "note": "macet"}
    reports = [done(machine.post(f"/cards/{uid}/reports", told))["pending_report"] for uid in uids]
    for report in reports[:confirmed]:
        done(world.client(who).post(f"/card-reports/{report}/confirm"))


def _reject_place(world: World, activation: str) -> None:
    """Let an operator reject a place: a proposal to suspend the card follows."""
    review = {"decision": "rejected", "note": "tidak sesuai surat"}
    done(world.client("operator1").post(f"/activations/{activation}/review", review))


def _blanks(world: World) -> None:
    """Record two deliveries of blank SAMs, and cancel one."""
    operator, note = world.client("operator1"), {"supplier": "PT Kartu Contoh", "delivered_on": "2026-11-20"}
    keys = [done(operator.post("/blank-deliveries", note | {"number": n, "cards": [new_uid()]}), 201)["id"] for n in ("SJ-1", "SJ-2")]
    done(operator.post(f"/blank-deliveries/{keys[1]}/cancel", {"note": "salah catat"}))


def _public_keys(world: World, who: str, proposer: str, model: str) -> None:
    """Propose public keys for two units: a program sends one, a person proposes the other."""
    for number, sender in zip(world.units(who, 2, model, "R"), (_machine(world, who), world.client(proposer)), strict=True):
        unit = done(world.client(who).get("/units", hardware_number=number))["items"][0]["id"]
        jwk = ECKey.generate_key("P-256", private=False).as_dict()
        done(sender.post("/unit-key-changes", {"keys": [{"unit": unit, "public_jwk": jwk}]}), 201)


def _to_be_destroyed(world: World, who: str, uids: list[str]) -> None:
    for uid in uids:
        done(world.client(who).post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "patah"}))
    done(world.client(who).post("/destructions", {"cards": uids, "cause": "damaged"}), 201)


def _trade(world: World, maker: str, buyer: str, model: str) -> None:
    """Make a buyer's active card, one its maker still holds, one damaged there, a waiting batch, and an activation request."""
    ready = world.institution_ready(buyer, maker, model)
    far = {"region_code": BANGLI_PLACE["region_code"], "reason": "dipinjamkan"}
    made = done(world.client(buyer).post("/activations", world.activation(ready, ready.uids[0], **far)), 201)
    _reject_place(world, made["id"])
    done(world.client("operator1").post(f"/manifests/{made['manifest']['id']}/revoke", {"reason": "salah tempat"}), 202)
    numbers, uids = world.units(buyer, 4, model, "R", pcid=False), [new_uid() for _ in range(3)]
    request = world.batch(
        [(number, model, secrets.token_hex(16), uid) for number, uid in zip(numbers[:3], uids, strict=True)], buyer, maker
    )
    world.approve("personalisation-requests", request, "penyetuju1")
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]}
    done(world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    for giver, receiver, cards in (("operator1", maker, uids), (maker, buyer, uids[:1])):
        bast = done(world.client(giver).post("/handovers", {"to": str(world.organisation_of(receiver)), "cards": cards}), 201)
        done(world.client(receiver).post(f"/handovers/{bast['id']}/receive"))
    done(world.client(maker).post("/handovers", {"to": str(world.organisation_of(buyer)), "cards": uids[1:2]}), 201)
    world.requested(buyer, uids[:1])
    sent(world.client(buyer), sheet(rows_of(ready)), f"aktivasi {buyer}.csv")
    refused_batch(world, maker, buyer)
    _reported(world, maker, uids[2:], 1)
    _outlet(world, buyer)
    done(world.client(maker).post("/destructions", {"cards": uids[2:], "cause": "damaged"}), 201)
    _reported(world, buyer, uids[:1], 0)
    _public_keys(world, buyer, maker, model)
    _to_be_destroyed(world, buyer, world.institution_ready(buyer, maker, model).uids)
    world.batch([(numbers[3], model, secrets.token_hex(16), new_uid())], buyer, maker)
