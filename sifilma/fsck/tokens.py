"""Invariants of tokens: each is for one card, one request and one organisation, and is used once."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot


@in_snapshot("token-once", "A token is redeemed once.")
def once(now: Snapshot) -> Found:
    """Count the activations of each token."""
    return now.find(
        "token",
        "SELECT token_id AS id, COUNT(*) AS times FROM activation GROUP BY token_id HAVING COUNT(*) > 1",
        "was redeemed by {times} activations",
    )


@in_snapshot("token-redeemed", "A token is redeemed exactly when there is its activation.")
def redeemed(now: Snapshot) -> Found:
    """Check both directions."""
    yield from now.find(
        "token",
        "SELECT t.id FROM token t LEFT JOIN activation a ON a.token_id = t.id WHERE t.state = 'redeemed' AND a.id IS NULL",
        "is redeemed, but no activation used it",
    )
    yield from now.find(
        "token",
        "SELECT t.id, t.state FROM token t JOIN activation a ON a.token_id = t.id WHERE t.state <> 'redeemed'",
        "is {state}, but an activation used it",
    )


@in_snapshot("token-machines", "There are never more tokens, open and used, than approved machines.")
def machines(now: Snapshot) -> Found:
    """Count open and used tokens. Expired and cancelled ones do not count, because they may be issued again."""
    return now.find(
        "activation_request",
        "SELECT r.id, r.machines, COUNT(*) AS tokens FROM activation_request r JOIN token t ON t.activation_request_id = r.id"
        " WHERE t.state IN ('issued', 'redeemed') AND t.reissue_id IS NULL GROUP BY r.id, r.machines HAVING COUNT(*) > r.machines",
        "has {tokens} tokens for {machines} approved machines",
    )


@in_snapshot("token-issue", "Each card of an approved request has had a token, waits for it, or was passed over because it was not ready.")
def issue(now: Snapshot) -> Found:
    """Count the cards without a token among those that were seen to: by the approval, or by the worker up to a position."""
    return now.find(
        "activation_request",
        "SELECT r.id, COUNT(*) AS cards, MAX(COALESCE(i.passed_over, 0)) AS passed FROM activation_request r"
        " JOIN activation_request_card k ON k.activation_request_id = r.id LEFT JOIN token_issue i ON i.activation_request_id = r.id"
        " WHERE r.state IN ('approved', 'completed', 'expired') AND (i.activation_request_id IS NULL OR k.position <= i.made_to)"
        " AND NOT EXISTS (SELECT 1 FROM token t WHERE t.activation_request_id = r.id AND t.card_id = k.card_id)"
        " GROUP BY r.id HAVING COUNT(*) <> MAX(COALESCE(i.passed_over, 0))",
        "has {cards} cards without a token, {passed} were passed over",
    )


@in_snapshot("token-count", "A request counts its redeemed tokens, and is completed exactly with the last one.")
def count(now: Snapshot) -> Found:
    """Compare the counter in the request's row with its redeemed tokens. It is in the row so that concurrent activations agree."""
    redeemed = "(SELECT COUNT(*) FROM token t WHERE t.activation_request_id = r.id AND t.state = 'redeemed' AND t.reissue_id IS NULL)"
    yield from now.find(
        "activation_request",
        f"SELECT r.id, r.redeemed, {redeemed} AS found FROM activation_request r WHERE r.redeemed <> {redeemed}",
        "counts {redeemed} redeemed tokens, there are {found}",
    )
    yield from now.find(
        "activation_request",
        "SELECT r.id, r.state, r.redeemed, r.machines FROM activation_request r WHERE (r.state = 'completed') <> (r.redeemed = r.machines)",
        "is {state} with {redeemed} of {machines} tokens redeemed",
    )


@in_snapshot("token-approved", "Tokens exist only of approved requests, and are open only while the request is.")
def approved(now: Snapshot) -> Found:
    """Check the states. An expired or cancelled request keeps its tokens, none of them open."""
    yield from now.find(
        "token",
        "SELECT t.id, r.state FROM token t JOIN activation_request r ON r.id = t.activation_request_id"
        " WHERE r.state NOT IN ('approved', 'completed', 'expired', 'cancelled')",
        "belongs to a request that is {state}",
    )
    yield from now.find(
        "token",
        "SELECT t.id, r.state FROM token t JOIN activation_request r ON r.id = t.activation_request_id"
        " WHERE t.state = 'issued' AND r.state <> 'approved'",
        "is open, but its request is {state}",
    )


@in_snapshot("token-card", "A token opens only a card its request names, for the request's organisation.")
def card(now: Snapshot) -> Found:
    """Compare the token with its request, and the activation with the token."""
    yield from now.find(
        "token",
        "SELECT t.id FROM token t LEFT JOIN activation_request_card k"
        " ON k.activation_request_id = t.activation_request_id AND k.card_id = t.card_id WHERE k.card_id IS NULL",
        "is for a card its request does not name",
    )
    yield from now.find(
        "token",
        "SELECT t.id FROM token t JOIN activation_request r ON r.id = t.activation_request_id WHERE t.organisation_id <> r.organisation_id",
        "is another organisation's than its request",
    )
    yield from now.find(
        "activation",
        "SELECT a.id FROM activation a JOIN token t ON t.id = a.token_id WHERE a.card_id <> t.card_id"
        " OR a.activation_request_id <> t.activation_request_id",
        "used a token of another card or another request",
    )


@in_snapshot("token-tries", "The fifth wrong try ends a token.")
def tries(now: Snapshot) -> Found:
    """Check that no token has more than five wrong tries, and that none with five is open."""
    return now.find(
        "token",
        "SELECT id, tries, state FROM token WHERE tries > 5 OR (tries = 5 AND state <> 'cancelled')",
        "is {state} after {tries} wrong tries",
    )


@in_snapshot("token-of-broken-card", "A card that broke, was lost, locked or withdrawn has no open token.")
def of_broken_card(now: Snapshot) -> Found:
    """Check that the report on the card has cancelled its tokens."""
    return now.find(
        "token",
        "SELECT t.id, c.uid, c.state FROM token t JOIN card c ON c.id = t.card_id WHERE t.state = 'issued'"
        " AND c.state IN ('damaged', 'locked', 'lost', 'revoked', 'destroyed')",
        "is open, but card {uid} is {state}",
    )
