"""Invariants of organisations: nothing crosses from one to another, and each has its heads by acts that two persons decided."""

from __future__ import annotations

from sqlalchemy import Integer, cast, exists, func, or_, select

from sifilma.fsck.dialects import bare, dashed, fact, later, newest_entry
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot
from sifilma.succession.models import KINDS, parties_sql

_UNLIKE = "belongs to another organisation than its {other}"


@in_snapshot("one-organisation", "")
def one_organisation(now: Snapshot) -> Found:
    """Compare the organisations along the chain that leads to a manifest."""
    pairs = (
        ("activation", "token", "token_id"),
        ("activation", "activation_request", "activation_request_id"),
        ("activation", "unit", "unit_id"),
        ("unit", "outlet", "outlet_id"),
        ("manifest", "activation", "activation_id"),
        ("manifest", "data_key", "data_key_id"),
    )
    for table, other, key in pairs:
        yield from now.find(
            table,
            f"SELECT a.id FROM {table} a JOIN {other} b ON b.id = a.{key} WHERE a.organisation_id <> b.organisation_id",
            _UNLIKE.format(other=other.replace("_", " ")),
        )


@in_snapshot("unit-outlet", "An outlet is in a known village, a unit stands where it was last moved to, and none works at a closed outlet.")
def outlets(now: Snapshot) -> Found:
    """Look up the villages, and compare units with the newest entries of their moves."""
    yield from now.find(
        "outlet",
        "SELECT o.id, o.region_code FROM outlet o LEFT JOIN region r ON r.code = o.region_code AND r.level = 4 WHERE r.code IS NULL",
        "is in {region_code}, which is no village",
    )
    unit, entry = bare("unit"), bare("audit_entry")
    moved = select(unit.c.id).select_from(unit).join(entry, entry.c.id == newest_entry("unit", unit.c.id, "unit.move"))
    yield from now.find(
        "unit",
        moved.where(func.coalesce(dashed(unit.c.outlet_id), "") != fact(entry.c.data, "outlet_id")),
        "stands at another outlet than it was moved to",
    )
    yield from now.find(
        "unit",
        "SELECT u.id FROM unit u JOIN outlet o ON o.id = u.outlet_id WHERE o.state = 'closed' AND u.state = 'working'",
        "works at a closed outlet",
    )


@in_snapshot("account-outlets", "An account is limited to outlets of its own organisation, if to any, and no central account is.")
def limits(now: Snapshot) -> Found:
    """Look for outlets of others among those that an account names, and for limits of central accounts."""
    user, outlet, home = bare("user_account"), bare("outlet"), bare("organisation")
    named = select(user.c.id).join(outlet, user.c.outlets.contains(dashed(outlet.c.id)))
    yield from now.find(
        "user", named.where(outlet.c.organisation_id != user.c.organisation_id), "is limited to another organisation's outlet"
    )
    central = select(user.c.id).join(home, home.c.id == user.c.organisation_id).where(home.c.kind == "directorate")
    yield from now.find("user", central.where(user.c.outlets.is_not(None)), "is central, and limited to outlets")


@in_snapshot("holder-acts", "Only the holder of a card has open tokens, standing manifests and destructions for it.")
def holder_acts(now: Snapshot) -> Found:
    """Compare the organisation of each with the card's holder."""
    card = "JOIN card c ON c.id"
    owned = {
        "token": f"token o {card} = o.card_id WHERE o.state = 'issued'",
        "manifest": f"manifest o {card} = o.card_id WHERE o.state IN ('active', 'suspended')",
        "destruction": f"destruction o JOIN destruction_card k ON k.destruction_id = o.id {card} = k.card_id"
        " WHERE o.state IN ('executed', 'verified')",
    }
    for kind, rows in owned.items():
        sql = f"SELECT o.id, c.uid FROM {rows} AND c.holder_id <> o.organisation_id"
        yield from now.find(kind, sql, "is of an organisation that does not hold card {uid}")


@in_snapshot("who-acts", "People and machines act for their own organisation.")
def who_acts(now: Snapshot) -> Found:
    """Compare the organisation of the account or key behind a row with that of the row."""
    people = (
        ("activation", "user_id", "organisation_id"),
        ("handover", "issued_by", "issuer_id"),
        ("activation_request", "submitted_by_user", "organisation_id"),
        ("personalisation_request", "submitted_by_user", "requester_id"),
    )
    for table, user, organisation in people:
        yield from now.find(
            table,
            f"SELECT a.id FROM {table} a JOIN user_account u ON u.id = a.{user} WHERE u.organisation_id <> a.{organisation}",
            "was made with an account of another organisation",
        )
    yield from now.find(
        "activation",
        "SELECT a.id FROM activation a JOIN api_key k ON k.id = a.api_key_id WHERE k.organisation_id <> a.organisation_id",
        "was made with a key of another organisation",
    )


@in_snapshot("batch-buyer", "A batch names units of its buyer, of models of its manufacturer; a card is tied to a unit of its buyer.")
def batch_buyer(now: Snapshot) -> Found:
    """Check that a manufacturer supplies its own readers, to the buyer whom the request names."""
    yield from now.find(
        "batch_row",
        "SELECT b.id FROM batch_row b JOIN personalisation_request q ON q.id = b.personalisation_request_id JOIN unit u ON u.id = b.unit_id"
        " WHERE u.organisation_id <> q.buyer_id",
        "names a unit that is not the buyer's",
    )
    yield from now.find(
        "batch_row",
        "SELECT b.id FROM batch_row b JOIN personalisation_request q ON q.id = b.personalisation_request_id JOIN unit u ON u.id = b.unit_id"
        " JOIN device_model d ON d.id = u.model_id WHERE d.manufacturer_id <> q.requester_id",
        "names a unit of another manufacturer",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN unit u ON u.id = c.unit_id WHERE u.organisation_id <> c.buyer_id",
        "({uid}) is tied to a unit that is not its buyer's",
    )


@in_snapshot("own-documents", "A request carries documents its own organisation uploaded.")
def own_documents(now: Snapshot) -> Found:
    """Compare the organisations of letters, purchase orders and batches with that of the request."""
    for table, owner, column in (
        ("activation_request", "organisation_id", "letter_document_id"),
        ("personalisation_request", "requester_id", "letter_document_id"),
        ("personalisation_request", "requester_id", "purchase_order_document_id"),
        ("personalisation_request", "requester_id", "batch_document_id"),
        ("model_case", "organisation_id", "letter_document_id"),
    ):
        asked, document = bare(table), bare("document")
        yield from now.find(
            table,
            select(asked.c.id)
            .join(document, document.c.id == asked.c[column])
            .where(document.c.organisation_id.is_distinct_from(asked.c[owner])),
            f"carries another organisation's document ({column.removesuffix('_document_id').replace('_', ' ')})",
        )


@in_snapshot("rw-offices", "Only district and province offices have RW.")
def rw_offices(now: Snapshot) -> Found:
    """Check units and cards."""
    yield from now.find(
        "unit",
        "SELECT u.id FROM unit u JOIN organisation o ON o.id = u.organisation_id WHERE u.function = 'RW'"
        " AND o.kind NOT IN ('province_office', 'regency_office')",
        "is for RW and not an office's",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN organisation o ON o.id = c.buyer_id WHERE c.function = 'RW'"
        " AND o.kind NOT IN ('province_office', 'regency_office')",
        "({uid}) is for RW and not an office's",
    )


# --- heads -----------------------------------------------------------------------------------------------------------

GRACE_S = 10
"""Seconds within which the steps of one act have their moments: a request ends within its deadline."""
_EXECUTED = "head_succession s JOIN user_change c ON c.id = s.id WHERE c.state = 'executed'"


@in_snapshot("head-by-act", "Whoever is head was made so by an act: an invitation, a change of roles, or a succession.")
def head_by_act(now: Snapshot) -> Found:
    """Look for the entry about the account that names the role, at the moment since which it is held, or of the account's beginning."""
    role, user, entry = bare("user_role"), bare("user_account"), bare("audit_entry")
    given = exists().where(
        entry.c.object_kind == "user",
        entry.c.object_id == dashed(role.c.user_id),
        entry.c.action.in_(("user.invite", "user.register", "user.roles", "user.deputy", "seal.vouch")),
        or_(entry.c.at.between(role.c.since, later(role.c.since, GRACE_S)), role.c.since == user.c.created_at),
        fact(entry.c.data, "roles").contains("head"),
    )
    query = select(role.c.user_id.label("id"), role.c.since).join(user, user.c.id == role.c.user_id)
    held = query.where(role.c.role == "head", role.c.until.is_(None))
    yield from now.find("user", held.where(~given), "is head since {since}, and no act made it so")


@in_snapshot("succession-whole", "A succession is of its proposal and of one organisation, and was decided by two persons who may.")
def whole(now: Snapshot) -> Found:
    """Compare the proposals with their facts, the accounts with the organisation, and who proposed and decided."""
    yield from now.find(
        "user_change",
        "SELECT c.id FROM user_change c LEFT JOIN head_succession s ON s.id = c.id AND s.successor_id = c.user_id"
        " WHERE c.change = 'succession' AND s.id IS NULL",
        "is a succession, and nothing says of whom by which decree",
    )
    yield from now.find(
        "head_succession",
        "SELECT s.id FROM head_succession s LEFT JOIN user_change c ON c.id = s.id AND c.change = 'succession' WHERE c.id IS NULL",
        "is of no proposal",
    )
    yield from now.find(
        "head_succession",
        "SELECT s.id FROM head_succession s JOIN user_account u ON u.id IN (s.successor_id, s.outgoing_id)"
        " WHERE u.organisation_id <> s.organisation_id",
        "names an account of another organisation",
    )
    yield from now.find(
        "user_change",
        f"SELECT c.id FROM {_EXECUTED} AND NOT ({parties_sql('c')})",
        "made a head, and neither two user administrators nor the outgoing head and one decided it",
    )


@in_snapshot("succession-done", "An executed succession gave the role, for as long as it says, and took it from the head who was followed.")
def done(now: Snapshot) -> Found:
    """Compare the roles with what was decided at that moment."""
    succession, change, role = bare("head_succession"), bare("user_change"), bare("user_role")
    executed = select(succession.c.id).join(change, change.c.id == succession.c.id).where(change.c.state == "executed")
    shortly = later(change.c.decided_at, GRACE_S)
    given = exists().where(
        role.c.user_id == succession.c.successor_id,
        role.c.role == "head",
        role.c.since.between(change.c.decided_at, shortly),
        role.c.ends_at.is_not_distinct_from(change.c.ends_at),
    )
    yield from now.find(
        "head_succession", executed.where(~given), "was executed, and its successor was not made head then, or for another time"
    )
    stays = exists().where(
        role.c.user_id == succession.c.outgoing_id,
        role.c.role == "head",
        role.c.since < change.c.decided_at,
        func.coalesce(role.c.until, shortly) >= shortly,
        or_(role.c.ends_at.is_(None), role.c.ends_at > change.c.decided_at),
    )
    yield from now.find(
        "head_succession", executed.where(succession.c.former != "head", stays), "was executed, and the outgoing head stayed head"
    )


@in_snapshot("passed-work", "Open work passed on with an executed succession, within its organisation, and as much as its entry says.")
def passed(now: Snapshot) -> Found:
    """Compare what passed on with the objects, with the successions, and with the numbers in the entries."""
    owners = {
        "personalisation_request": "o.requester_id",
        "activation_request": "o.organisation_id",
        "handover": "o.issuer_id, o.receiver_id",
        "destruction": "o.organisation_id",
    }
    for kind in KINDS:
        yield from now.find(
            "head_succession",
            f"SELECT s.id FROM passed_work p JOIN head_succession s ON s.id = p.succession_id LEFT JOIN {kind} o ON o.id = p.object_id"
            f" WHERE p.object_kind = '{kind}' AND (o.id IS NULL OR s.organisation_id NOT IN ({owners[kind]}))",
            f"passed on a {kind} that is not its organisation's",
        )
    yield from now.find(
        "head_succession",
        "SELECT s.id FROM head_succession s JOIN user_change c ON c.id = s.id WHERE c.state <> 'executed'"
        " AND EXISTS (SELECT 1 FROM passed_work p WHERE p.succession_id = s.id)",
        "passed work on, and was not executed",
    )
    change, entry, work = bare("user_change"), bare("audit_entry"), bare("passed_work")
    told = fact(entry.c.data, "count")
    rows = select(func.count()).where(work.c.succession_id == change.c.id).correlate(change).scalar_subquery()
    executed = select(change.c.id, told.label("told"), rows.label("rows")).join(entry, entry.c.id == change.c.act_id)
    executed = executed.where(change.c.change == "succession", change.c.state == "executed", func.coalesce(cast(told, Integer), -1) != rows)
    yield from now.find("head_succession", executed, "passed on {rows} objects, its entry says {told}")
