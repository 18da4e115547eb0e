"""What the pages of the access review show: accounts with their roles, API keys, reviews and their lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask_babel import LazyString, ngettext
from flask_babel import lazy_gettext as _

from sifilma.access_review import queries
from sifilma.access_review.models import AccessReview, AccessReviewLine, Outcome
from sifilma.accounts.pages import ORDER, role_words
from sifilma.accounts.queries import last_seen
from sifilma.accounts.service import CENTRAL, LOCAL
from sifilma.documents.lists import Export
from sifilma.identity.models import ApiKey, Organisation, Person, User, UserRole, role_names, role_set
from sifilma.kernel.context import Context
from sifilma.web.pages import moment
from sifilma.web.states import kind, state


@dataclass(frozen=True)
class AccessLine:
    """An account: its roles with since and until when, when somebody was last signed in (None: never), and since when it is unused."""

    user: User
    roles: list[UserRole]
    last_seen: datetime | None
    dormant: datetime | None


def access_lines(ctx: Context, users: list[User]) -> list[AccessLine]:
    """Return the lines of accounts, in one query for each column."""
    ids = [user.id for user in users]
    roles, seen, marks = queries.roles_of(ctx, ids), last_seen(ctx, ids), queries.marks_of(ctx, ids)
    return [AccessLine(user, roles.get(user.id, []), seen.get(user.id), marks.get(user.id)) for user in users]


def _in_roles(tell: Callable[[UserRole], str]) -> Callable[[AccessLine], str]:
    return lambda line: "; ".join(tell(role) for role in line.roles)


ACCOUNTS = Export(
    "akses-akun",
    {
        _("Name"): lambda line: line.user.person.name,
        _("User name"): lambda line: line.user.username,
        _("Organisation"): lambda line: line.user.organisation.name,
        _("Roles"): _in_roles(lambda role: kind(role.role)),
        _("Since"): _in_roles(lambda role: moment(role.since)),
        _("Until"): _in_roles(lambda role: moment(role.ends_at) if role.ends_at else "–"),
        _("State"): lambda line: state(line.user.state).name,
        _("Last signed in"): lambda line: line.last_seen or "",
        _("Unused, marked since"): lambda line: line.dormant or "",
        _("Made"): lambda line: line.user.created_at,
    },
    orders={"pengguna": (_("User name"), User.username)},
    counted=lambda number, words: ngettext("%(count)s account", "%(count)s accounts", number, count=words),
    filters={"nama": "", "organisasi": "", "peran": "", "state": "", "lama": ""},
)


@dataclass(frozen=True)
class KeyLine:
    """An API key with the names of its organisation and of who made it (empty: a command)."""

    key: ApiKey
    organisation: str
    creator: str


def key_lines(ctx: Context, keys: list[ApiKey]) -> list[KeyLine]:
    """Return the lines of keys, in one query."""
    names = queries.makers_of(ctx, keys)
    return [KeyLine(key, *names[key.id]) for key in keys]


KEYS = Export(
    "akses-kunci-api",
    {
        _("Name"): lambda line: line.key.name,
        _("Begins with"): lambda line: line.key.prefix,
        _("Organisation"): lambda line: line.organisation,
        _("Made by"): lambda line: line.creator,
        _("Since"): lambda line: line.key.created_at,
        _("Last used"): lambda line: line.key.last_used_at or "",
        _("Until"): lambda line: line.key.expires_at or "",
        _("Revoked"): lambda line: line.key.revoked_at or "",
    },
    counted=lambda number, words: ngettext("%(count)s API key", "%(count)s API keys", number, count=words),
    filters={"organisasi": "", "state": ""},
)
REVIEW_STATES: dict[str, LazyString] = {"open": _("Under way"), "late": _("Late"), "closed": _("Closed")}
OUTCOMES: dict[str, LazyString] = {
    Outcome.CONFIRMED: _("Confirmed"),
    Outcome.ENDED: _("Account ended"),
    Outcome.LAPSED: _("Nobody decided in time"),
}


@dataclass(frozen=True)
class ReviewSummary:
    """A review with its organisation's name, its state, and how many accounts were confirmed, ended, lapsed, or wait."""

    review: AccessReview
    organisation: str
    state: str
    confirmed: int
    ended: int
    lapsed: int
    waiting: int

    @property
    def words(self) -> LazyString:
        """Return the state in words."""
        return REVIEW_STATES[self.state]


def summaries(ctx: Context, reviews: list[AccessReview]) -> list[ReviewSummary]:
    """Return the lines of reviews, in one query for each column."""
    counts = queries.counts_of(ctx, [review.id for review in reviews])
    return [_summary(ctx, review, counts.get(review.id, {})) for review in reviews]


def _summary(ctx: Context, review: AccessReview, counts: dict[str | None, int]) -> ReviewSummary:
    name = ctx.session.get_one(Organisation, review.organisation_id).name
    numbers = [counts.get(outcome, 0) for outcome in (*map(str, Outcome), None)]
    return ReviewSummary(review, name, queries.state_of(review, ctx.now), *numbers)


REVIEWS = Export(
    "tinjauan-akses",
    {
        _("Organisation"): lambda line: line.organisation,
        _("State"): lambda line: line.words,
        _("Opened"): lambda line: line.review.opened_at,
        _("To be done by"): lambda line: line.review.due_at,
        _("Closed"): lambda line: line.review.closed_at or "",
        _("Confirmed"): lambda line: line.confirmed,
        _("Accounts ended"): lambda line: line.ended,
        _("Nobody decided in time"): lambda line: line.lapsed,
        _("Wait for a decision"): lambda line: line.waiting,
    },
    counted=lambda number, words: ngettext("%(count)s confirmation", "%(count)s confirmations", number, count=words),
    filters={"organisasi": "", "state": ""},
)


@dataclass(frozen=True)
class ReviewLine:
    """An account in a review. `roles` are those that were decided on, or those of now. `decides`: the actor can decide on it."""

    line: AccessReviewLine
    account: AccessLine
    roles: str
    role_names: str
    who: str
    decides: bool

    @property
    def outcome(self) -> LazyString | str:
        """Return what was decided in words; empty if nothing was."""
        return OUTCOMES[self.line.outcome] if self.line.outcome else ""


def review_lines(ctx: Context, review: AccessReview, lines: list[AccessReviewLine], may_decide: bool) -> list[ReviewLine]:
    """Return the lines of one review. `may_decide`: the actor decides on accounts of this review, other than their own."""
    accounts = access_lines(ctx, [ctx.session.get_one(User, line.user_id) for line in lines])
    is_open = may_decide and review.closed_at is None and review.organisation_id == ctx.actor.organisation_id
    return [_review_line(ctx, line, account, is_open) for line, account in zip(lines, accounts, strict=True)]


def _review_line(ctx: Context, line: AccessReviewLine, account: AccessLine, is_open: bool) -> ReviewLine:
    roles = role_set(line.roles) if line.outcome else account.user.roles_at(ctx.now)
    who = ctx.session.get_one(Person, line.decided_by_person).name if line.decided_by_person else ""
    decides = is_open and line.outcome is None and account.user.person_id != ctx.actor.person_id
    return ReviewLine(line, account, role_words(roles), role_names(roles), who, decides)


REVIEW = Export(
    "tinjauan-akses-daftar",
    {
        _("Name"): lambda one: one.account.user.person.name,
        _("User name"): lambda one: one.account.user.username,
        _("Roles"): lambda one: one.roles,
        _("State"): lambda one: state(one.account.user.state).name,
        _("Last signed in"): lambda one: one.account.last_seen or "",
        _("Decision"): lambda one: one.outcome,
        _("Decided"): lambda one: one.line.decided_at or "",
        _("Decided by"): lambda one: one.who,
        _("Audit entry"): lambda one: str(one.line.act_id or ""),
    },
    counted=lambda number, words: ngettext("%(count)s account", "%(count)s accounts", number, count=words),
)


def role_choices(is_central: bool) -> list[tuple[str, str]]:
    """Return the roles by which accounts can be filtered: all for central people, else those of an organisation."""
    return [(role.value, kind(role)) for role in ORDER if role in (LOCAL | CENTRAL if is_central else LOCAL)]
