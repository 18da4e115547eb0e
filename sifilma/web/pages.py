"""Filters and functions of every template (icons, states, moments, numbers, URLs of assets), and the redirect after a form."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Flask, current_app, g, redirect, request, url_for
from flask_babel import get_timezone, gettext, ngettext, to_user_timezone
from flask_babel import lazy_gettext as _
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kernel.errors import Unavailable
from sifilma.kernel.sealing import open_sealed, seal
from sifilma.kernel.text import packed, say, unpacked
from sifilma.resources import resources
from sifilma.web import assets, languages, states
from sifilma.web.field_names import name_of
from sifilma.web.requests import context
from sifilma.web.texts import translate

DONE = {
    "saved": _("Saved."),
    "confirmed": _("Your decisions are recorded."),
    "drafted": _("Saved as a draft. Look at it once more, then submit it."),
    "submitted": _("Submitted. Nothing of it changes from here on, unless it is returned to you."),
    "verified": _("Marked as verified."),
    "returned": _("Returned to be repaired."),
    "approved": _("Your approval is recorded."),
    "rejected": _("Rejected."),
    "cancelled": _("Cancelled."),
    "paused": _("Paused. It goes on when somebody lets it."),
    "resumed": _("It goes on."),
    "applied": _("Your application is on its way to the directorate."),
    "admitted": _("The model may be tested."),
    "certificate": _("The certificate is recorded: an approver, another person, certifies it."),
    "certified": _("Certified."),
    "told": _("Recorded: the Minister was told."),
    "executed": _("Executed: all of it is registered."),
    "keys": _("The public keys are registered: manifests are encrypted to them from now on."),
    "taken_back": _("Withdrawn."),
    "registered": _("Registered."),
    "supplied": _("The PCID is registered."),
    "unit_broken": _("The unit is marked as broken: no card is activated in it."),
    "unit_working": _("The unit works again."),
    "unit_retired": _("The unit is retired."),
    "user_limited": _("The outlets of the account are changed. The person signs in anew."),
    "outlet_closed": _("The outlet is closed: it takes no unit and no activation."),
    "outlet_open": _("The outlet is open again."),
    "unit_moved": _("It is recorded where the unit stands."),
    "unit_corrected": _("The unit is corrected."),
    "reported": _("Your report is recorded."),
    "report_confirmed": _("Confirmed: the card is out of use."),
    "report_withdrawn": _("Withdrawn: the card is as it was before."),
    "issued": _("Issued."),
    "received": _("Received: your organisation holds the cards now."),
    "found": _("Recorded: the cards are back with your organisation."),
    "sent_again": _("Sent again: a new BAST is issued for the cards."),
    "lost": _("Recorded: the cards are lost."),
    "refused": _("Refused: the cards are back where they came from."),
    "recorded": _("Recorded."),
    "reviewed": _("Your review is recorded."),
    "activated": _("Activated: the manifest is ready to be downloaded."),
    "cards_taken_in": _(
        "The cards are being activated. You can leave this page: the work goes on, and you find it again under Work by file."
    ),
    "taken_in": _("Your file is taken in. You can leave this page: the work goes on, and you find it again under Work by file."),
    "proposed": _("Proposed: another person decides."),
    "withdrawn": _("Revoked: the manifest is taken back, and its status says so from now on."),
    "enrolled": _("Your account is active, and you are signed in. From now on you sign in with the user name %(username)s."),
    "help_asked": _("Asked. If there is such an account, whoever can help finds it on their home page now. Nothing of it is changed."),
    "ended": _("The session was ended."),
    "password": _("Your password is changed. Your other sessions have ended."),
    "disabled": _("The account is disabled. Its sessions have ended."),
    "enabled": _("The account is enabled again."),
    "roles": _("The roles are changed. The person signs in anew."),
    "decided": _("The proposal is decided."),
    "blanks_issued": _("The blank SAMs are issued to personalisation."),
    "blanks_returned": _("The blank SAMs are back in the store."),
    "lifted": _("Lifted: card and manifest are as they were before."),
    "revoked": _("Revoked: it opens nothing any more."),
    "language": _("Language changed."),
    "file_asked": _("The file is being written for you."),
    "queued": _("The message is queued again."),
    "sent": _("A code is on its way to you."),
    "contact": _("Your addresses are kept. The former ones are told."),
    "objected": _("The report is ended: your second factor stays."),
    "consent_refused": _("Refused: the account is not yours, and nobody can take it up as you."),
    "message": _("Your message is sent."),
    "work_taken": _("You have it now."),
    "work_given": _("Assigned: your colleague is told."),
    "work_put_back": _("Put back: nobody has it now."),
    "notices_seen": _("Marked as read."),
    "preferences": _("Your preferences are kept."),
    "sent_before": _("This form was sent already. Nothing was done a second time: this is what it led to."),
}
LONGEST_WAY = 1000  # the longest URL to which people are led back
DONE_MANY = {
    "registered": lambda many: ngettext("%(num)s unit is registered.", "%(num)s units are registered.", many),
}
"""Texts of what was done to several things at once, by their number."""
MANY = "jumlah"  # the name of that number in a URL
ONWARD, BEFORE = "berikutnya", "sesudah"
"""The box of a form that asks for the next that waits, and the name in a URL of the thing that was decided before it."""
WARNED, LONGEST = "catatan", 3000  # the name of the warnings in a URL, and their characters there
ZONES = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}


def register(app: Flask) -> None:
    """Attach the filters and functions to the templates."""
    app.jinja_env.filters.update(
        moment=moment,
        day=day,
        month=month,
        number=number,
        since=since,
        until=until,
        kind=states.kind,
        field_name=_field_name,
        translated=translate,
    )
    app.jinja_env.globals.update(
        icon=assets.icon,
        badge=lambda name: _badge(name, languages.current()),
        npm_url=assets.npm_url,
        static_url=assets.static_url,
        state_of=states.state,
        named_states=states.named,
        csrf_token=lambda: g.get("csrf", ""),
        done_text=done_text,
        warnings=warnings,
        page_url=page_url,
        page_address=lambda: resources().settings.public_url + page_url(),
        page_moment=lambda: moment(_now()),
        link_to=link_to,
        now=_now,
        banner=lambda: resources().settings.banner,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


@lru_cache(maxsize=1024)
def _badge(name: str, _language: str) -> Markup:
    """Return how a state is shown in a line. A list has a hundred of them."""
    shown = states.state(name)
    return Markup('<span class="badge-state {}">{}{}</span>').format(shown.tone, assets.icon(shown.icon), str(shown.name))


def _field_name(field: str) -> str:
    return name_of(field) or field


def seen(endpoint: str, done: str = "", **values: Any) -> AnyResponse:
    """Redirect to the page of what was done, so that reloading it repeats nothing. `done` names a text of DONE.

    The warnings of the act go along in the URL, sealed: nobody can make a page say what they like.
    """
    told: dict[str, Any] = {"selesai": done} if done else {}
    if warnings := context().warnings:
        told[WARNED] = _packed(warnings)
    return redirect(url_for(endpoint, **values, **told), 303)  # 303 makes the browser use GET


def onward(endpoint: str, done: str, **values: Any) -> AnyResponse:
    """Redirect to what waits next in the same queue if the form asks for it (`ONWARD`), else as `seen`.

    That page says what was done, and leads back to the thing that it was done to.
    """
    find = current_app.extensions.get(ONWARD)
    found = find(endpoint, *values.values()) if find is not None and request.form.get(ONWARD) else None
    return seen(found[0], done, **found[1], **{BEFORE: next(iter(values.values()))}) if found else seen(endpoint, done, **values)


def link_to(endpoint: str, **values: Any) -> str:
    """Return the URL of a page, or an empty text where no such page exists."""
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else ""


def done_text() -> str:
    """Return the text for what was just done, as named in the URL. Unknown names give an empty text: anybody can write a URL."""
    done, many = request.args.get("selesai", ""), request.args.get(MANY, "")
    if done in DONE_MANY and re.fullmatch(r"[1-9]\d{0,5}", many):
        return str(DONE_MANY[done](int(many)))
    actor = g.get("actor")
    return str(DONE.get(done, "")).replace("%(username)s", actor.username if actor is not None else "")


def warnings() -> list[str]:
    """Return the warnings of what was just done, in the language of the page. What this installation did not write itself is none."""
    told = request.args.get(WARNED, "")
    try:
        opened = open_sealed(resources().settings, WARNED, "", urlsafe_b64decode(told)) if told else b"[]"
    except (ValueError, Unavailable):
        return []
    return [translate(unpacked(warning)) for warning in json.loads(opened)]


def _packed(sentences: list[str]) -> str:
    """Return sentences for a URL, as many as it holds. The last one says how many are left out."""
    kept: list[str] = []
    for sentence in sentences:
        left = say("There are %(count)s more warnings.", count=len(sentences) - len(kept))
        sealed = _sealed([*kept, sentence])
        if len(sealed) > LONGEST:
            return _sealed([*kept, left])
        kept.append(sentence)
    return _sealed(kept)


def _sealed(sentences: list[str]) -> str:
    return urlsafe_b64encode(seal(resources().settings, WARNED, "", json.dumps(list(map(packed, sentences))).encode())).decode()


def page_url(**changes: str | None) -> str:
    """Return this page's URL with parts of its query changed. None removes a part."""
    # The note about what was done belongs to one visit of the page: links do not carry it on.
    query = {name: value for name, value in request.args.items() if value and name not in ("selesai", MANY, WARNED, BEFORE)} | changes
    kept = urlencode({name: value for name, value in query.items() if value})
    return f"{request.path}?{kept}" if kept else request.path


def without_notes(address: str) -> str:
    """Return an address of this site without the note about what was done."""
    path, _, query = address.partition("?")
    kept = urlencode([(name, value) for name, value in parse_qsl(query) if name not in ("selesai", MANY, WARNED)])
    return f"{path}?{kept}" if kept else path


def own_address(address: str) -> str:
    """Return a path of this site that can be shown: `address`, else the nearest page above it, else `/`.

    An address on another site becomes `/` (no open redirect). The address of a form's POST has no page of its own, but one above it.
    """
    if len(address) > LONGEST_WAY or not re.fullmatch(r"/(?![/\\])[^\s\\]*", address):
        return "/"
    path = address.partition("?")[0]
    while path not in ("", "/") and not _is_page(path):
        path = address = path.rpartition("/")[0]
    return address or "/"


def _is_page(path: str) -> bool:
    try:
        current_app.url_map.bind("").match(path, method="GET")
    except HTTPException:
        return False
    return True


def moment(value: datetime | None) -> str:
    """Return `24 Nov 2026 08.12 WIB`, in the reader's time zone."""
    if not value:
        return "–"
    local = to_user_timezone(value)
    return f"{languages.day(local.date(), 'd MMM y')} {local:%H.%M} {ZONES.get(str(get_timezone()), '')}".strip()


def day(value: date | None) -> str:
    """Return `24 Nov 2026`."""
    return languages.day(value, "d MMM y") if value else "–"


def month(value: date) -> str:
    """Return `Nov 2026`."""
    return languages.day(value, "MMM y")


def number(value: float | None) -> str:
    """Return `1.250`, with the separators of the reader's language."""
    return languages.decimal(value) if value is not None else "–"


def since(value: datetime) -> str:
    """Return how long ago a moment was: `2 hari`, `3 jam`, `baru saja`."""
    return _span(max(_now() - value, timedelta())) or gettext("just now")


def until(value: datetime) -> str:
    """Return how much time is left: `12 hari`, or `lewat 2 hari` if the moment has passed."""
    left = value - _now()
    span = _span(abs(left)) or gettext("less than a minute")
    return span if left > timedelta() else gettext("%(span)s past", span=span)


def _span(span: timedelta) -> str:
    if span.days:
        return str(ngettext("%(num)s day", "%(num)s days", span.days))
    hours, minutes = span.seconds // 3600, span.seconds // 60
    if hours:
        return str(ngettext("%(num)s hour", "%(num)s hours", hours))
    return str(ngettext("%(num)s minute", "%(num)s minutes", minutes)) if minutes else ""


def _now() -> datetime:
    return resources().clock.now()
