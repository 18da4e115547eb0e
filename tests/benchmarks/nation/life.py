"""The acts of one lot, from the registration of its machines to its manifests, as rows. `fsck` holds them against what services write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config.settings import Settings
from hsm import HSM
from hsm.derivation import kcv
from hsm.token import Operations
from manifests import conf, jws
from manifests.payload import payload_hash
from sifilma.activation.issuing.rules import expiry
from sifilma.activation.models import Activation
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.activation.trust import status_list
from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.letters import letter_key
from sifilma.audit import recorded
from sifilma.audit.recorded import ROW
from sifilma.audit.service import SALT_BYTES
from sifilma.cards.identifiers import pcid_seal
from sifilma.handover import service as handover
from sifilma.handover.queries import Letter, Stated
from tests.benchmarks.nation.plan import Fate, Lot, Party, Person, fates
from tests.benchmarks.nation.rows import Rows

AT_ONCE = 250
"""Cards in one call to the HSM, which has a time-out."""
DataKey = tuple[str, AESGCM]


@dataclass(frozen=True)
class Nation:
    """What all lots share. `keys`: the data keys (id, open) by organisation and month. `files`: SHA-256 and size of the papers."""

    settings: Settings
    hsm: HSM
    now: datetime
    seed: int
    directorate: Party
    operator: Person
    approvers: tuple[Person, Person]
    place_source: tuple[str, str]
    kid: str
    epoch: int
    files: Mapping[str, tuple[str, int]]
    keys: Mapping[tuple[str, str], DataKey]


@dataclass
class OneCard:
    """A card with its machine on its way through the acts. `open_key` is its key from the HSM."""

    id: str
    uid: str
    unit: str
    hardware: str
    pcid: str
    state: str = ""
    revision: int = 0
    seq: int = 0
    kcv: str = ""
    open_key: bytes = b""
    note: str = ""
    stamp: dict[str, Any] | None = None


class Life:
    """One lot. `numbers` are the numbers of its BASTs, `first_index` the first index of its tokens over all status lists."""

    def __init__(self, nation: Nation, lot: Lot, seq: int, numbers: list[str], first_index: int) -> None:
        self.nation, self.lot, self.numbers, self.first_index = nation, lot, numbers, first_index
        draw = Random(f"{nation.seed}/{lot.number}/rows")
        self.rows = Rows(seq, draw)
        self.buyer, self.maker = str(lot.buyer.id), str(lot.requester.id)
        self.holder = str(nation.directorate.id)
        at = lot.moments["registered"]
        self.cards = [
            OneCard(self.rows.ids.new(at), f"30154B{lot.number & 0xFFFFFF:06X}{place:04X}", self.rows.ids.new(at),
                    f"CRD{lot.number:06d}{place:04d}", f"{draw.getrandbits(128):032X}")
            for place in range(lot.size)
        ]  # fmt: skip
        self.approvers = nation.approvers if lot.function == "RW" else nation.approvers[:1]

    def write(self) -> Rows:
        """Take every step that was taken before the present, and return the rows."""
        happened = [step for step in self.lot.moments if self.lot.happened(step, self.nation.now)]
        self._register(self.lot.moments["registered"])
        if "drafted" in happened:
            self._ask(happened)
        if "made" in happened:
            self._make(self.lot.moments["made"])
        if "issued" in happened:
            self._hand_over(0, self.nation.directorate, self.nation.operator, self.lot.requester, "issued", "received", happened)
        if "passed_on" in happened:
            self._hand_over(1, self.lot.requester, self.lot.requester.head, self.lot.buyer, "passed_on", "taken", happened)
        if "asked" in happened:
            self._ask_to_activate(happened)
        if self.lot.is_born(self.nation.now):
            self._settle()
        return self.rows

    # --- until a card is in its holder's hands ------------------------------------------------------------------------------

    def _register(self, at: datetime) -> None:
        made = []
        for card in self.cards:
            row = {"id": card.unit, "organisation_id": self.buyer, "model_id": self.lot.model[0], "hardware_number": card.hardware,
                   "function": self.lot.function, "pcid": card.pcid, "sam_perso": "", "public_jwk": None, "key_change_id": None,
                   "created_at": _exact(at)}  # fmt: skip
            made.append(("unit", row))
        thing = ("unit", self.cards[0].unit)
        stamp = self.rows.recording(at, self.lot.buyer.head, "unit.register", thing, self.buyer, made, count=len(made))
        places = self.lot.buyer.places
        for number, (_, row) in enumerate(made):
            self.rows.put("unit", state="working", outlet_id=places[number % len(places)].outlet, **row, **stamp)
            self.rows.step("unit", str(row["id"]), "", "working", stamp)

    def _document(self, kind: str, owner: Party, at: datetime) -> tuple[str, str]:
        """Add a paper of an organisation. Return its id and SHA-256."""
        (sha256, size), key = self.nation.files[kind], self.rows.ids.new(at)
        media = "text/csv" if kind == "batch" else "application/pdf"
        self.rows.put("document", id=key, kind=kind, sha256=sha256, size=size, media_type=media, filename=f"{kind}.{media[-3:]}",
                      organisation_id=owner.id, uploaded_by=owner.head.user, created_at=_exact(at))  # fmt: skip
        return key, sha256

    def _letter(self, owner: Party, at: datetime, number: int, subject: str) -> tuple[dict[str, Any], str]:
        document, sha256 = self._document("letter", owner, at)
        stated = f"400.8.1.2/{number}/Dukcapil"
        return {"letter_number": stated, "letter_key": letter_key(stated), "letter_date": at.date().isoformat(), "subject": subject,
                "letter_document_id": document}, sha256  # fmt: skip

    def _ask(self, happened: list[str]) -> None:
        """The request for the cards: drafted, submitted, approved."""
        lot, rows, at = self.lot, self.rows, self.lot.moments["drafted"]
        self.request = request = rows.ids.new(at)
        letter, sha256 = self._letter(lot.requester, at, 2 * lot.number + 1, "Permohonan Personalisasi Kartu SAM")
        self.letter = Letter(letter["letter_number"], at.date(), lot.requester.name)
        order, batch = (self._document(kind, lot.requester, at) if lot.is_batch else (None, None) for kind in ("purchase_order", "batch"))
        order_number = f"PO/{lot.number}" if lot.is_batch else ""
        batched = [[place, card.unit, card.pcid, card.uid, ""] for place, card in enumerate(self.cards, start=1)] if lot.is_batch else []
        digest = content_digest({
            "id": request, "requester": self.maker, "buyer": self.buyer, "function": lot.function, "quantity": lot.size,
            "letter": [letter["letter_number"], letter["letter_date"], letter["subject"]], "purchase_order_number": order_number,
            "files": [sha256, order[1], batch[1]], "batch": batched, "notes": "",
        })  # fmt: skip
        for place, unit, pcid, uid, perso in batched:
            rows.put("batch_row", id=rows.ids.new(at), personalisation_request_id=request, row_no=place, unit_id=unit, pcid=pcid,
                     sam_uid=uid, sam_perso=perso)  # fmt: skip
        facts = {"quantity": lot.size, "function": lot.function}
        end = self._decide("personalisation", request, lot.requester, ("drafted", "submitted", "approved"), digest, happened, **facts)
        if "approved" in happened and lot.is_batch:
            self._born(lot.moments["approved"], self.approvers[-1])
        if "made" in happened:
            end["revision"] += 1
            end |= {"state": "completed"}
        self._request = letter | end | {
            "id": request, "requester_id": self.maker, "buyer_id": self.buyer, "quantity": lot.size, "function": lot.function,
            "purchase_order_number": order_number, "purchase_order_document_id": order[0], "batch_document_id": batch[0],
            "created_at": _exact(at),
        }  # fmt: skip
        if "made" not in happened:
            rows.put("personalisation_request", **self._request)

    def _decide(self, prefix: str, key: str, owner: Party, steps: tuple[str, str, str], digest: str, happened: list[str],
                **facts: Any) -> dict[str, Any]:  # fmt: skip
        """Draft, submit and approve a request as far as it came. Return the columns of its state."""
        rows, kind, who = self.rows, f"{prefix}_request", owner.head
        drafted, submitted, approved = steps
        told = facts if prefix == "personalisation" else {"note": "", **facts}
        stamp = rows.act(self.lot.moments[drafted], who, f"{prefix}.draft", (kind, key), str(owner.id), **told)
        rows.step(kind, key, "", "draft", stamp)
        end: dict[str, Any] = {"state": "draft", "revision": 1, "required_approvals": len(self.approvers)}
        if submitted in happened:
            at = self.lot.moments[submitted]
            stamp = rows.act(at, who, f"{prefix}.submit", (kind, key), str(owner.id), note="", digest=digest)
            rows.step(kind, key, "draft", "submitted", stamp)
            end |= {"state": "submitted", "revision": 2, "digest": digest, "submitted_at": _exact(at), "submitted_by_person": who.person,
                    "submitted_by_user": who.user}  # fmt: skip
        if approved in happened:
            at = self.lot.moments[approved]
            for person in self.approvers:
                stamp = rows.act(at, person, f"{prefix}.approve", (kind, key), str(owner.id), note="", digest=digest)
                rows.put(f"{prefix}_approval", id=rows.ids.new(at), digest=digest, at=_exact(at), person_id=person.person,
                         user_id=person.user, act_id=stamp["act_id"], **{f"{kind}_id": key})  # fmt: skip
            rows.step(kind, key, "submitted", "approved", stamp)
            end |= {"state": "approved", "revision": 3}
        return end | stamp

    def _born(self, at: datetime, who: Person) -> None:
        covered = {"function": self.lot.function, "buyer_id": self.buyer, "personalisation_request_id": self.request,
                   "key_version": self.nation.settings.master_version}  # fmt: skip
        made = [("card", {"id": card.id, "uid": card.uid, **covered}) for card in self.cards]
        thing = ("personalisation_request", self.request)
        stamp = self.rows.recording(at, who, "card.register", thing, self.holder, made, count=len(made))
        self._move("registered", stamp)

    def _make(self, at: datetime) -> None:
        """The results: all cards are personalised, and the request is completed."""
        rows, nation, request = self.rows, self.nation, self.request
        if not self.lot.is_batch:
            self._born(at, nation.operator)
        self._derive()
        made = [("personalisation_result", {
            "id": rows.ids.new(at), "personalisation_request_id": request, "card_id": card.id, "outcome": "personalised",
            "hardware_number": card.hardware, "kcv": card.kcv}) for card in self.cards]  # fmt: skip
        thing = ("personalisation_request", request)
        stamp = rows.recording(at, nation.operator, "personalisation.results", thing, self.maker, made, count=len(made))
        for place, (_, row) in enumerate(made, 1):
            rows.put("personalisation_result", place=place, act_id=stamp["act_id"], **row)
        self._move("personalised", stamp)
        rows.step("personalisation_request", request, "approved", "completed", stamp)
        rows.put("personalisation_request", **self._request | stamp)

    def _derive(self) -> None:
        version = self.nation.settings.master_version
        for start in range(0, len(self.cards), AT_ONCE):
            part = self.cards[start : start + AT_ONCE]
            keys = self.nation.hsm.run(lambda do, part=part: [do.derive_open_key(version, bytes.fromhex(card.uid)) for card in part])  # type: ignore[misc]  # mypy cannot infer the default
            for card, key in zip(part, keys, strict=True):
                card.open_key, card.kcv = key, kcv(key)

    def _hand_over(self, place: int, giver: Party, who: Person, receiver: Party, issued: str, received: str,
                   happened: list[str]) -> None:  # fmt: skip
        rows, number, at = self.rows, self.numbers[place], self.lot.moments[issued]
        key, former = rows.ids.new(at), self.cards[0].state
        named = [SimpleNamespace(machine=card.hardware, pcid_seal=pcid_seal(card.pcid)) for card in self.cards]
        stated: Any = SimpleNamespace(number=number, issuer_id=giver.id, receiver_id=receiver.id, issued_at=at, notes="", place="Jakarta",
                                      kind="delivery", reason=None)  # fmt: skip
        cards: Any = [SimpleNamespace(uid=card.uid, function=self.lot.function, kcv=card.kcv) for card in self.cards]
        digest = content_digest(handover.content(Stated(stated, giver, receiver, cards, named, [self.letter], {})))  # type: ignore[arg-type]  # it reads their columns only
        facts = {"number": number, "receiver": str(receiver.id), "cards": [card.uid for card in self.cards]}
        stamp = rows.act(at, who, "handover.issue", ("handover", key), str(giver.id), **facts)
        rows.step("handover", key, "", "issued", stamp)
        for position, (card, row) in enumerate(zip(self.cards, named, strict=True), start=1):
            rows.put("handover_card", handover_id=key, card_id=card.id, position=position, former_state=former, machine=row.machine,
                     pcid_seal=row.pcid_seal)  # fmt: skip
        self._move("handed_over", stamp, number)
        end = {"state": "issued", "revision": 1}
        if received in happened:
            moment = self.lot.moments[received]
            stamp = rows.act(moment, receiver.head, "handover.receive", ("handover", key), str(receiver.id), number=number, note="")
            rows.step("handover", key, "issued", "received", stamp)
            self.holder = str(receiver.id)
            self._move("received", stamp, number)
            end = {"state": "received", "revision": 2}
        rows.put("handover", id=key, number=number, kind="delivery", issuer_id=giver.id, receiver_id=receiver.id, issued_at=_exact(at),
                 issued_by=who.user, place="Jakarta", digest=digest, reason=None, **end, **stamp)  # fmt: skip

    def _move(self, state: str, stamp: dict[str, Any], note: str = "") -> None:
        for card in self.cards:
            self.take(card, state, stamp, note)

    def take(self, card: OneCard, state: str, stamp: dict[str, Any], note: str = "") -> None:
        """Let a card take a step of its life."""
        self.rows.step("card", card.id, card.state, state, stamp, note)
        card.state, card.revision, card.stamp, card.note = state, card.revision + 1, stamp, note

    def _settle(self) -> None:
        """Write the cards as the last act left them."""
        version = self.nation.settings.master_version
        tied = self.lot.is_batch or self.lot.happened("made", self.nation.now)
        for card in self.cards:
            self.rows.put("card_uid", card_id=card.id, uid=card.uid)
            self.rows.put("card", id=card.id, uid=card.uid, function=self.lot.function, holder_id=self.holder, buyer_id=self.buyer,
                          personalisation_request_id=self.request, unit_id=card.unit if tied else None, key_version=version, kcv=card.kcv,
                          seq=card.seq, state=card.state, revision=card.revision, change_note=card.note, **card.stamp or {})  # fmt: skip

    # --- from the activation request to the manifest --------------------------------------------------------------------------

    def _ask_to_activate(self, happened: list[str]) -> None:
        lot, rows, at = self.lot, self.rows, self.lot.moments["asked"]
        request = rows.ids.new(at)
        letter, sha256 = self._letter(lot.buyer, at, 2 * lot.number + 2, "Permohonan Pengaktifan Card Reader")
        digest = content_digest({
            "id": request, "organisation": self.buyer, "kind": "new", "function": lot.function, "machines": lot.size,
            "letter": [letter["letter_number"], letter["letter_date"], letter["subject"]], "letter_file": sha256,
            "personalisation_request": self.request, "cards": [card.uid for card in self.cards], "notes": "",
        })  # fmt: skip
        for position, card in enumerate(self.cards, start=1):
            rows.put("activation_request_card", activation_request_id=request, card_id=card.id, position=position)
        facts = {"kind": "new", "machines": lot.size}
        end = self._decide("activation", request, lot.buyer, ("asked", "sent", "entitled"), digest, happened, **facts)
        redeemed = 0
        if "entitled" in happened:
            stamp = {name: end[name] for name in ("changed_at", "changed_by", "act_id")}
            all_fates = fates(lot, self.nation.seed, self.nation.now)
            for start in range(0, lot.size, AT_ONCE):
                part = list(enumerate(self.cards))[start : start + AT_ONCE]
                last = self.nation.hsm.run(_Entitled(self, request, stamp, part, all_fates))
                end |= last if last and all_fates[-1] is not None else {}
            redeemed = sum(fate is not None for fate in all_fates)
            if redeemed == lot.size:
                end |= {"state": "completed", "revision": 4}
                rows.step("activation_request", request, "approved", "completed", end)
        rows.put("activation_request", id=request, organisation_id=self.buyer, kind="new", machines=lot.size, redeemed=redeemed,
                 personalisation_request_id=self.request, function=lot.function, created_at=_exact(at), **letter, **end)  # fmt: skip


@dataclass
class _Entitled:
    """Tokens of some cards, and what was done with them, in one call to the HSM. `last` is the stamp of the last activation."""

    life: Life
    request: str
    stamp: dict[str, Any]
    cards: list[tuple[int, OneCard]]
    fates: list[Fate | None]
    last: dict[str, Any] = field(default_factory=dict)

    def __call__(self, do: Operations) -> dict[str, Any]:
        """Write them. Return the stamp of the last activation."""
        for place, card in self.cards:
            self._token(do, place, card, self.fates[place])
        return self.last

    def data_key(self, at: datetime) -> DataKey:
        """Return the key of a moment's month."""
        return self.life.nation.keys[self.life.buyer, sealing.month_of(at)]

    def _token(self, do: Operations, place: int, card: OneCard, fate: Fate | None) -> None:
        life, rows, at = self.life, self.life.rows, self.life.lot.moments["entitled"]
        key_id, key = self.data_key(at)
        token_id, secret = rows.ids.new(at), f"{int.from_bytes(os.urandom(7), 'big') % 10**10:010d}"
        sealed = UUID(key_id).bytes + sealing.seal(key, secret.encode(), b"token", UUID(token_id))
        mac = do.session.hmac("token-mac", tokens.message(UUID(self.request), card.uid, secret))
        number, index = divmod(life.first_index + place, life.nation.settings.status_list_size)
        rows.step("token", token_id, "", "issued", self.stamp)
        state, stamp = "issued", self.stamp
        if fate is not None:
            state, stamp = "redeemed", _Activated(self, do, card, fate, token_id, (number + 1, index)).write()
            self.last = stamp
        expires = at + timedelta(days=life.nation.settings.token_days)
        rows.put("token", id=token_id, activation_request_id=self.request, card_id=card.id, organisation_id=life.buyer, mac=mac,
                 sealed=sealed, expires_at=_exact(expires), status_list=number + 1, status_index=index, state=state,
                 revision=1 if fate is None else 2, **stamp)  # fmt: skip


@dataclass(frozen=True)
class _Activated:
    """One activation with its manifest, and what became of the card since."""

    entitled: _Entitled
    do: Operations
    card: OneCard
    fate: Fate
    token: str
    status: tuple[int, int]

    def write(self) -> dict[str, Any]:
        """Write it; return the stamp of the activation."""
        life, card, fate, at = self.entitled.life, self.card, self.fate, self.fate.activated
        rows, who, owner = life.rows, life.lot.buyer.head, life.buyer
        activation, manifest, salt = rows.ids.new(at), rows.ids.new(at), os.urandom(SALT_BYTES)
        made = self._made(activation, manifest, at)
        plain = recorded.canonical({"kind": "activation", "id": activation, "version": 1,
                                    "row": {name: made[name] for name in Activation.__recorded__}})  # fmt: skip
        facts = {"card": card.uid, "seq": 1, "manifest": manifest, "place": "PASS", ROW: recorded.salted(salt, plain)}
        stamp = rows.entry(at, who, "activation.create", ("activation", activation), owner, rows.ids.new(at), salt, facts)
        rows.step("token", self.token, "issued", "redeemed", stamp)
        rows.put("activation", act_id=stamp["act_id"], review_state="none", review_note="", user_id=who.user, **made)
        rows.step("manifest", manifest, "", "active", stamp)
        card.seq = 1
        life.take(card, "active", stamp)
        for moment in fate.fetched:
            rows.act(moment, who, "manifest.download", ("manifest", manifest), owner, form="jws", card=card.uid, seq=1)
        end = stamp
        if fate.ended is not None:
            moment, state = fate.ended
            end = rows.act(moment, who, "card.report", ("card", card.id), owner, condition=state)
            rows.step("manifest", manifest, "active", "revoked", end)
            life.take(card, state, end)
        state, revision = ("active", 1) if fate.ended is None else ("revoked", 2)
        rows.put("manifest", id=manifest, activation_id=activation, state=state, revision=revision, **self._manifest(manifest, made), **end)
        return stamp

    def _made(self, activation: str, manifest: str, at: datetime) -> dict[str, Any]:
        life, place = self.entitled.life, self.entitled.life.lot.buyer.places[self.fate.place]
        # Machines of one place do not stand on one point: some 300 m around it, decided by their number.
        drift = int.from_bytes(hashlib.sha256(self.card.hardware.encode()).digest()[:4], "big")
        source, sha256 = life.nation.place_source
        return {
            "id": activation, "token_id": self.token, "card_id": self.card.id, "unit_id": self.card.unit, "organisation_id": life.buyer,
            "activation_request_id": self.entitled.request, "manifest_id": manifest, "at": _exact(at),
            "latitude_e7": place.latitude_e7 + drift % 40_000 - 20_000,
            "longitude_e7": place.longitude_e7 + (drift >> 16) % 40_000 - 20_000,
            "accuracy_m": 20, "source": "device", "address": place.address, "region_code": place.code, "region_version": place.version,
            "place_outcome": "PASS", "place_distance_m": place.distance_m, "place_nearest": place.nearest, "place_source": source,
            "place_source_sha256": sha256, "reason": "",
        }  # fmt: skip

    def _manifest(self, jti: str, made: dict[str, Any]) -> dict[str, Any]:
        """Sign and seal the manifest, and return its columns. The payload is that of `manifests.payload` in its canonical form."""
        life, card, lot, settings = self.entitled.life, self.card, self.entitled.life.lot, self.entitled.life.nation.settings
        issued, (number, index) = int(self.fate.activated.timestamp()), self.status
        until = expiry(self.fate.activated, settings.manifest_years, lot.buyer.agreement_end)
        body = recorded.canonical({
            "ver": 1, "iss": settings.issuer, "jti": jti, "sub": card.uid, "fn": lot.function, "epoch": life.nation.epoch, "seq": 1,
            "iat": issued, "nbf": issued, "exp": until, "grace": settings.manifest_grace_days * 86_400,
            "unit": {"hw": card.hardware, "model": lot.model[1], "pcid": card.pcid},
            "org": {"id": life.buyer, "name": lot.buyer.name, "kind": lot.buyer.kind},
            "loc": {"lat_e7": made["latitude_e7"], "lon_e7": made["longitude_e7"], "acc_m": made["accuracy_m"], "src": made["source"],
                    "at": issued, "code": made["region_code"]},
            "card": {"batch": life.request, "keyver": settings.master_version, "kcv": card.kcv},
            "cfg": {"profile": "pcid-conf/1", "conf": conf.conf(card.open_key, bytes.fromhex(card.pcid))}, "prev": None,
            "status": {"idx": index, "uri": status_list.uri(settings.public_url, number)},
        })  # fmt: skip
        # Past the check of each signature: `fsck` verifies every manifest.
        sign: Callable[[bytes], bytes] = lambda digest: self.do.session.sign("manifest-sign", digest)  # noqa: E731  # its only use
        line = jws.sign(body, life.nation.kid, jws.MANIFEST_TYPE, sign)
        key_id, key = self.entitled.data_key(self.fate.activated)
        refused = until + settings.manifest_grace_days * 86_400
        return {
            "card_id": card.id, "organisation_id": life.buyer, "epoch": life.nation.epoch, "seq": 1, "kid": life.nation.kid,
            "issued_at": made["at"], "expires_at": _exact(_moment(until)), "refuse_after": _exact(_moment(refused)), "status_list": number,
            "status_index": index, "payload_hash": payload_hash(body), "previous_hash": None, "data_key_id": key_id,
            "sealed_body": sealing.seal(key, line.encode(), b"manifest", UUID(jti)),
        }  # fmt: skip


def _exact(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
