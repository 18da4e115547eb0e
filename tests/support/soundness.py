"""What must hold in an installation at any moment (QUALITY.md, Correct), asked of the database by SQL."""

from __future__ import annotations

from tests.support.world import World

# Each select finds what must not be there.
FORBIDDEN: dict[str, str] = {
    "a card has two standing manifests": "SELECT card_id FROM manifest WHERE state IN ('active', 'suspended')"
    " GROUP BY card_id HAVING COUNT(*) > 1",
    "a unit has two active cards": "SELECT unit_id FROM card WHERE state = 'active' GROUP BY unit_id HAVING COUNT(*) > 1",
    "a card is active without its manifest": "SELECT c.id FROM card c WHERE c.state = 'active'"
    " AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.card_id = c.id AND m.state = 'active' AND m.seq = c.seq)",
    "a manifest stands for a card that is not active": "SELECT m.id FROM manifest m JOIN card c ON c.id = m.card_id"
    " WHERE m.state = 'active' AND c.state <> 'active'",
    "a card past its life has an open token": "SELECT t.id FROM token t JOIN card c ON c.id = t.card_id"
    " WHERE t.state = 'issued' AND c.state IN ('damaged', 'locked', 'lost', 'revoked', 'destroyed')",
    "more tokens than machines": "SELECT r.id FROM activation_request r JOIN token t ON t.activation_request_id = r.id"
    " AND t.state IN ('issued', 'redeemed') GROUP BY r.id, r.machines HAVING COUNT(*) > r.machines",
    "a token is redeemed without its activation": "SELECT t.id FROM token t WHERE t.state = 'redeemed'"
    " AND NOT EXISTS (SELECT 1 FROM activation a WHERE a.token_id = t.id)",
    "a card is destroyed without a Berita Acara": "SELECT c.id FROM card c WHERE c.state = 'destroyed' AND NOT EXISTS"
    " (SELECT 1 FROM destruction_card k JOIN destruction d ON d.id = k.destruction_id"
    " WHERE k.card_id = c.id AND d.state IN ('executed', 'verified'))",
    "somebody approved their own request": "SELECT a.id FROM activation_approval a JOIN activation_request r"
    " ON r.id = a.activation_request_id WHERE a.person_id = r.submitted_by_person",
    "a card's state is not its last step's": "SELECT c.id FROM card c WHERE c.state <> (SELECT h.to_state FROM history h"
    " WHERE h.object_kind = 'card' AND h.object_id = c.id ORDER BY h.id DESC LIMIT 1)",
}


def sound(world: World) -> list[str]:
    """What is broken, in words; nothing, if all is well."""
    return [f"{what}: {rows[0][0]}" for what, select in FORBIDDEN.items() if (rows := world.sql(select))]
