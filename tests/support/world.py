"""A whole installation for one test: application, token, keyset, organisations and people, with short cuts to any point of a card's
life.
"""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyotp
from sqlalchemy import select, text

from config.settings import Settings
from hsm import HSM
from sifilma.accounts.api_keys import KeyTerms, create_api_key
from sifilma.accounts.service import give_roles, register_organisation
from sifilma.activation.tokens.tasks import issue as issue_tokens
from sifilma.activation.trust import keyset
from sifilma.app.factory import create_app
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Function
from sifilma.cards.service import register_model
from sifilma.demo import facts, sample_files
from sifilma.identity.models import AccountState, LoginSession, Organisation, Person, User, UserRole, role_names, role_set
from sifilma.kernel import deadline
from sifilma.kernel.actor import SYSTEM, Actor, OrganisationKind
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from sifilma.kernel.ids import uuid7
from sifilma.kernel.seals import Sealed
from sifilma.kernel.timekeeping import stops
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.oversight.service import register_agreement
from sifilma.resources import attach, resources
from sifilma.sign_in.authentication import find_actor, secret_hash
from sifilma.sign_in.authority import carry_sessions, record_change
from sifilma.sign_in.totp import seal_seed
from tests.support import compiled_once, usual
from tests.support.prefabs import Prefabs, short_cut

compiled_once.rules()
compiled_once.templates()
START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PASSWORD = "kuda lumping naik perahu"
API = "/api/v1"
MAGETAN_PLACE = {"latitude": -7.6536, "longitude": 111.3280, "region_code": "35.20.06.1014"}
BANGLI_PLACE = {"latitude": -8.4543, "longitude": 115.3549, "region_code": "51.06.02.1004"}


@lru_cache(maxsize=1)
def letter() -> bytes:
    """Return a letter as a PDF."""
    return sample_files.letter("Pengirim", "470/1/Dukcapil", "2026-11-01", "Permohonan", "Isi surat.")[1]


class Client:
    """A person or a machine that calls the API. Answers are werkzeug's TestResponse."""

    def __init__(self, world: World, headers: dict[str, str]) -> None:
        self.world, self.headers = world, headers
        self._client = world.app.test_client(use_cookies=False)

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Call a path below /api/v1. The answer is a TestResponse, typed Any so that `.json[…]` needs no cast."""
        return self.open(method, API + path, headers=self.headers | more.pop("headers", {}), **more)

    def open(self, method: str, url: str, **more: Any) -> Any:
        """Call any URL with only the headers that are given."""
        self.world.touch()
        answer = self._client.open(url, method=method, **more)
        answer.request.environ["wsgi.input"].close()  # a large upload is a temporary file, which nobody else closes
        return answer

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, query_string=query)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """POST JSON; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", path, json=body if body is not None else {}, headers=named)

    def send(self, path: str, request: dict[str, Any], part: str = "request", method: str = "POST", **files: Any) -> Any:
        """Send a multipart form: the JSON part, and files as bytes, (name, bytes), or lists of them."""
        data: dict[str, Any] = {part: json.dumps(request)}
        for name, file in files.items():
            data[name] = [_file(name, one) for one in file] if isinstance(file, list) else _file(name, file)
        return self.call(method, path, data=data, content_type="multipart/form-data")


def _file(name: str, file: Any) -> tuple[io.BytesIO, str]:
    filename, data = file if isinstance(file, tuple) else (f"{name}.pdf", file)
    return io.BytesIO(data), filename


def done(response: Any, status: int = 200) -> Any:
    """Assert the status of an answer and return its JSON."""
    assert response.status_code == status, response.get_data(as_text=True)
    return response.json


@dataclass(frozen=True)
class Ready:
    """Cards that are ready for activation: UIDs, tokens by UID, hardware numbers by UID, and the id of the request."""

    uids: list[str]
    tokens: dict[str, str]
    hardware: dict[str, str]
    request: str


class World:
    """A whole installation. The fixtures `world` (both databases), `sqlite_world` and `postgresql_world` make one."""

    def __init__(self, url: str, home: Path, hsm: HSM, root: HSM, start: datetime = START, **overrides: Any) -> None:
        self.start, self.clock = start, ManualClock(start)
        own: dict[str, Any] = {"home": home, "database_url": url}
        around = tuple(item for item in os.environ.items() if item[0].startswith("SIFILMA_"))
        self.settings = Settings(**(usual.USUAL | own | overrides)) if overrides else usual.settings_in(around).model_copy(update=own)
        self.hsm = hsm
        home.mkdir(parents=True, exist_ok=True)
        self.app = create_app(self.settings, clock=self.clock, hsm=hsm)  # before its keyset: it says which record of keys counts
        self.trust = keyset.publish(self.settings, hsm, root, start)
        self.organisations: dict[str, UUID] = {}
        self.users: dict[str, UUID] = {}
        self.seeds: dict[str, str] = {}
        with self.app.app_context():
            compiled_once.statements(db.engine)
        with self.context() as ctx:
            if not self._inhabited(ctx):
                self._populate(ctx)
        self.prefabs: Prefabs | None = None
        self.is_untouched = not overrides

    def configure(self, **changes: Any) -> None:
        """Change settings of the running application."""
        self.touch()
        self.settings = self.settings.model_copy(update=changes)
        attach(self.app, replace(resources(self.app), settings=self.settings))

    @contextmanager
    def context(self, actor: Actor = SYSTEM) -> Iterator[Context]:
        """Yield a Context outside any request, and commit at the end unless the block raises."""
        self.touch()
        with self.app.app_context():
            unit = UnitOfWork(db.sessionmaker)
            try:
                yield Context(unit, self.clock, actor, "test", resources().watch)
                if unit.in_transaction:
                    unit.commit()
            finally:
                unit.close()

    @contextmanager
    def acting(self, username: str) -> Iterator[Context]:
        """Yield a Context of a user. Its transaction stays open until the end of the block, so that other calls meet unfinished work."""
        with self.context() as ctx:
            actor = find_actor(ctx, self.users[username], None)
        assert actor is not None
        with self.context(actor) as ctx:
            yield ctx

    def beat(self) -> None:
        """Give a sign of life as the worker does."""
        with self.context() as ctx:
            stops.beat(ctx, resources().watch, "test", 1, "test")

    def touch(self) -> None:
        """Note that something has happened here, so that no short cut may put a copy in this installation's place."""
        self.is_untouched = False

    def close(self) -> None:
        """Close the database connections."""
        with self.app.app_context():
            db.engine.dispose()

    # --- people ------------------------------------------------------------------------------------------------------

    def _inhabited(self, ctx: Context) -> bool:
        """Read organisations and users; tell whether there are users, that is whether the database is a copy of a filled template."""
        self.organisations = dict(ctx.session.execute(select(Organisation.name, Organisation.id)).all())
        self.users = dict(ctx.session.execute(select(User.username, User.id)).all())
        self.seeds = {name: usual.seed_of(name) for name in self.users}
        return bool(self.users)

    def _populate(self, ctx: Context) -> None:
        made = {name: register_organisation(ctx, kind, name, region) for kind, name, region in facts.ORGANISATIONS}
        ctx.session.flush()
        for name, maker, function in facts.MODELS:
            register_model(ctx, name, made[maker].id, Function(function))
        for name, number in facts.AGREEMENTS:
            register_agreement(ctx, made[name], number, date(2026, 1, 1), date(2028, 12, 31))
        self.organisations = {name: organisation.id for name, organisation in made.items()}
        for account in facts.ACCOUNTS:
            self.add_user(ctx, account)

    def add_organisation(self, ctx: Context, kind: OrganisationKind, name: str, region: str | None = None) -> None:
        """Add an organisation without users."""
        self.organisations[name] = register_organisation(ctx, kind, name, region).id
        ctx.session.flush()

    def add_user(self, ctx: Context, account: facts.Account) -> None:
        """Add an active account, as it is after its invitation was accepted."""
        identity = f"employee:{self.organisations[account.organisation]}:{account.id_number}"
        person = Person(id=uuid7(), identity=identity, id_kind="employee", id_number=account.id_number, name=account.name)
        user_id, seed = uuid7(), usual.seed_of(account.username)
        ctx.session.add(person)
        record(ctx, Action.PERSON_REGISTER, "person", person.id, rows=[person])
        ctx.session.flush()
        ctx.session.add(
            User(
                id=user_id,
                person_id=person.id,
                organisation_id=self.organisations[account.organisation],
                username=account.username,
                state=AccountState.ACTIVE,
                password_hash=usual.hash_of(PASSWORD),
                totp_sealed=seal_seed(self.settings, str(user_id), seed),
                totp_last_step=0,
                created_at=self.start,
            )
        )
        ctx.session.flush()
        give_roles(ctx, ctx.session.get_one(User, user_id), frozenset(account.roles))
        record_change(ctx, Action.USER_INVITE, ctx.session.get_one(User, user_id), roles=role_names(frozenset(account.roles)))
        self.users[account.username], self.seeds[account.username] = user_id, seed

    def give_role(self, username: str, role: str) -> None:
        """Give an account one more role, past the service but not past the triggers."""
        with self.context() as ctx:
            ctx.session.add(UserRole(user_id=self.users[username], role=role, since=ctx.now))
            ctx.session.flush()
            user = ctx.session.get_one(User, self.users[username])
            record_change(ctx, Action.USER_ROLES, user, roles=role_names(role_set(user.roles)))

    def change(self, model: type[Sealed], *where: Any, **values: Any) -> None:
        """Change rows of authority past the acts, sealed as the service seals them. A value may be a function of the row.

        Sessions of a changed account go on.
        """
        with self.context() as ctx:
            for row in ctx.session.scalars(select(model).where(*where)).all():
                version = getattr(row, "authority_version", 0)
                for name, value in values.items():
                    setattr(row, name, value(row) if callable(value) else value)
                ctx.session.flush()
                if isinstance(row, User):
                    record_change(ctx, Action.USER_CONTACT, row)
                    carry_sessions(ctx, row, version)

    def change_account(self, username: str, **values: Any) -> None:
        """Change one account as `change` does."""
        self.change(User, User.username == username, **values)

    def roles_of(self, username: str) -> set[str]:
        """Return the roles that an account holds."""
        held = "SELECT r.role FROM user_role r JOIN user_account u ON u.id = r.user_id WHERE u.username = :name AND r.until IS NULL"
        return {role for (role,) in self.sql(held, name=username)}

    def client(self, username: str, *, fresh: bool = True) -> Client:
        """Return a client of a user with a running session.

        `fresh`: the one-time code was given just now; otherwise an hour ago, so that the session is alive and step-up is needed.
        """
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        now = self.clock.now()
        otp_at = now if fresh else now - timedelta(hours=1)
        with self.context() as ctx:
            ctx.session.add(
                LoginSession(
                    token_hash=secret_hash(cookie),
                    user_id=self.users[username],
                    authority_version=ctx.session.scalars(select(User.authority_version).where(User.username == username)).one(),
                    csrf=csrf,
                    otp_at=otp_at,
                    created_at=otp_at,
                    last_seen_at=now,
                    ip="127.0.0.1",
                )
            )
        return Client(self, {"Cookie": f"sifilma_session={cookie}", "X-CSRF-Token": csrf})

    def machine(self, organisation: str, terms: KeyTerms | None = None) -> Client:
        """Return a machine with a new API key of the organisation, of every scope and for any address unless `terms` say otherwise."""
        with self.context() as ctx:
            _, key = create_api_key(ctx, self.settings, self.organisations[organisation], "test", terms)
        return Client(self, {"Authorization": f"Bearer {key}"})

    def anonymous(self) -> Client:
        """Return a client that is not signed in."""
        return Client(self, {})

    def organisation_of(self, username: str) -> UUID:
        """Return the id of an account's organisation."""
        with self.context() as ctx:
            return ctx.session.scalars(
                select(Organisation.id).join(User, User.organisation_id == Organisation.id).where(User.username == username)
            ).one()

    # --- short cuts to any point of a card's life --------------------------------------------------------------------

    def units(self, who: str, count: int, model: str = "LEN-ENC-1", function: str = "RW", *, pcid: bool = True) -> list[str]:
        """Register machines of a user's organisation; return their hardware numbers."""
        numbers = [f"HW-{uuid4().hex[:10].upper()}" for _ in range(count)]
        rows = [
            {"hardware_number": n, "model": model, "function": function} | ({"pcid": secrets.token_hex(16)} if pcid else {})
            for n in numbers
        ]
        done(self.client(who).post("/units", rows), 201)
        return numbers

    def submitted(self, who: str = "magetan.kepala", function: str = "RW", quantity: int = 1) -> Any:
        """Submit a personalisation request of an office; return the answer's JSON."""
        stated = self.letter() | {"function": function, "quantity": quantity}
        made = done(self.client(who).send("/personalisation-requests", stated, letter=letter()), 201)
        return done(self.client(who).post(f"/personalisation-requests/{made['id']}/submit"))

    def letter(self) -> dict[str, Any]:
        """Return the fields of a letter with a number that was not used before."""
        return {"letter_number": f"470/{secrets.randbelow(10**9)}/Dukcapil", "letter_date": "2026-11-01", "subject": "Permohonan kartu SAM"}

    def approve(self, kind: str, request: str, *approvers: str) -> Any:
        """Let each approver approve the digest that is shown; return the JSON of the last answer."""
        shown: Any = None
        for name in approvers:
            client = self.client(name)
            digest = done(client.get(f"/{kind}/{request}"))["digest"]
            shown = done(client.post(f"/{kind}/{request}/approve", {"digest": digest}))
        return shown

    def approvers(self, function: str) -> tuple[str, ...]:
        """Return as many approvers as the function needs: two for RW, one for R."""
        return ("penyetuju1", "penyetuju2") if function == "RW" else ("penyetuju1",)

    @short_cut
    def personalised(self, who: str = "magetan.kepala", function: str = "RW", count: int = 1) -> list[str]:
        """Personalise cards for an office, which the directorate still holds; return their UIDs."""
        request = self.submitted(who, function, count)["id"]
        self.approve("personalisation-requests", request, *self.approvers(function))
        uids = [new_uid() for _ in range(count)]
        results = [{"sam_uid": uid, "outcome": "personalised"} for uid in uids]
        done(self.client("operator1").post(f"/personalisation-requests/{request}/results", {"results": results}))
        return uids

    @short_cut
    def received(self, who: str = "magetan.kepala", function: str = "RW", count: int = 1) -> list[str]:
        """Hand personalised cards over to an office; return their UIDs."""
        uids = self.personalised(who, function, count)
        body = {"to": str(self.organisation_of(who)), "cards": uids}
        bast = done(self.client("operator1").post("/handovers", body), 201)
        done(self.client(who).post(f"/handovers/{bast['id']}/receive"))
        return uids

    def requested(self, who: str, uids: list[str], kind: str = "new") -> Any:
        """Submit an activation request; return the answer's JSON."""
        stated = self.letter() | {"kind": kind, "machines": len(uids), "cards": uids}
        made = done(self.client(who).send("/activation-requests", stated, letter=letter()), 201)
        return done(self.client(who).post(f"/activation-requests/{made['id']}/submit"))

    def tokens(self, who: str, uids: list[str], kind: str = "new", function: str = "RW") -> tuple[str, dict[str, str]]:
        """Approve an activation request; return its id and its tokens in clear by UID."""
        request = self.requested(who, uids, kind)["id"]
        self.approve("activation-requests", request, *self.approvers(function))
        while len(uids) > deadline.FEW_ROWS and issue_tokens(self.context, self.settings, self.hsm):
            pass  # what the worker does after the approval of many cards
        shown = done(self.client(who).post(f"/activation-requests/{request}/tokens"))["tokens"]
        return request, {token["sam_uid"]: token["token"] for token in shown}

    @short_cut
    def ready(self, who: str = "magetan.kepala", function: str = "RW", count: int = 1) -> Ready:
        """Make cards, tokens and machines; only POST /activations is missing."""
        uids = self.received(who, function, count)
        model = "LEN-ENC-1" if function == "RW" else "LEN-CRD-1"
        numbers = self.units(who, count, model, function)
        request, tokens = self.tokens(who, uids, "new", function)
        return Ready(uids, tokens, dict(zip(uids, numbers, strict=True)), request)

    def activation(self, ready: Ready, uid: str, **more: Any) -> dict[str, Any]:
        """Return the body of POST /activations for one card; `more` overrides fields."""
        base = {"sam_uid": uid, "token": ready.tokens[uid], "hardware_number": ready.hardware[uid], "accuracy_m": 10, "source": "device"}
        return base | MAGETAN_PLACE | {"address": "Kantor"} | more

    @short_cut
    def active(self, who: str = "magetan.kepala", function: str = "RW", count: int = 1) -> tuple[Ready, list[Any]]:
        """Activate cards; return them and the JSON of each activation."""
        ready = self.ready(who, function, count)
        client, place = self.client(who), (BANGLI_PLACE if who.startswith("bangli") else MAGETAN_PLACE)
        return ready, [done(client.post("/activations", self.activation(ready, uid, **place)), 201) for uid in ready.uids]

    @short_cut
    def institution_ready(self, buyer: str = "mandiri.kepala", maker: str = "softorb.kepala", model: str = "SOFTORB-CRD-1") -> Ready:
        """Make a card of a bank, delivered by its manufacturer with two handovers; only POST /activations is missing."""
        number, uid = self.units(buyer, 1, model, "R", pcid=False)[0], new_uid()
        request = self.batch([(number, model, secrets.token_hex(16), uid)], buyer, maker)
        self.approve("personalisation-requests", request, "penyetuju1")
        results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
        done(self.client("operator1").post(f"/personalisation-requests/{request}/results", results))
        for giver, receiver in (("operator1", maker), (maker, buyer)):
            body = {"to": str(self.organisation_of(receiver)), "cards": [uid]}
            bast = done(self.client(giver).post("/handovers", body), 201)
            done(self.client(receiver).post(f"/handovers/{bast['id']}/receive"))
        request, tokens = self.tokens(buyer, [uid], "new", "R")
        return Ready([uid], tokens, {uid: number}, request)

    def batch(self, rows: list[tuple[str, ...]], buyer: str = "mandiri.kepala", maker: str = "softorb.kepala") -> str:
        """Submit a manufacturer's batch for a bank; `rows` are (hardware number, model, PCID, UID). Returns the request's id."""
        out = io.StringIO()
        csv.writer(out).writerows([("hardware_number", "model", "pcid", "sam_uid"), *rows])
        stated = self.letter() | {
            "function": "R",
            "on_behalf_of": str(self.organisation_of(buyer)),
            "purchase_order_number": "PO-1",
        }
        client = self.client(maker)
        files: dict[str, Any] = {"letter": letter(), "purchase_order": letter(), "batch": ("batch.csv", out.getvalue().encode())}
        made = done(client.send("/personalisation-requests", stated, **files), 201)
        done(client.post(f"/personalisation-requests/{made['id']}/submit"))
        return str(made["id"])

    def code(self, username: str) -> str:
        """Return the one-time code of the present step."""
        return pyotp.TOTP(self.seeds[username]).at(self.clock.now())

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run one SQL statement in a transaction of its own, past every service; return its rows."""
        self.touch()
        with self.app.app_context(), db.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []


def new_uid() -> str:
    """Return a random card UID."""
    return f"30154B01{secrets.token_hex(4).upper()}"
