"""Changes of accounts that one person proposes and another executes, and the consent of a person who has an account to a further one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.approvals import four_eyes
from sifilma.approvals.models import ProposalState, Proposed, proposal_cycle
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import Cause, LifeCycle, Stateful, Transition, state_check

FACTOR = "factor"
"""The change that gives up a lost second factor."""
PERSON = "person"
"""The change that gives an account to the person it claims to be of, who has no living account to consent from."""
SUCCESSION = "succession"
"""The change by which an account follows as head of its organisation; its further facts are in `sifilma/succession/models.py`."""
_PROPOSED = "state = 'proposed'"
USER_CHANGE = proposal_cycle("user_change", "the account is changed, or a one-time link is made")


class UserChange(Proposed, Base):
    """A proposed change of an account, which a second person executes or rejects.

    `change` is `invite`, `roles`, `deputy`, `disable` or `enable` for central accounts; for any account it is `factor` for a lost second
    factor (`lost_factors`), `person` (`consents`), or `succession`. `roles` are Role values, sorted, separated by spaces; they are empty
    unless `change` is `roles`, `deputy` or `succession`. The role of a deputy or of an acting head is given until `ends_at`, which is empty
    otherwise.

    Of a lost factor two moments are kept as the settings were at the report. What was made since `known_before` (a head, an invitation)
    gives nobody a say in it. Other heads decide from `heads_from` on; until then the person has time to object.
    """

    __tablename__ = "user_change"
    __table_args__ = (
        # At most one proposal waits per account, also if two are made at once (`make_proposal` cannot see the other then).
        Index("uq_user_change_proposed", "user_id", unique=True, sqlite_where=text(_PROPOSED), postgresql_where=text(_PROPOSED)),
        CheckConstraint(state_check(ProposalState), name="state"),
        CheckConstraint("change = 'succession' OR (change = 'deputy') = (ends_at IS NOT NULL)", name="ends"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    change: Mapped[str] = mapped_column(String(20))
    roles: Mapped[str] = mapped_column(String(100), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    known_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    heads_from: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ConsentState(StrEnum):
    """States of a question to a person whether a further account is theirs."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXPIRED = "expired"


CONSENT = LifeCycle(
    "account_consent",
    "account_consent",
    initial=[ConsentState.ASKED],
    transitions=[
        Transition(ConsentState.ASKED, ConsentState.ACCEPTED, entails="links handed out lapse, the person gets their own"),
        Transition(ConsentState.ACCEPTED, ConsentState.ACCEPTED, entails="the link was not used: a new one"),
        Transition(ConsentState.ASKED, ConsentState.REFUSED),
        Transition(ConsentState.ASKED, ConsentState.EXPIRED, Cause.SYSTEM),
    ],
)
_OPEN = "state <> 'expired'"


class AccountConsent(Stateful, Base):
    """The question to a person (`person_id`) who has an account, whether they take up a further one (`user_id`). `decided_by` answered.

    Where the person has no living account, an executed proposal (`PERSON`) accepts in their place, and `decided_by` executed it.
    """

    __tablename__ = "account_consent"
    __table_args__ = (
        # At most one question per account that has not expired, also if two workers ask at once.
        Index("uq_account_consent_open", "user_id", unique=True, sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        CheckConstraint(state_check(ConsentState), name="state"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))


triggers.guard(
    "account_consent_frozen",
    "account_consent",
    "UPDATE",
    " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in ("user_id", "person_id", "asked_at", "expires_at")),
    "account_consent: what was asked does not change",
)
# `accepts` is whether a consent c was accepted by an account of the person, or, where there is none, by two user administrators.
ACCEPTS = (
    "(EXISTS (SELECT 1 FROM user_account d WHERE d.id = c.decided_by AND d.person_id = c.person_id AND d.id <> c.user_id)"
    " OR EXISTS (SELECT 1 FROM user_change x WHERE x.user_id = c.user_id AND x.change = 'person' AND x.state = 'executed'))"
)
triggers.guard(
    "account_consent_answered",
    "account_consent",
    "UPDATE",
    "NEW.state = 'accepted' AND NOT " + ACCEPTS.replace("c.", "NEW."),
    "account_consent: accepted by the person, or by two user administrators",
)
# An account is given to a known person by their consent, and by the link that this consent (or the two administrators) made.
triggers.guard(
    "user_account_person",
    "user_account",
    "UPDATE",
    "OLD.person_id <> NEW.person_id AND NOT EXISTS (SELECT 1 FROM account_consent c"
    " JOIN invitation i ON i.user_id = c.user_id AND i.used_at IS NOT NULL AND (i.consent_id = c.id OR i.change_id IN"
    " (SELECT x.id FROM user_change x WHERE x.change = 'person' AND x.state = 'executed'))"
    " JOIN person o ON o.id = OLD.person_id JOIN person n ON n.id = c.person_id AND n.identity = o.claims"
    " WHERE c.user_id = NEW.id AND c.person_id = NEW.person_id AND c.state = 'accepted')",
    "user_account: an account keeps its person, unless a known person consented to it",
)
four_eyes.protect_proposal("user_change", "user_id", "change", "roles", "ends_at", "known_before", "heads_from")
triggers.guard(
    "user_change_not_own",
    "user_change",
    "UPDATE",
    "NEW.state = 'executed' AND EXISTS (SELECT 1 FROM user_account u WHERE u.id = NEW.user_id AND u.person_id = NEW.decided_by_person)",
    "user_change: nobody decides on their own account",
)
# An executed report removes the factor once: the invitation that follows in the same transaction uses the report up.
triggers.guard(
    "factor_given_up",
    "user_account",
    "UPDATE",
    "OLD.totp_sealed IS NOT NULL AND NEW.totp_sealed IS NULL AND NOT EXISTS (SELECT 1 FROM user_change c WHERE c.user_id = NEW.id"
    " AND c.change = 'factor' AND c.state = 'executed' AND NOT EXISTS (SELECT 1 FROM invitation i WHERE i.change_id = c.id))"
    " AND NOT EXISTS (SELECT 1 FROM person p WHERE p.id = NEW.person_id AND p.pseudonym_act_id IS NOT NULL)",
    "user_account: a second factor is given up by two persons",
)
triggers.guard(
    "invitation_agreed",
    "invitation",
    "INSERT",
    "NEW.change_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM user_change c WHERE c.id = NEW.change_id AND c.user_id = NEW.user_id"
    " AND c.change IN ('factor', 'person') AND c.state = 'executed')",
    "invitation: of a proposal that was executed for this account",
)
triggers.guard(
    "invitation_consented",
    "invitation",
    "INSERT",
    "NEW.consent_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM account_consent c WHERE c.id = NEW.consent_id AND c.user_id = NEW.user_id"
    " AND c.state = 'accepted')",
    "invitation: of a consent that was given to this account",
)


# --- who has no say in a lost factor ---------------------------------------------------------------------------------
#
# The same rule as `lost_factors.refusal` has for the screens. The tests of that file try both.


def _made(maker: str, made: str, report: str) -> str:
    """Return the SQL condition that since `known_before` one person had a part in making an account of another what it is.

    Whoever made a link could have taken it up, after a lost factor too. Who merely proposed a lost factor never saw the link.
    """
    invited = f"made.person_id = {made} AND maker.person_id = {maker} AND i.created_at > {report}.known_before"
    changed = (
        f"x.state = 'executed' AND x.change NOT IN ('disable', 'factor') AND x.id <> {report}.id AND x.decided_at > {report}.known_before"
    )
    changed += f" AND made.person_id = {made} AND {maker} IN (x.proposed_by_person, x.decided_by_person)"
    invitation = "invitation i JOIN user_account made ON made.id = i.user_id JOIN user_account maker ON maker.id = i.created_by"
    change = "user_change x JOIN user_account made ON made.id = x.user_id"
    return " OR ".join(f"EXISTS (SELECT 1 FROM {rows} WHERE {found})" for rows, found in ((invitation, invited), (change, changed)))  # noqa: S608  # constants


_HELD = "SELECT 1 FROM user_account h JOIN user_role r ON r.user_id = h.id WHERE"


def _until(report: str) -> str:
    at = f"{report}.decided_at"
    return f"(r.until IS NULL OR r.until > {at}) AND (r.ends_at IS NULL OR r.ends_at > {at})"


def _headed(person: str, report: str) -> str:
    """Return the SQL condition that a person was head of the account's organisation from before `known_before` until it was decided."""
    head = f"h.person_id = {person} AND h.organisation_id = (SELECT a.organisation_id FROM user_account a WHERE a.id = {report}.user_id)"  # noqa: S608  # a column and an alias
    return f"EXISTS ({_HELD} r.role = 'head' AND {head} AND r.since <= {report}.known_before AND {_until(report)})"


def administered_sql(person: str, report: str) -> str:
    """Return the SQL condition that a person was a user administrator when a change (the alias `report`) was decided."""
    return f"EXISTS ({_HELD} r.role = 'user_admin' AND h.person_id = {person} AND {_until(report)})"


def kin_sql(report: str) -> str:
    """Return the SQL condition that proposer and decider of a report had a part in the making of each other's accounts lately."""
    one, other = f"{report}.proposed_by_person", f"{report}.decided_by_person"
    return f"({_made(one, other, report)} OR {_made(other, one, report)})"


def heads_too_soon_sql(report: str) -> str:
    """Return the SQL condition that heads decided on a report who were new, or before the person's time to object was over."""
    one, other = f"{report}.proposed_by_person", f"{report}.decided_by_person"
    settled = f"{_headed(one, report)} AND {_headed(other, report)} AND COALESCE({report}.decided_at >= {report}.heads_from, 1 = 0)"
    return f"(NOT {administered_sql(other, report)} AND NOT ({settled}))"


triggers.guard(
    "user_change_factor_dated",
    "user_change",
    "INSERT",
    "NEW.change = 'factor' AND (NEW.known_before IS NULL OR NEW.heads_from IS NULL OR NEW.known_before > NEW.proposed_at)",
    "user_change: a report of a lost factor says who has no say in it",
)
triggers.guard(
    "user_change_no_kin",
    "user_change",
    "UPDATE",
    f"NEW.state = 'executed' AND NEW.change = 'factor' AND {kin_sql('NEW')}",
    "user_change: not decided by somebody whom the proposer invited lately, nor the other way round",
)
triggers.guard(
    "user_change_heads",
    "user_change",
    "UPDATE",
    f"NEW.state = 'executed' AND NEW.change = 'factor' AND {heads_too_soon_sql('NEW')}",
    "user_change: heads decide who have been heads for some time, when there was time to object",
)
