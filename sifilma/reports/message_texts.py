"""The texts of reminders and notices, in the reader's language and time zone, with links. They hold no secrets and name nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from flask_babel import force_locale, gettext, ngettext

from sifilma.documents.indonesian import zone_of
from sifilma.identity.models import User
from sifilma.notifications.contract import Channel
from sifilma.reports.reminders_due import Due
from sifilma.reports.task_labels import TASKS, Task
from sifilma.resources import Site
from sifilma.web.pages import ZONES

SHOWN = 20
NAMELESS = frozenset({
    "accounts.profile", "user_pages.show", "user_pages.proposals", "manifest_pages.show", "manifest_pages.index", "review_pages.show",
    "card_report_pages.show", "suspension_pages.show",
})  # fmt: skip
"""Pages of objects whose titles are left out of messages, since they are a person's name, a role or a card's UID."""


@dataclass(frozen=True)
class Reader:
    """The language and the time zone in which a text is written."""

    language: str
    zone: ZoneInfo


def reader(user: User) -> Reader:
    """Return the language and the time zone the user chose; without one, the time zone of the organisation's province."""
    return Reader(user.language, ZoneInfo(user.time_zone) if user.time_zone else zone_of(user.organisation.region_code))


def digest(site: Site, to: Reader, channel: Channel, news: Sequence[Due]) -> tuple[str, str]:
    """Return subject and text of a reminder. An SMS says how many things there are and where; an e-mail lists them."""
    with force_locale(to.language):
        subject = ngettext("SI-FILMA: %(num)s thing needs you", "SI-FILMA: %(num)s things need you", len(news))
        if channel is Channel.SMS:
            return subject, gettext("%(subject)s. See %(url)s", subject=subject, url=f"{site.url}/")
        return subject, "\n".join(_mail(site, to, news))


def _mail(site: Site, to: Reader, news: Sequence[Due]) -> list[str]:
    waiting = [due for due in news if not due.lapses]
    lapsing = [due for due in news if due.lapses]
    lines: list[str] = []
    for heading, found in ((gettext("Waiting for you:"), waiting), (gettext("Soon to lapse:"), lapsing)):
        if found:
            lines += [heading, "", *(text for due in found[:SHOWN] for text in _thing(site, to, due)), ""]
        if len(found) > SHOWN:
            more = len(found) - SHOWN
            lines += [ngettext("and %(num)s more: %(url)s", "and %(num)s more: %(url)s", more, url=f"{site.url}/"), ""]
    lines.append(gettext("You are told of each of these once, at most once a day. Choose how: %(url)s", url=f"{site.url}/profil"))
    return lines


def notice(site: Site, to: Reader, task: str, title: str, key: UUID) -> tuple[str, str]:
    """Return subject and text of a notice about one decision."""
    with force_locale(to.language):
        words = str(TASKS[task].words)
        return f"SI-FILMA: {words}", "\n".join(filter(None, (words, title, address(site, TASKS[task], key))))


def shown_title(name: str, title: str) -> str:
    """Return the title of a thing as a notice keeps it: empty where it would name a person, a role or a card."""
    return "" if name in TASKS and TASKS[name].endpoint in NAMELESS else title


def _thing(site: Site, to: Reader, due: Due) -> tuple[str, str]:
    """Return one thing as two lines: what and since or until when, then the URL."""
    task = TASKS[due.task]
    parts = [str(task.words)]
    if due.title and task.endpoint not in NAMELESS:
        parts.append(task.title(due.title))
    if due.count:
        parts.append(ngettext("%(num)s card", "%(num)s cards", due.count))
    if due.late:
        parts.append(ngettext("late by %(num)s working day", "late by %(num)s working days", due.late))
    when = moment(due.at, to)
    parts += [due.organisation, gettext("until %(when)s", when=when) if due.lapses else gettext("since %(when)s", when=when)]
    return f"- {' · '.join(parts)}", f"  {address(site, task, due.key, due.title)}"


def moment(at: datetime, to: Reader) -> str:
    """Return a moment in the reader's zone, such as `24 Nov 2026 08.12 WIB`."""
    return f"{format_datetime(at.astimezone(to.zone), 'd MMM y HH.mm', locale=to.language)} {ZONES[str(to.zone)]}"


def address(site: Site, task: Task, key: UUID, title: str = "") -> str:
    """Return the URL of the page about a thing."""
    return site.page(task.endpoint, **task.values(key, title))
