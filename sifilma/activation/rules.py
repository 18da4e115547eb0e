"""What the database refuses about tokens, activations and manifests (docs/quality.md, Correct)."""

from __future__ import annotations

from sifilma.activation.models import REPEATED
from sifilma.approvals import four_eyes
from sifilma.approvals.letters import LETTER_COLUMNS
from sifilma.kernel import triggers

_APPROVED, _REDEEMED, _WORKS = (triggers.of_it(one) for one in ("r.state = 'approved'", "t.state = 'redeemed'", "u.state = 'working'"))
_ACTIVE, _STANDS = triggers.of_it("m.state = 'active'"), triggers.of_it("m.state IN ('active', 'suspended')")
four_eyes.protect(
    "activation_request",
    "activation_approval",
    waiting="submitted",
    approved="approved",
    content=(*LETTER_COLUMNS, "organisation_id", "kind", "function", "machines", "personalisation_request_id", "notes"),
)
four_eyes.protect_parts("activation_request_card", "activation_request")
triggers.guard(
    "token_identity",
    "token",
    "UPDATE",
    "OLD.activation_request_id <> NEW.activation_request_id OR OLD.card_id <> NEW.card_id OR OLD.organisation_id <> NEW.organisation_id"
    " OR OLD.mac <> NEW.mac OR NEW.tries < OLD.tries OR OLD.expires_at <> NEW.expires_at OR OLD.reissue_id IS DISTINCT FROM NEW.reissue_id"
    " OR (OLD.state <> 'issued' AND OLD.tries <> NEW.tries)",
    "token: what was issued does not change",
)
triggers.guard(
    "token_of_request",
    "token",
    "INSERT",
    "NEW.reissue_id IS NULL AND NOT EXISTS (SELECT 1 FROM activation_request r JOIN activation_request_card k"  # noqa: S608  # constants
    " ON k.activation_request_id = r.id WHERE r.id = NEW.activation_request_id AND k.card_id = NEW.card_id"
    f" AND r.organisation_id = NEW.organisation_id AND {_APPROVED})",
    "token: only for a card of an approved request of its organisation",
)
triggers.guard(
    "token_of_reissue",
    "token",
    "INSERT",
    "NEW.reissue_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM reissue_card k JOIN manifest m ON m.id = k.manifest_id"  # noqa: S608  # constants
    " JOIN activation a ON a.id = m.activation_id WHERE k.reissue_id = NEW.reissue_id AND k.card_id = NEW.card_id"
    f" AND k.outcome = 'waiting' AND {_STANDS} AND a.activation_request_id = NEW.activation_request_id"
    " AND a.organisation_id = NEW.organisation_id)",
    "token: without a request only for a card that an order to issue anew names, by the request behind its manifest",
)
# Never more tokens than approved machines, and no counting of them: a request names at most as many cards as machines when it is submitted,
# and then does not change; a token is for a named card; an index (`uq_token_valid`) lets a card have one that is open or used.
triggers.guard(
    "activation_request_machines",
    "activation_request",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'submitted'"
    " AND (SELECT COUNT(*) FROM activation_request_card k WHERE k.activation_request_id = NEW.id) > NEW.machines",
    "activation_request: not more cards than machines",
)
triggers.immutable(
    "activation",
    "token_id", "card_id", "unit_id", "organisation_id", "activation_request_id", "manifest_id", "at", "latitude_e7", "longitude_e7",
    "accuracy_m", "source", "address", "region_code", "region_version", "place_outcome", "place_distance_m", "place_nearest",
    "place_source", "place_source_sha256", "reason", "user_id", "api_key_id", "act_id", "stated_by",
)  # fmt: skip
_REPLACED = (
    "EXISTS (SELECT 1 FROM activation_request r JOIN activation_request_card k ON k.activation_request_id = r.id"
    " WHERE r.id = NEW.activation_request_id AND r.kind = 'replacement' AND k.card_id = NEW.card_id AND k.unit_id = NEW.unit_id"
    " AND k.former_unit_id = c.unit_id)"
)
triggers.guard(
    "card_tied",
    "card",
    "UPDATE",
    "OLD.unit_id IS NOT NULL AND OLD.unit_id IS DISTINCT FROM NEW.unit_id AND NOT EXISTS (SELECT 1 FROM activation a"
    " JOIN activation_request r ON r.id = a.activation_request_id WHERE a.act_id = NEW.act_id AND a.card_id = NEW.id"
    " AND a.unit_id = NEW.unit_id AND r.kind = 'replacement')",
    "card: it leaves its unit by a replacement only",
)
triggers.guard(
    "activation_redeems",
    "activation",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM token t JOIN card c ON c.id = t.card_id JOIN unit u ON u.id = NEW.unit_id WHERE t.id = NEW.token_id"  # noqa: S608  # constants
    f" AND {_REDEEMED} AND t.card_id = NEW.card_id AND t.organisation_id = NEW.organisation_id"
    " AND t.activation_request_id = NEW.activation_request_id AND c.holder_id = NEW.organisation_id"
    " AND (t.reissue_id IS NULL) = (NEW.source <> 'carried')"
    f" AND u.organisation_id = NEW.organisation_id AND {_WORKS} AND u.function = c.function AND ("
    "(NEW.source = 'carried' AND c.unit_id = u.id) OR " + _REPLACED + " OR"
    " (NOT EXISTS (SELECT 1 FROM activation_request r WHERE r.id = NEW.activation_request_id AND r.kind = 'replacement')"
    " AND (c.unit_id IS NULL OR c.unit_id = u.id))))",
    "activation: token, card, unit and organisation do not belong together",
    whole=True,
)
triggers.guard(
    "activation_carried",
    "activation",
    "INSERT",
    "NEW.source = 'carried' AND NOT EXISTS (SELECT 1 FROM activation a WHERE a.id = NEW.stated_by AND a.source <> 'carried' AND "  # noqa: S608  # constants
    + " AND ".join(f"a.{c} = NEW.{c}" for c in REPEATED)
    + ")",
    "activation: a carried one repeats what was stated",
)
triggers.guard(
    "activation_review",
    "activation",
    "UPDATE",
    "OLD.review_state IS DISTINCT FROM NEW.review_state AND NOT (OLD.review_state = 'waiting'"
    " AND NEW.review_state IN ('accepted', 'rejected')"
    " AND NEW.reviewed_by IS NOT NULL)",
    "activation: a place is reviewed once, by somebody",
)
triggers.guard("manifest_facts", "manifest", "UPDATE", " OR ".join(
    f"OLD.{c} <> NEW.{c}"
    for c in ("id", "activation_id", "card_id", "organisation_id", "epoch", "seq", "kid", "issued_at", "expires_at", "refuse_after",
              "status_list", "status_index", "payload_hash", "data_key_id", "sealed_body")
), "manifest: what was signed does not change")  # fmt: skip
triggers.guard(
    "manifest_card",
    "manifest",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM activation a JOIN token t ON t.id = a.token_id WHERE a.id = NEW.activation_id AND a.manifest_id = NEW.id"
    " AND a.card_id = NEW.card_id AND a.organisation_id = NEW.organisation_id AND t.status_list = NEW.status_list"
    " AND t.status_index = NEW.status_index)",
    "manifest: none without its activation and its reserved status index",
    whole=True,
)
triggers.guard(
    "manifest_seq",
    "manifest",
    "INSERT",
    "EXISTS (SELECT 1 FROM manifest m WHERE m.card_id = NEW.card_id"
    " AND (m.epoch > NEW.epoch OR (m.epoch = NEW.epoch AND m.seq >= NEW.seq)))",
    "manifest: the sequence of a card only grows",
)
_COUNT = "UPDATE status_list SET changes = changes + 1 WHERE number = NEW.status_list"
triggers.follow(
    "manifest_status_change",
    "manifest",
    "UPDATE",
    _COUNT,
    when="OLD.state <> NEW.state",
    together="UPDATE status_list l SET changes = l.changes + c.n FROM (SELECT f.status_list, COUNT(*) AS n FROM fresh f JOIN stale s"
    " ON s.id = f.id AND s.state <> f.state GROUP BY 1) c WHERE l.number = c.status_list",
)
for _event in ("INSERT", "UPDATE"):
    triggers.follow(
        f"status_beyond_{_event.lower()}",
        "status_beyond",
        _event,
        "UPDATE status_list SET changes = changes + 1 WHERE number = NEW.status_list",
    )
triggers.guard(
    "status_beyond_stays",
    "status_beyond",
    "UPDATE",
    "OLD.status_list <> NEW.status_list OR OLD.status_index <> NEW.status_index OR (OLD.value = 1 AND NEW.value <> 1)",
    "status_beyond: what was revoked stays revoked",
)
triggers.guard("status_beyond_keep", "status_beyond", "DELETE", "", "status_beyond: nothing is deleted")
# One that is born suspended has another status than its free index had. These are few: each new manifest is asked by itself.
triggers.follow(
    "manifest_status_birth",
    "manifest",
    "INSERT",
    _COUNT,
    when="NEW.state = 'suspended'",
)
triggers.guard(
    "card_active_manifest",
    "card",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'active'"  # noqa: S608  # constants
    f" AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.card_id = NEW.id AND {_ACTIVE} AND m.seq = NEW.seq)",
    "card: active only by a manifest",
)
triggers.guard(
    "card_leaves_active",
    "card",
    "UPDATE",
    "OLD.state IN ('active', 'suspended') AND NEW.state NOT IN ('active', 'suspended')"  # noqa: S608  # constants
    f" AND EXISTS (SELECT 1 FROM manifest m WHERE m.card_id = NEW.id AND {_STANDS})",
    "card: its manifest still stands",
)
four_eyes.protect_proposal("revocation", "manifest_id", "reason")
triggers.immutable("published_status_list")
triggers.immutable("published_trust")
triggers.immutable("data_key", "id", "organisation_id", "month")
triggers.guard(
    "data_key_sealed_anew",
    "data_key",
    "UPDATE",
    # 2 bytes name the later version of the key that seals it, and the format: an IV of 12 bytes, or of 16. Before there was no format.
    "(OLD.sealed IS DISTINCT FROM NEW.sealed) AND length(NEW.sealed) NOT IN (61, 62, 66)",
    "data_key: sealed anew by a later version only",
)
triggers.guard(
    "manifest_revoked_by_two",
    "manifest",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'revoked'"
    " AND NOT EXISTS (SELECT 1 FROM revocation r WHERE r.manifest_id = NEW.id AND r.state = 'executed')"
    " AND NOT EXISTS (SELECT 1 FROM audit_entry e WHERE e.id = NEW.act_id"
    " AND e.action IN ('card.report', 'card.report_confirm', 'unit.correct_execute'))",
    "manifest: revoked by two persons, or because its card was reported or its unit corrected",
)
triggers.guard(
    "activation_request_complete",
    "activation_request",
    "UPDATE",
    "(NEW.state = 'completed' AND NEW.redeemed <> NEW.machines) OR NEW.redeemed < OLD.redeemed",
    "activation_request: complete when every token is redeemed",
)
