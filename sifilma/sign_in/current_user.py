"""Flask-Login's `current_user` for pages. The sessions themselves are in the database (`authentication`)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from flask import Flask, Request, g
from flask_login import LoginManager, UserMixin
from sqlalchemy import Select, Uuid, bindparam, select

from sifilma.identity.models import Organisation, Person, User
from sifilma.kernel.actor import Actor
from sifilma.kernel.statements.prepared import Prepared
from sifilma.notifications import bell
from sifilma.web.requests import context
from sifilma.web.states import kind


class SignedIn(UserMixin):  # type: ignore[misc]  # Flask-Login brings no types
    """The person behind a request. Their names are read from the database when a page first shows one."""

    def __init__(self, actor: Actor) -> None:
        self.id = str(actor.user_id)
        self.username = actor.username
        self.is_central = actor.is_central
        self._actor = actor

    @property
    def name(self) -> str:
        """Return the person's name."""
        return str(self._names[0])

    @property
    def organisation_name(self) -> str:
        """Return the organisation's name."""
        return str(self._names[1])

    @property
    def language(self) -> str:
        """Return the language stored for the account."""
        return str(self._names[2])

    @property
    def time_zone(self) -> str:
        """Return the time zone the person chose; empty means that of their province."""
        return str(self._names[3])

    @property
    def organisation_kind(self) -> str:
        """Return the organisation's kind."""
        return str(self._actor.organisation_kind or "")

    @property
    def role_names(self) -> str:
        """Return the names of the roles, separated by commas."""
        return ", ".join(kind(role) for role in sorted(self._actor.roles))

    def loaded(self) -> SignedIn:
        """Read the names now. Raise SQLAlchemyError where the database is away."""
        _ = self._names
        return self

    @property
    def unseen_notices(self) -> int:
        """Return how many notices the person has not seen, up to `bell.MOST_COUNTED`."""
        return int(self._names[4])

    @cached_property
    def _names(self) -> Any:
        found = _NAMES.first(context().session, {"user_id": self._actor.user_id})
        assert found is not None  # noqa: S101  # accounts are never deleted
        return found


def _names_query() -> Select[str, str, str, str, int]:
    own = bindparam("user_id", type_=Uuid())
    query = select(Person.name, Organisation.name, User.language, User.time_zone, bell.unseen_count(own)).select_from(User)
    query = query.join(Person, Person.id == User.person_id).join(Organisation, Organisation.id == User.organisation_id)
    return query.where(User.id == own)


_NAMES = Prepared(_names_query())


def register(app: Flask) -> None:
    """Attach Flask-Login without its own session cookie. That cookie is signed, not stored, so it would stay valid after signing out."""
    manager = LoginManager(app)
    manager.session_protection = None
    manager.request_loader(_load)


def _load(_request: Request) -> SignedIn | None:
    actor: Actor | None = g.get("actor")
    return SignedIn(actor) if actor is not None and actor.user_id is not None else None
