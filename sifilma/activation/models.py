"""Activation requests, tokens, activations, manifests, data keys, status lists and revocations."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.activation.grid import CELL
from sifilma.approvals.letters import OPEN_LETTER
from sifilma.approvals.models import Approval, ProposalState, Proposed, Requested, proposal_cycle, request_checks
from sifilma.audit import recorded
from sifilma.audit.recorded import RecordedInEntry
from sifilma.cards.models import CardState
from sifilma.identity.models import Organisation
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import Cause, LifeCycle, Stateful, Transition, state_check

_VALID = "state IN ('issued', 'redeemed') AND reissue_id IS NULL"
_OPEN = text("state = 'issued'")
_OF_REISSUE = "reissue_id IS NOT NULL"
_PROPOSED = "state = 'proposed'"
_WAITING = "ended_at IS NULL"
_REVIEWED = text("review_state <> 'none'")
_STANDING = "state IN ('active', 'suspended')"
_CARRIED = "stated_by IS NOT NULL"


class RequestKind(StrEnum):
    """The reason why cards are to be activated."""

    NEW = "new"
    RELOCATION = "relocation"
    RENEWAL = "renewal"
    REPLACEMENT = "replacement"


READY = {
    RequestKind.NEW: (CardState.RECEIVED,),
    RequestKind.RELOCATION: (CardState.ACTIVE,),
    RequestKind.RENEWAL: (CardState.ACTIVE,),
    RequestKind.REPLACEMENT: (CardState.ACTIVE, CardState.RECEIVED),
}
"""The states in which a card may be for each kind of request. A machine may break before the card in it was ever activated."""


class RequestState(StrEnum):
    """States of an activation request."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    REJECTED = "rejected"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class TokenState(StrEnum):
    """States of a token."""

    ISSUED = "issued"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class ManifestState(StrEnum):
    """States of a manifest."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"
    EXPIRED = "expired"


R = RequestState
ACTIVATION_REQUEST = LifeCycle(
    "activation_request",
    "activation_request",
    initial=[R.DRAFT],
    transitions=[
        Transition(R.DRAFT, R.SUBMITTED),
        Transition(R.DRAFT, R.CANCELLED),
        Transition(R.SUBMITTED, R.RETURNED),
        Transition(R.SUBMITTED, R.APPROVED, entails="a token and a status index per card"),
        Transition(R.SUBMITTED, R.REJECTED),
        Transition(R.SUBMITTED, R.CANCELLED),
        Transition(R.RETURNED, R.SUBMITTED),
        Transition(R.RETURNED, R.CANCELLED),
        Transition(R.APPROVED, R.COMPLETED, Cause.SYSTEM, "every token is redeemed"),
        Transition(R.APPROVED, R.EXPIRED, Cause.SYSTEM, "the last open token lapsed"),
        Transition(R.APPROVED, R.CANCELLED, entails="open tokens are cancelled"),
    ],
)
T = TokenState
TOKEN = LifeCycle(
    "token",
    "token",
    initial=[T.ISSUED],
    transitions=[
        Transition(T.ISSUED, T.REDEEMED, entails="an activation and its manifest"),
        Transition(T.ISSUED, T.EXPIRED, Cause.SYSTEM),
        Transition(T.ISSUED, T.CANCELLED, Cause.SYSTEM, "the fifth wrong try, a broken card, a cancelled request, a reissue"),
    ],
)
M = ManifestState
MANIFEST = LifeCycle(
    "manifest",
    "manifest",
    initial=[M.ACTIVE, M.SUSPENDED],
    transitions=[
        Transition(M.ACTIVE, M.SUPERSEDED, Cause.SYSTEM, "a newer manifest of the same card"),
        Transition(M.ACTIVE, M.REVOKED, entails="status 1; the card is back at received unless it broke"),
        Transition(M.ACTIVE, M.EXPIRED, Cause.SYSTEM, "past its end and its grace"),
        Transition(M.ACTIVE, M.SUSPENDED, Cause.SANCTION, "status 2"),
        Transition(M.SUSPENDED, M.ACTIVE, Cause.SANCTION, "status 0"),
        Transition(
            M.SUSPENDED, M.SUPERSEDED, Cause.SYSTEM, "a relocation of a card that was suspended for its place, or a manifest issued anew"
        ),
        Transition(M.SUSPENDED, M.REVOKED),
        Transition(M.SUSPENDED, M.EXPIRED, Cause.SYSTEM),
    ],
)


class ActivationRequest(Requested, Base):
    """A letter that requests to activate `machines` cards, named one by one. `redeemed` counts the tokens used."""

    __tablename__ = "activation_request"
    __table_args__ = (
        *request_checks(RequestState),
        CheckConstraint("kind IN ('new', 'relocation', 'renewal', 'replacement')", name="kind"),
        CheckConstraint("machines >= 1", name="machines"),
        CheckConstraint("redeemed BETWEEN 0 AND machines", name="redeemed"),
        Index(
            "uq_activation_request_letter",
            "organisation_id",
            "letter_key",
            "letter_date",
            unique=True,
            sqlite_where=text(OPEN_LETTER),
            postgresql_where=text(OPEN_LETTER),
        ),
        Index(None, "organisation_id", "id"),
        Index(None, "letter_date", "id"),
        Index(None, "letter_key", "id"),
        Index("ix_activation_request_letter_key_part", "letter_key", postgresql_using="gin", postgresql_ops={"letter_key": "gin_trgm_ops"}),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    kind: Mapped[str] = mapped_column(String(20))
    machines: Mapped[int]
    redeemed: Mapped[int] = mapped_column(Integer, default=0)
    personalisation_request_id: Mapped[UUID | None] = mapped_column(ForeignKey("personalisation_request.id"))

    organisation: Mapped[Organisation] = relationship(lazy="joined")
    approvals: Mapped[list[ActivationApproval]] = relationship(order_by="ActivationApproval.at", lazy="selectin")
    # There may be a hundred thousand: whoever wants them asks.
    cards: Mapped[list[ActivationRequestCard]] = relationship(
        order_by="ActivationRequestCard.position", lazy="select", cascade="all, delete-orphan"
    )


class ActivationRequestCard(Base):
    """One card that a request names. A replacement moves it from the unit it is tied to (`former_unit_id`) to `unit_id`, for a reason."""

    __tablename__ = "activation_request_card"
    __table_args__ = (
        CheckConstraint("(unit_id IS NULL) = (former_unit_id IS NULL)", name="replacement"),
        CheckConstraint("unit_id IS NULL OR reason <> ''", name="reason"),
    )

    activation_request_id: Mapped[UUID] = mapped_column(ForeignKey("activation_request.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), primary_key=True, index=True)
    position: Mapped[int]
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"), index=True)
    former_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"))
    reason: Mapped[str] = mapped_column(Text, default="", server_default="")


class ActivationApproval(Approval, Base):
    """One approver's approval of one digest of the request."""

    __tablename__ = "activation_approval"
    __table_args__ = (UniqueConstraint("activation_request_id", "person_id", "digest"),)

    activation_request_id: Mapped[UUID] = mapped_column(ForeignKey("activation_request.id"))


class StatusList(Base):
    """One signed status list. `next_index` is the first free index. `changes` grows with every change of state of a manifest in it.

    `moved` counts indexes whose open tokens got one of a later list when a restored database was reconciled.
    """

    __tablename__ = "status_list"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(Integer)
    next_index: Mapped[int] = mapped_column(Integer, default=0)
    changes: Mapped[int] = mapped_column(BigInteger, default=1)
    moved: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class PublishedStatusList(Base):
    """One publication of a status list. `seq` only grows, even after an older database was restored."""

    __tablename__ = "published_status_list"

    number: Mapped[int] = mapped_column(ForeignKey("status_list.number"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    changes: Mapped[int] = mapped_column(BigInteger)
    jws: Mapped[str] = mapped_column(Text)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(Stateful, Base):
    """A token: one card's right to one activation.

    `mac` is HMAC-SHA-256, made in the HSM, over request ‖ UID ‖ token. `sealed` is the id of the data key (16 bytes) and the sealed token,
    with which it can be shown again. `reissue_id` is the order for which the worker made it and redeemed it in the same transaction; its
    request is the one by which the card stands where it stands.
    """

    __tablename__ = "token"
    __table_args__ = (
        CheckConstraint(state_check(TokenState), name="state"),
        CheckConstraint("tries BETWEEN 0 AND 5", name="tries"),
        # A card has at most one token of a request that is open or used: so there are never more than the request names cards.
        Index("uq_token_valid", "activation_request_id", "card_id", unique=True, sqlite_where=text(_VALID), postgresql_where=text(_VALID)),
        # An order to issue anew makes at most one token for a card, besides the one that the request gave it.
        Index("uq_token_reissue", "reissue_id", "card_id", unique=True, sqlite_where=text(_OF_REISSUE), postgresql_where=text(_OF_REISSUE)),
        Index(None, "card_id", "state"),
        Index(None, "activation_request_id"),
        Index(None, "state", "expires_at"),
        # Those that an organisation may use now, in the order of their ends: few are open at a time.
        Index("ix_token_open_of", "organisation_id", "expires_at", "activation_request_id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        UniqueConstraint("status_list", "status_index"),
    )

    state: Mapped[str] = mapped_column(String(20))  # the index by state and end serves for the state too
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    activation_request_id: Mapped[UUID] = mapped_column(ForeignKey("activation_request.id"))
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    mac: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status_list: Mapped[int] = mapped_column(ForeignKey("status_list.number"))
    status_index: Mapped[int]
    reissue_id: Mapped[UUID | None] = mapped_column(ForeignKey("reissue.id"))


class TokenIssue(Base):
    """The tokens of an approved request of many cards, which the worker makes. `made_to` is the position of the last card that was seen to.

    `passed_over` counts the cards that were not ready any more when their turn came: they have no token.
    """

    __tablename__ = "token_issue"
    __table_args__ = (
        CheckConstraint("made_to >= 0 AND passed_over BETWEEN 0 AND made_to", name="counts"),
        Index("ix_token_issue_waiting", "activation_request_id", sqlite_where=text(_WAITING), postgresql_where=text(_WAITING)),
    )

    activation_request_id: Mapped[UUID] = mapped_column(ForeignKey("activation_request.id"), primary_key=True)
    made_to: Mapped[int] = mapped_column(Integer, default=0)
    passed_over: Mapped[int] = mapped_column(Integer, default=0)
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Activation(RecordedInEntry, Base):
    """The activation of one card in one unit at one place. Coordinates are integers of 1e-7 degrees (WGS 84).

    One whose `source` is `carried` was asked for by nobody: an order to issue manifests anew (`carrying`) repeats what the activation
    `stated_by` says of card, unit, place and organisation. That one's place was stated by its holder, and is what is reviewed.
    """

    __tablename__ = "activation"
    __recorded__ = (
        "token_id", "card_id", "unit_id", "organisation_id", "activation_request_id", "manifest_id", "at", "latitude_e7", "longitude_e7",
        "accuracy_m", "source", "address", "region_code", "region_version", "place_outcome", "place_distance_m", "place_nearest",
        "place_source", "place_source_sha256", "reason",
    )  # fmt: skip
    __table_args__ = (
        CheckConstraint("source IN ('device', 'map', 'typed', 'carried')", name="source"),
        CheckConstraint("(source = 'carried') = (stated_by IS NOT NULL)", name="stated_by"),
        CheckConstraint("place_outcome IN ('PASS', 'REVIEW', 'FAIL')", name="place_outcome"),
        CheckConstraint("place_outcome = 'PASS' OR reason <> ''", name="reason"),
        CheckConstraint("review_state IN ('none', 'waiting', 'accepted', 'rejected')", name="review_state"),
        CheckConstraint("accuracy_m >= 0", name="accuracy"),
        CheckConstraint("NOT (latitude_e7 = 0 AND longitude_e7 = 0)", name="somewhere"),
        Index("ix_activation_stated_by", "stated_by", sqlite_where=text(_CARRIED), postgresql_where=text(_CARRIED)),
        Index(None, "organisation_id", "id"),
        Index(None, "card_id", "id"),
        Index(None, "review_state", "id"),
        # Few places are ever reviewed: the others cost this index nothing.
        Index(
            "ix_activation_review_distance", "review_state", "place_distance_m", "id", sqlite_where=_REVIEWED, postgresql_where=_REVIEWED
        ),
        Index(None, "at"),
        # The map counts by the beginning of the code. LIKE uses this index in any collation of the database.
        Index(None, "region_code", postgresql_ops={"region_code": "varchar_pattern_ops"}),
        # Readers of a regency in the order of their cards, of all and of one organisation; and readers in a small part of the map.
        Index("ix_activation_regency", text("substr(region_code, 1, 5)"), "card_id").ddl_if(dialect="postgresql"),
        Index("ix_activation_regency_of", "organisation_id", text("substr(region_code, 1, 5)"), "card_id").ddl_if(dialect="postgresql"),
        Index("ix_activation_cell", *map(text, CELL)).ddl_if(dialect="postgresql"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    token_id: Mapped[UUID] = mapped_column(ForeignKey("token.id"), unique=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    activation_request_id: Mapped[UUID] = mapped_column(ForeignKey("activation_request.id"), index=True)
    # Activation and manifest name each other: this key is checked at commit, so the activation can be inserted first.
    manifest_id: Mapped[UUID] = mapped_column(
        ForeignKey("manifest.id", name="fk_activation_manifest_id", use_alter=True, deferrable=True, initially="DEFERRED"), unique=True
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    latitude_e7: Mapped[int]
    longitude_e7: Mapped[int]
    accuracy_m: Mapped[int]
    source: Mapped[str] = mapped_column(String(10))
    address: Mapped[str] = mapped_column(Text)
    region_code: Mapped[str] = mapped_column(String(13))
    region_version: Mapped[str] = mapped_column(String(80))
    place_outcome: Mapped[str] = mapped_column(String(10))
    place_distance_m: Mapped[int]
    place_nearest: Mapped[str] = mapped_column(String(13))
    place_source: Mapped[str] = mapped_column(String(80))
    place_source_sha256: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text, default="")
    review_state: Mapped[str] = mapped_column(String(10), default="none")
    review_note: Mapped[str] = mapped_column(Text, default="")
    reviewed_by: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    user_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))
    stated_by: Mapped[UUID | None] = mapped_column(ForeignKey("activation.id"))


REPEATED = (
    "card_id", "unit_id", "organisation_id", "activation_request_id", "latitude_e7", "longitude_e7", "accuracy_m", "address", "region_code",
    "region_version", "place_outcome", "place_distance_m", "place_nearest", "place_source", "place_source_sha256", "reason",
)  # fmt: skip
"""What a carried activation has from the one in which the place was stated."""


class DataKey(Base):
    """The key that seals an organisation's tokens and manifests of one month (`YYYY-MM`). It is itself sealed by `seal-kek` in the HSM."""

    __tablename__ = "data_key"
    __table_args__ = (UniqueConstraint("organisation_id", "month"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    month: Mapped[str] = mapped_column(String(7))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Manifest(Stateful, Base):
    """A manifest. `id` is its `jti`, `sealed_body` the JWS sealed under a data key, `payload_hash` the base64url SHA-256 of the payload."""

    __tablename__ = "manifest"
    __table_args__ = (
        CheckConstraint(state_check(ManifestState), name="state"),
        UniqueConstraint("card_id", "epoch", "seq"),
        UniqueConstraint("status_list", "status_index"),
        Index(
            # A card has at most one manifest in force. The index includes the activation, so that the map reads no sealed bodies.
            "uq_manifest_standing",
            "card_id",
            unique=True,
            sqlite_where=text(_STANDING),
            postgresql_where=text(_STANDING),
            postgresql_include=["activation_id"],
        ),
        Index(None, "organisation_id", "id"),
        Index(None, "state", "refuse_after"),
        Index(None, "state", "id"),
        Index(None, "expires_at", "id"),
        # Those that end soon, the first first: the others cost this index nothing.
        Index("ix_manifest_standing_ends", "expires_at", "id", sqlite_where=text(_STANDING), postgresql_where=text(_STANDING)),
        Index(
            "ix_manifest_standing_ends_of",
            "organisation_id",
            "expires_at",
            "id",
            sqlite_where=text(_STANDING),
            postgresql_where=text(_STANDING),
            postgresql_include=["state", "card_id"],  # the first of many are read without their rows
        ),
    )

    state: Mapped[str] = mapped_column(String(20))  # its index has the id besides
    id: Mapped[UUID] = mapped_column(primary_key=True)
    activation_id: Mapped[UUID] = mapped_column(ForeignKey("activation.id"), unique=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    epoch: Mapped[int]
    seq: Mapped[int]
    kid: Mapped[str] = mapped_column(String(43))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    refuse_after: Mapped[datetime] = mapped_column(UtcDateTime)
    status_list: Mapped[int] = mapped_column(ForeignKey("status_list.number"))
    status_index: Mapped[int]
    payload_hash: Mapped[str] = mapped_column(String(43))
    previous_hash: Mapped[str | None] = mapped_column(String(43))
    data_key_id: Mapped[UUID] = mapped_column(ForeignKey("data_key.id"))
    sealed_body: Mapped[bytes] = mapped_column(LargeBinary)


REVOCATION = proposal_cycle("revocation", "the manifest is revoked")


class Revocation(Proposed, Base):
    """A proposal to revoke a manifest, and its decision by another person."""

    __tablename__ = "revocation"
    __table_args__ = (
        CheckConstraint(state_check(ProposalState), name="state"),
        Index(None, "manifest_id"),
        Index("uq_revocation_proposed", "manifest_id", unique=True, sqlite_where=text(_PROPOSED), postgresql_where=text(_PROPOSED)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    manifest_id: Mapped[UUID] = mapped_column(ForeignKey("manifest.id"))
    reason: Mapped[str] = mapped_column(Text)


recorded.protect(Activation)
