"""All tables and database rules. Importing this module registers them, because the models do so when they are imported."""

from __future__ import annotations

from sifilma.access_review import models as access_review
from sifilma.accounts import models as accounts
from sifilma.activation import models as activation
from sifilma.activation import rules as activation_rules
from sifilma.activation.carrying import models as carrying
from sifilma.activation.derived import models as tallies
from sifilma.activation.suspensions import models as suspensions
from sifilma.activation.trust import models as beyond
from sifilma.assignment import models as assignment
from sifilma.audit import models as audit
from sifilma.cards import models as cards
from sifilma.cards import rules as cards_rules
from sifilma.cards.derived import models as derived
from sifilma.cards.outlets import models as outlets
from sifilma.cards.upkeep import models as cards_upkeep
from sifilma.conversation import models as conversation
from sifilma.destruction import models as destruction
from sifilma.dispatch import models as dispatch
from sifilma.documents import models as documents
from sifilma.documents import numbering
from sifilma.handover import models as handover
from sifilma.handover.discrepancies import models as discrepancies
from sifilma.identity import models as identity
from sifilma.identity import rules as identity_rules
from sifilma.jobs import models as jobs
from sifilma.kept_forms import models as kept_forms
from sifilma.kernel import field_notes, idempotency, lifecycle
from sifilma.kernel.db import Base
from sifilma.kernel.timekeeping import watch
from sifilma.lost_access import models as lost_access
from sifilma.notifications import models as notifications
from sifilma.oversight import models as oversight
from sifilma.own_files import models as own_files
from sifilma.personalisation import models as personalisation
from sifilma.personalisation.blanks import models as blanks
from sifilma.reconciliation import models as reconciliation
from sifilma.regions import models as regions
from sifilma.sign_in import models as factors
from sifilma.succession import models as succession
from sifilma.witness import models as witness

METADATA = Base.metadata
PACKAGES = (
    access_review, accounts, activation, activation_rules, assignment, audit, cards, cards_rules, cards_upkeep, carrying,
    conversation, destruction,
    discrepancies, documents, factors, field_notes, handover, idempotency, identity, identity_rules, jobs, kept_forms, lifecycle,
    lost_access, notifications, numbering, outlets, own_files, watch, oversight, personalisation, regions, succession,
    suspensions, blanks, derived, dispatch, tallies, beyond, reconciliation, witness,
)  # fmt: skip
