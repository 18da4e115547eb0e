"""Convert notices for the page and for the API: what they say is said here, in the language of whoever reads."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext

from sifilma.notifications.models import Notice
from sifilma.reports import message_texts
from sifilma.reports.bell.schemas import NoticeOut
from sifilma.reports.task_labels import TASKS, Task
from sifilma.resources import Site


@dataclass(frozen=True)
class NoticeLine:
    """A notice in a list. `task` is None for one that an earlier version wrote and this one has no words for."""

    notice: Notice
    task: Task | None

    @property
    def words(self) -> str:
        """Return what the notice says: the words that the e-mail has as its subject."""
        return str(self.task.words) if self.task else gettext("A notice of an earlier version")

    @property
    def title(self) -> str:
        """Return the title of its object as people read it."""
        return self.task.title(self.notice.title) if self.task and self.notice.title else ""


def line(notice: Notice) -> NoticeLine:
    """Return a notice for a list."""
    return NoticeLine(notice, TASKS.get(notice.task))


def notice_out(site: Site, notice: Notice) -> NoticeOut:
    """Return a notice for the API."""
    shown = line(notice)
    return NoticeOut(
        id=notice.id,
        at=notice.at,
        task=notice.task,
        words=shown.words,
        title=shown.title,
        object_id=notice.object_id,
        url=message_texts.address(site, shown.task, notice.object_id, notice.title) if shown.task else f"{site.url}/",
        seen_at=notice.seen_at,
    )
