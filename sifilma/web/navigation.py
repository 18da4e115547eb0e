"""The side bar: the first page of each group, and the operation a user needs to see it."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _


@dataclass(frozen=True)
class Entry:
    """One line of the side bar. `section` is the first part of the URLs it stands for; its line is marked on these pages."""

    title: LazyString
    endpoint: str
    operation: str
    icon: str
    section: str


ENTRIES = (
    Entry(_("Home"), "home.show", "session.self", "speedometer2", ""),
    Entry(_("Units"), "unit_pages.index", "unit.read", "pc-display", "unit"),
    Entry(_("Outlets"), "outlet_pages.index", "outlet.see", "shop", "gerai"),
    Entry(_("Personalisation"), "personalisation_pages.index", "personalisation.view", "cpu", "personalisasi"),
    Entry(_("Handovers (BAST)"), "handover_pages.index", "handover.view", "truck", "bast"),
    Entry(_("Blank SAMs"), "blank_pages.index", "blank.see", "box-seam", "sam-kosong"),
    Entry(_("Activation"), "activation_pages.index", "activation_request.view", "broadcast", "aktivasi"),
    Entry(_("Cards"), "card_pages.index", "card.view", "sd-card", "kartu"),
    Entry(_("Map"), "map_pages.index", "card.view", "map", "peta"),
    Entry(_("Manifests"), "manifest_pages.index", "manifest.view", "file-earmark-lock", "manifest"),
    Entry(_("Place reviews"), "review_pages.index", "place.see", "geo-alt", "tinjauan"),
    Entry(_("Suspensions"), "suspension_pages.index", "place.suspension.see", "pause-circle", "pembekuan"),
    Entry(_("Destruction"), "destruction_pages.index", "destruction.view", "trash", "pemusnahan"),
    Entry(_("Work by file"), "job_pages.index", "job.see", "list-check", "pekerjaan"),
    Entry(_("My files"), "own_file_pages.index", "session.self", "file-earmark-arrow-down", "berkas"),
    Entry(_("Models"), "model_pages.index", "model.view", "patch-check", "model"),
    Entry(_("Organisations"), "organisation_pages.index", "reference.read", "building", "organisasi"),
    Entry(_("People"), "user_pages.index", "users.see", "people", "pengguna"),
    Entry(_("Heads"), "succession_pages.vacancies", "heads.see", "person-gear", "pergantian"),
    Entry(_("Access review"), "access_pages.index", "access.see", "shield-check", "akses"),
    Entry(_("Messages"), "message_pages.index", "messages.see", "envelope", "pesan"),
    Entry(_("API keys"), "api_key_pages.index", "api_keys.see", "key", "kunci-api"),
    Entry(_("Audit trail"), "audit_pages.index", "audit.read", "clock-history", "jejak"),
    Entry(_("Failed requests"), "failure_pages.index", "failure.see", "bug", "kejadian"),
    Entry(_("Tasks of the system"), "dispatch_pages.index", "chore.see", "gear", "tugas-sistem"),
    Entry(_("After a restore"), "reconciliation_pages.index", "restore.see", "arrow-counterclockwise", "pemulihan"),
    Entry(_("Help"), "public_pages.own_help", "session.self", "question-circle", "bantuan"),
)
VISITORS = (
    (_("Home"), "public_pages.home"),
    (_("About"), "public_pages.about"),
    (_("Business flow"), "public_pages.flow"),
    (_("Help"), "public_pages.help_page"),
    (_("Contact"), "public_pages.contact"),
    (_("Service status"), "public_pages.status"),
)
"""The top bar's links for a visitor who is not signed in."""
