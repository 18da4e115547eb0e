"""The table "Who may do what" of docs/domain.md, written independently of sifilma/identity/permissions.py, to find errors there."""

from __future__ import annotations

COLUMNS = ("approver", "operator", "auditor", "user_admin", "custodian", "manufacturer", "regency", "province", "institution", "key")
CENTRAL = COLUMNS[:5]
NEVER = "-"

# `A` all, `J` own jurisdiction, `O` own organisation, `L` linked by batch, `-` never; `!` fresh one-time code, `h` the head only.
# Every group is named by its row of docs/domain.md; where that row has "a / b", by the part. Reading follows writing.
_ROWS: dict[str, tuple[tuple[str, str], ...]] = {
    "manage central users": (("users.central", "-  -  -  A! -   -   -   -   -   -"),),
    "manage own organisation's users": (
        ("users.own", "-  -  -  -  -   Oh! Oh! Oh! Oh! -"),
        ("users.see", "-  -  -  A  -   Oh  Oh  Oh  Oh  -"),
        ("users.factor", "-  -  -  A! -   Oh! Oh! Oh! Oh! -"),
        ("users.succession", "-  -  -  A! -   Oh! Oh! Oh! Oh! -"),
        ("heads.see", "A  A  A  A  -   -   -   J   -   -"),
        ("access.see", "-  -  A  A  -   Oh  Oh  Oh  Oh  -"),
        ("access.review", "-  -  -  A! -   Oh! Oh! Oh! Oh! -"),
        ("messages.see", "-  -  -  A  -   Oh  Oh  Oh  Oh  -"),
        ("messages.send", "-  -  -  A  -   Oh  Oh  Oh  Oh  -"),
        ("api_keys", "-  -  -  -  -   Oh! Oh! Oh! Oh! -"),
        ("api_keys.see", "-  -  -  -  -   Oh  Oh  Oh  Oh  -"),
    ),
    "reference data": (
        ("reference.read", "A  A  A  A  A   A   A   A   A   A"),
        ("reference.proposals.view", "A  A  A  -  -   -   -   -   -   -"),
        ("reference.draft", "-  A  -  -  -   -   -   -   -   -"),
        ("reference.execute", "A! -  -  -  -   -   -   -   -   -"),
        ("model.view", "A  A  A  -  -   O   A   A   A   -"),
        ("model.case.view", "A  A  A  -  -   O   -   -   -   -"),
        ("model.apply", "-  -  -  -  -   O   -   -   -   -"),
        ("model.case", "-  A  -  -  -   -   -   -   -   -"),
        ("model.return", "A! A  -  -  -   -   -   -   -   -"),
        ("model.certify", "A! -  -  -  -   -   -   -   -   -"),
    ),
    "register units": (
        ("unit.register", "-  -  -  -  -   -   O   O   O   O"),
        ("unit.supply", "-  -  -  -  -   L   O   O   O   O"),
        ("unit.read", "A  A  A  -  -   L   O   J   O   O"),
        ("unit.condition", "-  -  -  -  -   -   O   O   O   -"),
        ("unit.correct", "-  -  -  -  -   -   O   O   O   -"),
        ("unit.correct.decide", "-  -  -  -  -   -   O!  O!  O!  -"),
        ("outlet.see", "A  A  A  -  -   -   O   J   O   O"),
        ("outlet.keep", "-  -  -  -  -   -   O   O   O   O"),
        ("unit.key.propose", "-  -  -  -  -   L!  O!  O!  O!  O"),
        ("unit.key.decide", "-  -  -  -  -   -   O!  O!  O!  -"),
    ),
    "personalisation request": (
        ("personalisation.draft", "-  -  -  -  -   L   O   O   Op  L"),
        ("personalisation.submit", "-  -  -  -  -   L   O   O   O   -"),
        ("personalisation.view", "A  A  A  -  -   L   O   J   L   L"),
        ("personalisation.verify", "-  A  -  -  -   -   -   -   -   -"),
        ("personalisation.return", "A! A  -  -  -   -   -   -   -   -"),
        ("personalisation.approve", "A! -  -  -  -   -   -   -   -   -"),
        ("personalisation.close", "A! A  -  -  -   L   O   O   -   -"),
    ),
    "personalise, record results": (
        ("personalise", "-  A  -  -  -   -   -   -   -   -"),
        ("blank.see", "A  A  A  -  -   -   -   -   -   -"),
        ("blank.record", "-  A  -  -  -   -   -   -   -   -"),
    ),
    "issue or cancel BAST / receive or refuse it": (
        ("handover.view", "A  A  A  -  -   L   O   J   O   -"),
        ("handover.issue", "-  A  -  -  -   L   O   O   O   -"),
        ("handover.receive", "-  A  -  -  -   L   O   O   O   -"),
    ),
    "activation request": (
        ("activation_request.draft", "-  -  -  -  -   -   O   O   O   O"),
        ("activation_request.submit", "-  -  -  -  -   -   O   O   O   -"),
        ("activation_request.view", "A  A  A  -  -   -   O   J   O   O"),
        ("activation_request.verify", "-  A  -  -  -   -   -   -   -   -"),
        ("activation_request.return", "A! A  -  -  -   -   -   -   -   -"),
        ("activation_request.approve", "A! -  -  -  -   -   -   -   -   -"),
    ),
    "see tokens exist / reveal in clear": (
        ("token.see", "A  A  A  -  -   -   O   O   O   O"),
        ("token.reveal", "-  -  -  -  -   -   O!  O!  O!  -"),
    ),
    "activate": (("activate", "-  -  -  -  -   -   O!  O!  O!  O"),),
    "conversation: read / write": (
        ("conversation.read", "A  A  A  -  -   O   O   O   O   -"),
        ("conversation.write", "A  A  -  -  -   O   O   O   O   -"),
    ),
    "take work, give it to a colleague": (("work.assign", "A  A  -  -  -   -   -   -   -   -"),),
    "work by file, whatever it is that one may do": (
        ("job.see", "-  A  -  -  -   O   O   O   O   O"),
        ("job.cancel", "-  A  -  -  -   O   O   O   O   -"),
        ("chore.see", "-  A  A  -  -   -   -   -   -   -"),
        ("chore.run", "-  A  -  -  -   -   -   -   -   -"),
        ("restore.see", "A  A  A  -  -   -   -   -   -   -"),
        ("restore.decide", "A! A! -  -  -   -   -   -   -   -"),
    ),
    "manifest: metadata / body": (
        ("manifest.view", "A  A  A  -  -   -   O   O   O   O"),
        ("manifest.body", "-  -  -  -  -   -   O!  O!  O!  O"),
    ),
    "suspend, revoke, sanction": (
        ("manifest.propose", "-  A  -  -  -   -   -   J   -   -"),
        ("manifest.revoke", "A! A  -  -  -   -   -   -   -   -"),
    ),
    "report card damaged, locked, lost": (
        ("card.view", "A  A  A  -  -   L   O   J   O   O"),
        ("card.report", "-  A  -  -  -   L   O   O   O   O"),
        ("card.report.decide", "-  A! -  -  -   O!  O!  O!  O!  -"),
    ),
    "destruction: propose / approve / record / verify": (
        ("destruction.view", "A  A  A  -  -   O   O   J   O   -"),
        ("destruction.propose", "-  A  -  -  -   O   O   O   O   -"),
        ("destruction.approve", "A! -  -  -  -   -   -   -   -   -"),
        ("destruction.record", "-  O! -  -  -   O!  O!  O!  O!  -"),
        ("destruction.verify", "-  A  -  -  -   -   -   -   -   -"),
    ),
    "review of a place": (
        ("place.review", "-  A  -  -  -   -   -   -   -   -"),
        ("place.see", "-  A  A  -  -   -   -   -   -   -"),
        ("place.suspension.see", "A  A  A  -  -   -   O   J   O   -"),
        ("place.suspension.decide", "A! -  -  -  -   -   -   -   -   -"),
    ),
    "audit: read / verify, export": (
        ("failure.see", "-  A  A  A  -   -   -   -   -   -"),
        ("audit.read", "O  O  A  -  -   O   O   J   O   -"),
        ("audit.verify", "-  -  A! -  -   -   -   -   -   -"),
        ("audit.export", "-  -  A! -  -   O   O   J   O   -"),
    ),
    "accept the clock (two persons, on the server)": (("clock.accept", "A! A! -  A! -   -   -   -   -   -"),),
    "hold a key ceremony, act on keys (two persons, on the server)": (("keys.hold", "-  -  -  -  A!  -   -   -   -   -"),),
}

TABLE: dict[str, dict[str, str]] = {
    operation: dict(zip(COLUMNS, cells.split(), strict=True)) for rows in _ROWS.values() for operation, cells in rows
}
