"""The entries of acts, each written in the transaction of its act and never changed, and the tables of the transparency log.

Beside them the digests of rows that acts rest on, and what the worker found when it compared them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, Json, UtcDateTime
from sifilma.kernel.ids import uuid7


class Action(StrEnum):
    """Every act that can be recorded, as `object.action`. The list is closed: a new kind of act needs a new name here."""

    ACCESS_DENIED = "access.denied"
    ACCESS_NOT_FOUND = "access.not_found"
    ACCESS_REPEATED = "access.repeated"
    SESSION_PASSWORD_ACCEPTED = "session.password_accepted"  # noqa: S105
    SESSION_PASSWORD_REFUSED = "session.password_refused"  # noqa: S105
    SESSION_OTP_REFUSED = "session.otp_refused"
    SESSION_CODE_SENT = "session.code_sent"
    SESSION_RECOVERY_CODE = "session.recovery_code"
    SESSION_STARTED = "session.started"
    SESSION_STEPPED_UP = "session.stepped_up"
    SESSION_ENDED = "session.ended"
    SESSION_THROTTLED = "session.throttled"
    ORGANISATION_REGISTER = "organisation.register"
    AGREEMENT_REGISTER = "agreement.register"
    MODEL_REGISTER = "model.register"
    MODEL_CASE_APPLY = "model_case.apply"
    MODEL_CASE_ADMIT = "model_case.admit"
    MODEL_CASE_TEST = "model_case.test"
    MODEL_CASE_RETURN = "model_case.return"
    MODEL_CASE_APPROVE = "model_case.approve"
    MODEL_CASE_REPORT = "model_case.report"
    MODEL_CASE_REJECT = "model_case.reject"
    MODEL_CASE_CANCEL = "model_case.cancel"
    REFERENCE_PROPOSE = "reference.propose"
    REFERENCE_EXECUTE = "reference.execute"
    REFERENCE_REJECT = "reference.reject"
    USER_REGISTER = "user.register"
    USER_INVITE = "user.invite"
    USER_INVITATION_VIEW = "user.invitation_view"
    USER_ENROL = "user.enrol"
    USER_DISABLE = "user.disable"
    USER_ENABLE = "user.enable"
    USER_ROLES = "user.roles"
    USER_OUTLETS = "user.outlets"
    USER_DEPUTY = "user.deputy"
    USER_ROLE_END = "user.role_end"
    USER_PASSWORD = "user.password"  # noqa: S105
    USER_RECOVERY_CODES = "user.recovery_codes"
    USER_PASSKEY_ADD = "user.passkey_add"
    USER_PASSKEY_REMOVE = "user.passkey_remove"
    USER_PREFERENCES = "user.preferences"
    USER_CONTACT = "user.contact"
    USER_CHANGE_PROPOSE = "user.change_propose"
    USER_CHANGE_APPROVE = "user.change_approve"
    USER_CHANGE_REJECT = "user.change_reject"
    USER_DORMANT = "user.dormant"
    ACCESS_REVIEW_OPEN = "access_review.open"
    ACCESS_REVIEW_DECIDE = "access_review.decide"
    ACCESS_REVIEW_LAPSE = "access_review.lapse"
    PERSON_PSEUDONYMISE = "person.pseudonymise"
    USER_FACTOR_OBJECT = "user.factor_object"
    USER_HELP_ASK = "user.help_ask"
    USER_HELP_TELL = "user.help_tell"
    USER_CONSENT_ASK = "user.consent_ask"
    USER_CONSENT_ACCEPT = "user.consent_accept"
    USER_CONSENT_REFUSE = "user.consent_refuse"
    USER_CONSENT_EXPIRE = "user.consent_expire"
    API_KEY_CREATE = "api_key.create"
    API_KEY_CHANGE = "api_key.change"
    API_KEY_REVOKE = "api_key.revoke"
    API_KEY_KEEP = "api_key.keep"
    MESSAGE_SEND_AGAIN = "message.send_again"
    MODEL_WIDEN = "model.widen"
    UNIT_REGISTER = "unit.register"
    UNIT_CHANGE = "unit.change"
    UNIT_BREAK = "unit.break"
    UNIT_REPAIR = "unit.repair"
    UNIT_RETIRE = "unit.retire"
    UNIT_MOVE = "unit.move"
    OUTLET_REGISTER = "outlet.register"
    OUTLET_CHANGE = "outlet.change"
    OUTLET_CLOSE = "outlet.close"
    OUTLET_REOPEN = "outlet.reopen"
    UNIT_CORRECT = "unit.correct"
    UNIT_CORRECT_PROPOSE = "unit.correct_propose"
    UNIT_CORRECT_EXECUTE = "unit.correct_execute"
    UNIT_CORRECT_REJECT = "unit.correct_reject"
    UNIT_KEY_DELIVER = "unit.key_deliver"
    UNIT_KEY_PROPOSE = "unit.key_propose"
    UNIT_KEY_EXECUTE = "unit.key_execute"
    UNIT_KEY_REJECT = "unit.key_reject"
    UNIT_KEY_KEEP = "unit.key_keep"
    CARD_REGISTER = "card.register"
    CARD_REPORT = "card.report"
    CARD_REPORT_CONFIRM = "card.report_confirm"
    CARD_REPORT_WITHDRAW = "card.report_withdraw"
    PERSONALISATION_DRAFT = "personalisation.draft"
    PERSONALISATION_EDIT = "personalisation.edit"
    PERSONALISATION_SUBMIT = "personalisation.submit"
    PERSONALISATION_VERIFY = "personalisation.verify"
    PERSONALISATION_RETURN = "personalisation.return"
    PERSONALISATION_APPROVE = "personalisation.approve"
    PERSONALISATION_REJECT = "personalisation.reject"
    PERSONALISATION_CANCEL = "personalisation.cancel"
    PERSONALISATION_RESULTS = "personalisation.results"
    PERSONALISATION_CLOSE_PROPOSE = "personalisation.close_propose"
    PERSONALISATION_CLOSE = "personalisation.close"
    PERSONALISATION_CLOSE_REJECT = "personalisation.close_reject"
    BLANK_DELIVER = "blank.deliver"
    BLANK_CANCEL = "blank.cancel"
    BLANK_ISSUE = "blank.issue"
    BLANK_RETURN = "blank.return"
    HANDOVER_ISSUE = "handover.issue"
    HANDOVER_RECEIVE = "handover.receive"
    HANDOVER_REFUSE = "handover.refuse"
    HANDOVER_CANCEL = "handover.cancel"
    DISCREPANCY_RECORD = "discrepancy.record"
    DISCREPANCY_FOUND = "discrepancy.found"
    DISCREPANCY_SEND_AGAIN = "discrepancy.send_again"
    DISCREPANCY_ARRIVED = "discrepancy.arrived"
    DISCREPANCY_LOST = "discrepancy.lost"
    ACTIVATION_DRAFT = "activation.draft"
    ACTIVATION_EDIT = "activation.edit"
    ACTIVATION_SUBMIT = "activation.submit"
    ACTIVATION_VERIFY = "activation.verify"
    ACTIVATION_RETURN = "activation.return"
    ACTIVATION_APPROVE = "activation.approve"
    ACTIVATION_REJECT = "activation.reject"
    ACTIVATION_CANCEL = "activation.cancel"
    ACTIVATION_EXPIRE = "activation.expire"
    ACTIVATION_CREATE = "activation.create"
    ACTIVATION_CARRY = "activation.carry"
    ACTIVATION_REVIEW = "activation.review"
    PLACE_SUSPENSION_EXECUTE = "place_suspension.execute"
    PLACE_SUSPENSION_DROP = "place_suspension.drop"
    PLACE_SUSPENSION_OVERDUE = "place_suspension.overdue"
    PLACE_SUSPENSION_LIFT = "place_suspension.lift"
    TOKEN_REVEAL = "token.reveal"  # noqa: S105
    TOKEN_REFUSED = "token.refused"  # noqa: S105
    TOKEN_EXPIRE = "token.expire"  # noqa: S105
    TOKEN_REISSUE = "token.reissue"  # noqa: S105
    MANIFEST_DOWNLOAD = "manifest.download"
    MANIFEST_REVOKE_PROPOSE = "manifest.revoke_propose"
    MANIFEST_REVOKE = "manifest.revoke"
    MANIFEST_REVOKE_REJECT = "manifest.revoke_reject"
    MANIFEST_EXPIRE = "manifest.expire"
    DESTRUCTION_PROPOSE = "destruction.propose"
    DESTRUCTION_APPROVE = "destruction.approve"
    DESTRUCTION_REJECT = "destruction.reject"
    DESTRUCTION_RECORD = "destruction.record"
    DESTRUCTION_VERIFY = "destruction.verify"
    DESTRUCTION_CANCEL = "destruction.cancel"
    CONVERSATION_WRITE = "conversation.write"
    WORK_TAKE = "work.take"
    WORK_GIVE = "work.give"
    WORK_PUT_BACK = "work.put_back"
    DOCUMENT_DOWNLOAD = "document.download"
    PAPER_STORE = "paper.store"
    JOB_BEGIN = "job.begin"
    JOB_RUN = "job.run"
    JOB_COMPLETE = "job.complete"
    JOB_STOP = "job.stop"
    JOB_CANCEL = "job.cancel"
    JOB_PAUSE = "job.pause"
    JOB_RESUME = "job.resume"
    FILE_ASK = "file.ask"
    FILE_RUN = "file.run"
    FILE_READY = "file.ready"
    FILE_STOP = "file.stop"
    FILE_CANCEL = "file.cancel"
    FILE_FETCH = "file.fetch"
    FILE_EXPIRE = "file.expire"
    CHORE_PAUSE = "chore.pause"
    CHORE_RESUME = "chore.resume"
    CHORE_RETRY = "chore.retry"
    REGIONS_IMPORT = "regions.import"
    KEYS_CEREMONY = "keys.ceremony"
    KEYS_ROTATE = "keys.rotate"
    KEYS_COMPROMISE = "keys.compromise"
    KEYS_REISSUE = "keys.reissue"
    KEYS_CLOSE = "keys.close"
    CLOCK_ACCEPT = "clock.accept"
    BACKUP_MAKE = "backup.make"
    BACKUP_DRILL = "backup.drill"
    BACKUP_RESTORE = "backup.restore"
    RESTORE_RECONCILE = "restore.reconcile"
    RESTORE_DECIDE = "restore.decide"
    PERSON_REGISTER = "person.register"
    PERSON_CHANGE = "person.change"
    ROWS_ADOPT = "rows.adopt"
    ROW_DIFFERS = "row.differs"
    ROW_FITS = "row.fits"
    SEAL_REFUSED = "seal.refused"
    SEAL_VOUCH = "seal.vouch"
    SEAL_RENEW = "seal.renew"
    SEAL_END = "seal.end"


REFUSED_SEALS = f"action = '{Action.SEAL_REFUSED.value}'"
"""The condition of the index by which refused seals are found. A query needs it to the letter."""


class AuditEntry(Base):
    """One act. `data` holds facts of the act, but no secrets and no personal data except ids."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index(None, "object_kind", "object_id", "id"),
        Index(None, "organisation_id", "id"),
        Index(None, "action", "id"),
        Index("ix_audit_entry_refused_seals", "id", sqlite_where=text(REFUSED_SEALS), postgresql_where=text(REFUSED_SEALS)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[UUID | None] = mapped_column(index=True)
    person_id: Mapped[UUID | None]
    api_key_id: Mapped[UUID | None]
    organisation_id: Mapped[UUID | None]
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(64))
    ip: Mapped[str] = mapped_column(String(45))
    data: Mapped[dict[str, Any]] = mapped_column(Json)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    """16 random bytes that keep the hashed parts of the leaf from being guessed (`sifilma.audit.leaf`)."""


class PendingEntry(Base):
    """An entry that is not in the log yet. A trigger writes it in the entry's transaction.

    So the sequencer finds an entry however late its transaction commits. A query for entries after the last id would miss late ones.
    """

    __tablename__ = "audit_pending"

    entry_id: Mapped[UUID] = mapped_column(primary_key=True)


_Big = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row id is an INTEGER


class LogLeaf(Base):
    """The entry at one place of the log. It has no foreign key, so that its place still names an entry that somebody deleted."""

    __tablename__ = "log_leaf"

    seq: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    entry_id: Mapped[UUID] = mapped_column(unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class LogNode(Base):
    """The hash of a complete subtree. Subtrees of every fourth height are stored (`sifilma.audit.tree`)."""

    __tablename__ = "log_node"

    height: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    idx: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class LogCheckpoint(Base):
    """A signed statement of the log's size and root. `note` is the signed text; the other columns repeat its content for queries."""

    __tablename__ = "log_checkpoint"

    size: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    origin: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class LogCosignature(Base):
    """What a witness stated of a checkpoint: a further signature line of its note. `witness` is its vkey, `at` when it says it saw it."""

    __tablename__ = "log_cosignature"

    size: Mapped[int] = mapped_column(_Big, ForeignKey("log_checkpoint.size"), primary_key=True, autoincrement=False)
    witness: Mapped[str] = mapped_column(String(250), primary_key=True)
    line: Mapped[str] = mapped_column(String(400))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Standing(StrEnum):
    """The two parts of keeping the log that can fail apart from each other."""

    SIGNING = "signing"
    WITNESS = "witness"


class LogFault(StrEnum):
    """Why a part fails. Forked: the log is not the one that was signed or witnessed before. Differs: the witness is not what it was."""

    NONE = ""
    AWAY = "away"
    DIFFERS = "differs"
    FORKED = "forked"


class LogStanding(Base):
    """How a part stands: when it last did its work (`at`), and what has been wrong since when, in words for operators."""

    __tablename__ = "log_standing"
    __table_args__ = (
        CheckConstraint("part IN ('signing', 'witness')", name="part"),
        CheckConstraint("fault IN ('', 'away', 'differs', 'forked')", name="fault"),
    )

    part: Mapped[str] = mapped_column(String(10), primary_key=True)
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fault: Mapped[str] = mapped_column(String(10), default="")
    told: Mapped[str] = mapped_column(String(300), default="")
    since: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RowDigest(Base):
    """What an act left of one row that acts rest on: the digest of a version of it (`sifilma.audit.recorded`). `kind` is its table."""

    __tablename__ = "row_digest"
    __table_args__ = (Index(None, "act_id"),)

    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id"))


class RowRound(Base):
    """How far the worker has come in comparing one kind of row. `after` is the last key it compared, empty before the first.

    `ended_at` is when it last came to the end of them.
    """

    __tablename__ = "row_round"

    walk: Mapped[str] = mapped_column(String(40), primary_key=True)
    after: Mapped[str] = mapped_column(String(64), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RowFinding(Base):
    """A row that is not what its newest act recorded, as the worker found it. It is open until the worker finds that the row fits again.

    `fault` is a `comparison.Fault`. `walk` and `place` say in which walk, and at which key of it, the row was compared.
    """

    __tablename__ = "row_finding"
    __table_args__ = (
        Index(
            "uq_row_finding_open", "kind", "object_id", "fault", unique=True,
            sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL"),
        ),
        Index(None, "walk", "place"),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    walk: Mapped[str] = mapped_column(String(40))
    place: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str] = mapped_column(String(64))
    fault: Mapped[str] = mapped_column(String(20))
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id"))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_act: Mapped[UUID | None] = mapped_column(ForeignKey("audit_entry.id"))


for _table in ("audit_entry", "log_leaf", "log_node", "log_checkpoint", "log_cosignature", "row_digest"):
    triggers.immutable(_table)
triggers.immutable("row_finding", "id", "walk", "place", "kind", "object_id", "fault", "found_at", "act_id")
triggers.guard("row_finding_ended", "row_finding", "UPDATE", "OLD.ended_at IS NOT NULL", "row_finding: what has ended is found anew")
triggers.guard(
    "row_digest_gapless",
    "row_digest",
    "INSERT",
    "NEW.version < 1 OR (NEW.version > 1 AND NOT EXISTS (SELECT 1 FROM row_digest d WHERE d.kind = NEW.kind"
    " AND d.object_id = NEW.object_id AND d.version = NEW.version - 1))",
    "row_digest: versions follow one after the other",
)
# A trigger, so that an entry written by SQL reaches the log as well.
triggers.follow("audit_entry_pending", "audit_entry", "INSERT", "INSERT INTO audit_pending (entry_id) VALUES (NEW.id)")
triggers.guard("audit_pending_frozen", "audit_pending", "UPDATE", "", "audit_pending: what was recorded does not change")
triggers.guard(
    "audit_pending_keep",
    "audit_pending",
    "DELETE",
    "NOT EXISTS (SELECT 1 FROM log_leaf l WHERE l.entry_id = OLD.entry_id)",
    "audit_pending: an entry leaves the queue only into the log",
)
triggers.guard(
    "log_leaf_gapless",
    "log_leaf",
    "INSERT",
    "NEW.seq < 0 OR (NEW.seq > 0 AND NOT EXISTS (SELECT 1 FROM log_leaf l WHERE l.seq = NEW.seq - 1))",
    "log_leaf: places are taken one after the other",
)
triggers.guard(
    "log_checkpoint_size",
    "log_checkpoint",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM log_leaf l WHERE l.seq = NEW.size - 1)",
    "log_checkpoint: the log is not that long",
)
