"""The tasks on the home page, in reminders and in notices: their words, icons and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from sifilma.kernel.timekeeping.targets import ACTIVATION_APPROVAL, APPROVAL, DESTRUCTION, HANDOVER, NAMES, PERSONALISATION
from sifilma.web.states import state


@dataclass(frozen=True)
class Task:
    """A kind of task, and the page on which it is done.

    `argument` is the name of the id in the endpoint's URL; it is empty for a list. `more` is what the form has chosen besides, `anchor` the
    part of the page. A task of cards in a state (`of_state`) has that state as its title, and the id in its URL is followed by it.
    `target` is the service target in which it should be done, if there is one.
    """

    words: LazyString
    icon: str
    endpoint: str
    argument: str = "request_id"
    more: Mapping[str, str] = field(default_factory=dict)
    anchor: str = ""
    of_state: bool = False
    target: str = ""

    def values(self, key: UUID | None, title: str = "") -> dict[str, Any]:
        """Return the values of the endpoint's URL for the object with this id."""
        named = f"{key}.{title}" if self.of_state else str(key)
        return ({self.argument: named} if self.argument else {}) | dict(self.more)

    def title(self, title: str) -> str:
        """Return the title of a line as people read it."""
        return str(state(title).name) if self.of_state else title


_PERSONALISATION, _ACTIVATION = "personalisation_pages.show", "activation_pages.show"
_HANDOVER = ("handover_pages.show", "handover_id")
_DESTRUCTION = ("destruction_pages.show", "destruction_id")
_MANIFEST = ("manifest_pages.show", "manifest_id")
_USER = ("user_pages.show", "user_id")
_PROPOSALS = ("user_pages.proposals", "")
_REVIEW = ("access_pages.review", "review_id")
_VACANCIES = ("succession_pages.vacancies", "")
_ASKED = ("accounts.requests_about_me", "")
_REPORT = ("card_report_pages.show", "report_id")
_PLACE = ("suspension_pages.show", "suspension_id")
_KEYS = ("unit_key_pages.show", "change_id")
_UNIT = ("unit_pages.show", "unit_id")
_CORRECTION = ("upkeep_pages.correction", "correction_id")
_CASE = ("model_pages.case", "case_id")
_CHANGE = ("reference_pages.show", "change_id")
TASKS = {
    "admit_model": Task(_("Decide on an application for a model"), "send", *_CASE),
    "record_certificate": Task(_("Record the certificate of a model"), "file-earmark-check", *_CASE),
    "certify_model": Task(_("Certify a model"), "patch-check", *_CASE),
    "report_certificate": Task(_("Report a certificate to the Minister"), "check-all", *_CASE),
    "model_case_open": Task(_("Application for a model is under way"), "hourglass-split", *_CASE),
    "decide_reference": Task(_("Decide on a change of reference data"), "clipboard-check", *_CHANGE),
    "reference_proposed": Task(_("Change of reference data awaits an approver"), "hourglass-split", *_CHANGE),
    "approve_personalisation": Task(
        _("Decide on a personalisation request"), "clipboard-check", _PERSONALISATION, anchor="decision", target=APPROVAL
    ),
    "approve_activation": Task(
        _("Decide on an activation request"), "clipboard-check", _ACTIVATION, anchor="decision", target=ACTIVATION_APPROVAL
    ),
    "approve_destruction": Task(_("Decide on a destruction"), "clipboard-check", *_DESTRUCTION, anchor="decision", target=DESTRUCTION),
    "decide_revocation": Task(_("Decide on revoking a manifest"), "clipboard-check", *_MANIFEST),
    "answer_consent": Task(_("A further account is said to be yours: accept or refuse it"), "person-plus", *_ASKED),
    "object_to_report": Task(_("Your second factor was reported as lost: object if it is not"), "exclamation-triangle", *_ASKED),
    "help_to_sign_in": Task(_("Somebody asks for help to sign in: call them before you report anything"), "telephone", *_USER),
    "give_account": Task(_("Decide on an account for a known person"), "person-check", *_PROPOSALS),
    "decide_user_change": Task(_("Decide on the change of an account"), "person-check", *_PROPOSALS),
    "agree_succession": Task(
        _("Somebody is proposed to follow you as head: look, and agree"), "person-gear", "succession_pages.show", "succession_id"
    ),
    "made_head": Task(_("You are head by decree: see what has passed on to you"), "person-gear", "succession_pages.show", "succession_id"),
    "office_headless": Task(_("Organisations without a living head"), "person-x", *_VACANCIES),
    "office_headless_seen": Task(_("Offices without a living head await the user administrators"), "person-x", *_VACANCIES),
    "verify_personalisation": Task(_("Verify a personalisation request"), "search", _PERSONALISATION, anchor="decision", target=APPROVAL),
    "verify_activation": Task(_("Verify an activation request"), "search", _ACTIVATION, anchor="decision", target=ACTIVATION_APPROVAL),
    "record_results": Task(_("Record results of personalisation"), "cpu", "result_pages.new", target=PERSONALISATION),
    "review_place": Task(_("Review a place"), "geo-alt", "review_pages.show", "activation_id"),
    "mend_personalisation": Task(_("Repair a returned personalisation request"), "arrow-return-left", "personalisation_pages.change"),
    "submit_personalisation": Task(_("Submit the draft of a personalisation request"), "pencil", _PERSONALISATION, anchor="send"),
    "mend_activation": Task(_("Repair a returned activation request"), "arrow-return-left", "activation_pages.edit_form"),
    "submit_activation": Task(_("Submit the draft of an activation request"), "pencil", _ACTIVATION, anchor="send"),
    "receive_handover": Task(_("Receive cards (BAST)"), "box-arrow-in-down", *_HANDOVER, anchor="receive", target=HANDOVER),
    "issue_handover": Task(_("Hand cards over (issue a BAST)"), "truck", "handover_pages.new", "permohonan", target=HANDOVER),
    "settle_missing": Task(_("Missing cards of a BAST: found, sent again, or lost"), "question-circle", *_HANDOVER, anchor="missing"),
    "handover_recorded": Task(_("A BAST of yours was received with a discrepancy"), "question-circle", *_HANDOVER),
    "handover_arrived": Task(_("Missing cards of a BAST of yours came after all"), "box-arrow-in-down", *_HANDOVER),
    "handover_found": Task(_("Missing cards of a BAST were found at the issuer"), "check-circle", *_HANDOVER),
    "handover_sent_again": Task(_("Missing cards of a BAST are sent again"), "send", *_HANDOVER),
    "handover_lost": Task(_("Missing cards of a BAST were declared lost"), "question-circle", *_HANDOVER),
    "request_activation": Task(_("Ask for the activation of received cards"), "envelope-paper", "activation_pages.new", "bast"),
    "reissue_token": Task(_("Issue tokens anew: their cards can still be activated"), "arrow-repeat", _ACTIVATION, anchor="cards"),
    "propose_destruction": Task(
        _("Propose the destruction of broken cards"), "trash", "destruction_pages.new", "lot", {"semua": "1"}, of_state=True
    ),
    "renew_manifests": Task(
        _("Renew manifests that end soon"), "arrow-repeat", "activation_pages.new", "", {"jenis": "renewal", "semua": "1"}
    ),
    "activate": Task(_("Activate cards: tokens are ready"), "broadcast", "together_pages.form", "permohonan"),
    "record_destruction": Task(_("Carry out and record a destruction"), "trash", "destruction_pages.write", "destruction_id"),
    "verify_destruction": Task(_("Verify a destruction"), "patch-check", *_DESTRUCTION, anchor="verify", target=DESTRUCTION),
    "personalisation_submitted": Task(_("Personalisation request awaits approval"), "hourglass-split", _PERSONALISATION, target=APPROVAL),
    "personalisation_running": Task(_("Cards are being personalised"), "cpu", _PERSONALISATION, target=PERSONALISATION),
    "personalisation_second": Task(
        _("Personalisation request awaits the second approver"), "hourglass-split", _PERSONALISATION, target=APPROVAL
    ),
    "activation_submitted": Task(_("Activation request awaits approval"), "hourglass-split", _ACTIVATION, target=ACTIVATION_APPROVAL),
    "activation_second": Task(
        _("Activation request awaits the second approver"), "hourglass-split", _ACTIVATION, target=ACTIVATION_APPROVAL
    ),
    "bast_awaited": Task(_("Cards are ready, their BAST is not issued yet"), "truck", _PERSONALISATION, target=HANDOVER),
    "handover_issued": Task(_("Handover (BAST) awaits its receiver"), "truck", *_HANDOVER, target=HANDOVER),
    "destruction_proposed": Task(_("Destruction awaits approval"), "hourglass-split", *_DESTRUCTION, target=DESTRUCTION),
    "destruction_executed": Task(_("Destruction awaits verification"), "hourglass-split", *_DESTRUCTION, target=DESTRUCTION),
    "revocation_proposed": Task(_("Revocation of a manifest awaits a decision"), "hourglass-split", *_MANIFEST),
    "user_change_proposed": Task(_("Change of an account awaits another person"), "hourglass-split", *_PROPOSALS),
    "invitation_open": Task(_("Invitation not taken up yet"), "envelope", *_USER),
    "own_file_ready": Task(_("A file that you asked for is ready"), "file-earmark-check", "own_file_pages.show", "file_id"),
    "confirm_people": Task(_("Confirm the accounts of your people"), "person-check", *_REVIEW),
    "review_late": Task(_("Confirmation of accounts is late"), "hourglass-split", *_REVIEW),
    "unused_needed": Task(_("Unused account that is the last of its kind"), "clock-history", *_USER),
    "account_unused": Task(_("Your account is unused and will be disabled: sign in"), "clock-history", "home.show", ""),
    "account_unconfirmed": Task(_("Nobody has confirmed your account yet: it will be disabled"), "person-check", "accounts.profile", ""),
    "role_ends": Task(_("A role of yours ends"), "person-gear", "accounts.profile", ""),
    "token_lapses": Task(_("Unused tokens lapse"), "key", _ACTIVATION),
    "personalisation_request_approved": Task(_("Your personalisation request is approved"), "check-circle", _PERSONALISATION),
    "personalisation_request_returned": Task(
        _("Your personalisation request came back to be repaired"), "arrow-return-left", _PERSONALISATION
    ),
    "personalisation_request_rejected": Task(_("Your personalisation request is rejected"), "x-circle", _PERSONALISATION),
    "personalisation_request_closed": Task(_("Your personalisation request is closed with a remainder"), "check-all", _PERSONALISATION),
    "decide_closing": Task(_("Decide on closing a request with a remainder"), "clipboard-check", _PERSONALISATION, anchor="close"),
    "closing_proposed": Task(_("Closing of a request awaits an approver"), "hourglass-split", _PERSONALISATION),
    "blanks_low": Task(_("Few blank SAMs are left"), "box-seam", "blank_pages.index", ""),
    "activation_request_approved": Task(_("Your activation request is approved"), "check-circle", _ACTIVATION),
    "activation_request_returned": Task(_("Your activation request came back to be repaired"), "arrow-return-left", _ACTIVATION),
    "activation_request_rejected": Task(_("Your activation request is rejected"), "x-circle", _ACTIVATION),
    "destruction_approved": Task(_("The destruction you proposed is approved"), "check-circle", *_DESTRUCTION),
    "destruction_rejected": Task(_("The destruction you proposed is rejected"), "x-circle", *_DESTRUCTION),
    "personalisation_request_message": Task(
        _("New message about a personalisation request"), "chat-left-text", _PERSONALISATION, anchor="percakapan"
    ),
    "activation_request_message": Task(_("New message about an activation request"), "chat-left-text", _ACTIVATION, anchor="percakapan"),
    "handover_message": Task(_("New message about a BAST"), "chat-left-text", *_HANDOVER, anchor="percakapan"),
    "destruction_message": Task(_("New message about a destruction"), "chat-left-text", *_DESTRUCTION, anchor="percakapan"),
    **{
        f"{kind}_{what}": Task(words, icon, endpoint, argument)
        for kind, (endpoint, argument) in {
            "personalisation_request": (_PERSONALISATION, "request_id"),
            "activation_request": (_ACTIVATION, "request_id"),
            "destruction": _DESTRUCTION,
            "manifest": _MANIFEST,
            "reference_change": _CHANGE,
            "model_case": _CASE,
            "activation": ("review_pages.show", "activation_id"),
        }.items()
        for what, words, icon in (
            ("assigned", _("Work was assigned to you"), "person-check"),
            ("passed_on", _("Work that you had was passed on"), "person-dash"),
        )
    },
    "manifests_carried": Task(
        _("Manifests of yours were issued anew: fetch them for your machines"), "arrow-repeat", "carried_pages.index", ""
    ),
    "manifests_lapse": Task(_("Manifests expire"), "file-earmark-lock", "manifest_pages.index", ""),
    "decide_report": Task(_("Confirm or withdraw a program's report on a card"), "pause-circle", *_REPORT),
    "card_report_pending": Task(_("A program reported a card: it is suspended until a person decides"), "pause-circle", *_REPORT),
    "answer_place": Task(_("The place of a card was rejected: ask for its relocation"), "geo-alt", *_PLACE),
    "decide_place_suspension": Task(_("Decide whether a card is suspended for its place"), "clipboard-check", *_PLACE),
    "place_suspension_open": Task(_("Proposal to suspend a card awaits another person"), "hourglass-split", *_PLACE),
    "place_suspension_proposed": Task(_("A place was rejected: your card will be suspended unless you act"), "geo-alt", *_PLACE),
    "place_suspension_suspended": Task(_("Your card is suspended for its place"), "pause-circle", *_PLACE),
    "place_suspension_dropped": Task(_("Your card is not suspended: the proposal was dropped"), "check-circle", *_PLACE),
    "place_suspension_lifted": Task(_("The suspension of your card is lifted"), "check-circle", *_PLACE),
    "place_suspension_answered": Task(_("The place of your card is accepted: no suspension stands"), "check-circle", *_PLACE),
    "mend_unit": Task(_("A unit is broken: replace, repair or retire it"), "tools", *_UNIT, anchor="condition"),
    "supply_pcid": Task(_("Supply the PCID of units of your models"), "cpu", "unit_pages.index", "", {"pcid": "missing"}),
    "pcid_awaited": Task(_("Units await their PCID from the maker"), "hourglass-split", "unit_pages.index", "", {"pcid": "missing"}),
    "decide_correction": Task(_("Decide on the correction of a unit"), "pencil", *_CORRECTION),
    "correction_proposed": Task(_("Correction of a unit awaits another person"), "hourglass-split", *_CORRECTION),
    "decide_unit_keys": Task(_("Decide on public keys of units"), "key", *_KEYS),
    "unit_keys_proposed": Task(_("Public keys of units await another person"), "hourglass-split", *_KEYS),
    "api_key_ends": Task(_("API key expires: make a new one for its program"), "key", "api_key_pages.show", "key_id"),
    "agreement_ends": Task(_("Agreement (PKS) ends"), "file-text", "organisation_pages.show", "organisation_id"),
    "manifest_lapses": Task(_("Manifest expires"), "file-earmark-lock", *_MANIFEST),
}
TARGETED = {target: frozenset(name for name, task in TASKS.items() if task.target == target) for target in NAMES}
"""The tasks of each service target."""
