"""What the database itself refuses of models, units, cards and reports."""

from __future__ import annotations

from sifilma.approvals import four_eyes
from sifilma.audit import recorded
from sifilma.cards.models import BOUND, TIES, Card, DeviceModel, Unit
from sifilma.kernel import triggers

triggers.immutable("card_photo")
triggers.immutable("card_report", "card_id", "organisation_id", "api_key_id", "suspension_id", "condition", "note", "reported_at")
triggers.immutable("card_suspension", "card_id", "cause", "opened_act")
triggers.guard(
    "card_ended_by_person",
    "card",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state IN ('damaged', 'locked', 'lost', 'revoked') AND NEW.changed_by IS NULL",
    "card: a person ends its use, not a program",
)
triggers.guard(
    "card_sequence",
    "card",
    "UPDATE",
    "NEW.seq < OLD.seq",
    "card: its sequence does not go back",
)
triggers.guard(
    "device_model_widens",
    "device_model",
    "UPDATE",
    "OLD.function <> NEW.function AND NEW.function <> 'R RW'",
    "device_model: its set of functions only grows",
)
for _event in ("INSERT", "UPDATE"):
    triggers.guard(
        f"unit_serves_{_event.lower()}",
        "unit",
        _event,
        "NOT EXISTS (SELECT 1 FROM device_model m WHERE m.id = NEW.model_id AND m.function IN (NEW.function, 'R RW'))",
        "unit: it serves a function of its model",
    )
triggers.guard("device_model_keep", "device_model", "DELETE", "", "device_model: nothing is deleted")
four_eyes.protect_proposal(
    "unit_key_change", "organisation_id", "by_organisation_id", "api_key_id", "count", "digest", "made_at", early="delivered"
)
triggers.immutable("unit_key")
triggers.guard(
    "unit_born_without_key",
    "unit",
    "INSERT",
    "NEW.key_change_id IS NOT NULL OR COALESCE(CAST(NEW.public_jwk AS TEXT), 'null') <> 'null'",
    "unit: a public key comes with two persons, after the unit",
)
triggers.guard(
    "unit_key_by_two",
    "unit",
    "UPDATE",
    "(CAST(OLD.public_jwk AS TEXT) IS DISTINCT FROM CAST(NEW.public_jwk AS TEXT) OR OLD.key_change_id IS DISTINCT FROM NEW.key_change_id)"
    " AND NOT EXISTS (SELECT 1 FROM unit_key_change c JOIN unit_key k ON k.change_id = c.id WHERE c.id = NEW.key_change_id"
    " AND c.state = 'executed' AND c.organisation_id = NEW.organisation_id AND k.unit_id = NEW.id"
    " AND CAST(k.jwk AS TEXT) = CAST(NEW.public_jwk AS TEXT))",
    "unit: its public key is changed by two persons",
)
_NUMBERS = "OLD.hardware_number <> NEW.hardware_number OR (OLD.pcid IS NOT NULL AND OLD.pcid IS DISTINCT FROM NEW.pcid)"
triggers.guard(
    "unit_identity",
    "unit",
    "UPDATE",
    f"OLD.organisation_id <> NEW.organisation_id OR ((OLD.function <> NEW.function OR OLD.model_id <> NEW.model_id OR {_NUMBERS})"  # noqa: S608  # constants
    f" AND {BOUND.format(unit='NEW.id')} AND NOT (OLD.function = NEW.function AND OLD.model_id = NEW.model_id"
    " AND EXISTS (SELECT 1 FROM unit_correction c WHERE c.unit_id = NEW.id AND c.state = 'executed'"
    " AND c.former_hardware_number = OLD.hardware_number AND c.former_pcid IS NOT DISTINCT FROM OLD.pcid"
    " AND COALESCE(c.hardware_number, OLD.hardware_number) = NEW.hardware_number"
    " AND COALESCE(c.pcid, OLD.pcid) IS NOT DISTINCT FROM NEW.pcid)))",
    "unit: once something is bound to it, two persons correct its numbers, and nothing else of its identity changes",
)
triggers.guard(
    "unit_retired_empty",
    "unit",
    "UPDATE",
    f"OLD.state <> NEW.state AND NEW.state = 'retired' AND EXISTS (SELECT 1 FROM card c WHERE c.unit_id = NEW.id AND c.{TIES})",  # noqa: S608  # constants
    "unit: not retired with a living card in it",
)
_WORKS = triggers.of_it("u.state = 'working'")
for _event, _moved in (
    ("INSERT", "NEW.unit_id IS NOT NULL"),
    ("UPDATE", "NEW.unit_id IS NOT NULL AND OLD.unit_id IS DISTINCT FROM NEW.unit_id"),
):
    triggers.guard(
        f"card_in_working_unit_{_event.lower()}",
        "card",
        _event,
        f"{_moved} AND NOT EXISTS (SELECT 1 FROM unit u WHERE u.id = NEW.unit_id AND {_WORKS})",  # noqa: S608  # constants
        "card: tied to a working unit only",
    )
for _model in (DeviceModel, Unit, Card):
    recorded.protect(_model)
