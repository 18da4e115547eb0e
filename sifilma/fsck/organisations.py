"""Invariants of organisations: nothing crosses from one to another."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot

_UNLIKE = "belongs to another organisation than its {other}"


@in_snapshot("one-organisation", "A token, its activation, its manifest, its unit and its data key belong to one organisation.")
def one_organisation(now: Snapshot) -> Found:
    """Compare the organisations along the chain that leads to a manifest."""
    pairs = (
        ("activation", "token", "token_id"),
        ("activation", "activation_request", "activation_request_id"),
        ("activation", "unit", "unit_id"),
        ("manifest", "activation", "activation_id"),
        ("manifest", "data_key", "data_key_id"),
    )
    for table, other, key in pairs:
        yield from now.find(
            table,
            f"SELECT a.id FROM {table} a JOIN {other} b ON b.id = a.{key} WHERE a.organisation_id <> b.organisation_id",
            _UNLIKE.format(other=other.replace("_", " ")),
        )


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
