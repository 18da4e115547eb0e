"""Passkeys (WebAuthn Level 3) as a second factor equal to the authenticator app. The browser binds them to this site's name."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from sqlalchemy import delete, select, update
from webauthn.helpers import base64url_to_bytes, options_to_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import User
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.seals import columns, sealer_of
from sifilma.kernel.timekeeping.moments import lies_ahead
from sifilma.sign_in.authority import is_authentic
from sifilma.sign_in.models import Passkey, PasskeyChallenge

LIFE = timedelta(minutes=5)
MOST = 10
VERIFIED = UserVerificationRequirement.PREFERRED  # the password came before, so the user's presence is enough as a second factor


@dataclass(frozen=True)
class Site:
    """The origin the browser signs for (`https://host`). Its host name is the RP ID its keys are bound to."""

    origin: str

    @property
    def name(self) -> str:
        """Return the host name, used as RP ID."""
        return urlsplit(self.origin).hostname or ""


def site(settings: Settings, origin: str) -> Site | None:
    """Return the site of a request, or None if passkeys do not work there.

    They work under the configured public URL if its host is a name (WebAuthn allows no IP address as RP ID) and, outside production, under
    localhost.
    """
    own = {settings.public_url.rstrip("/")} | ({f"http://localhost:{_port(origin)}"} if settings.env != "production" else set())
    found = Site(origin)
    return found if origin in own and not _is_address(found.name) else None


def _port(origin: str) -> int | None:
    """Return the port of an origin. A client's header may name one that is none: it has none."""
    try:
        return urlsplit(origin).port
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def of_user(ctx: Context, user_id: UUID) -> list[Passkey]:
    """Return a user's passkeys, oldest first. One that the service did not write counts as absent."""
    query = select(Passkey).where(Passkey.user_id == user_id, Passkey.ended_at.is_(None)).order_by(Passkey.id)
    return [passkey for passkey in ctx.session.scalars(query) if is_authentic(ctx, Passkey, passkey)]


def registration_options(ctx: Context, where: Site) -> str:
    """Return the options for a new passkey (JSON), and store their challenge for the session. Raise Conflict if the user has MOST."""
    user = ctx.session.get_one(User, ctx.actor.user_id)
    there = of_user(ctx, user.id)
    if len(there) >= MOST:
        raise Conflict("You have ten passkeys: remove one first.", type="too-many-passkeys")
    options = webauthn.generate_registration_options(
        rp_id=where.name,
        rp_name="SI-FILMA",
        user_id=user.id.bytes,
        user_name=user.username,
        user_display_name=user.person.name,
        exclude_credentials=_descriptors(there),
        authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=VERIFIED),
    )
    _keep_challenge(ctx, _session(ctx), options.challenge)
    return options_to_json(options)


def register(ctx: Context, where: Site, name: str, credential: dict[str, Any]) -> Passkey:
    """Store the passkey the browser made.

    Raise Invalid if its answer does not fit the challenge or the site, and Conflict if there is no challenge or it has expired.
    """
    challenge = _take_challenge(ctx, _session(ctx))
    try:
        made = webauthn.verify_registration_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=where.name, expected_origin=where.origin
        )
    except WebAuthnException as refused:
        raise Invalid.field("passkey", "The browser's answer does not fit. Try again.") from refused
    passkey = Passkey(
        id=uuid7(),
        user_id=ctx.actor.user_id,
        name=name.strip()[:60] or "Passkey",
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        created_at=ctx.now,
    )
    ctx.session.add(passkey)
    record(ctx, Action.USER_PASSKEY_ADD, "user", ctx.actor.user_id or "-", passkey=str(passkey.id))
    ctx.session.flush()
    return passkey


def remove(ctx: Context, passkey_id: UUID) -> None:
    """Remove one of the actor's passkeys for good. Raise NotFound for any other."""
    passkey = next((found for found in of_user(ctx, _user(ctx)) if found.id == passkey_id), None)
    if passkey is None:
        raise NotFound()
    passkey.ended_at = ctx.now
    record(ctx, Action.USER_PASSKEY_REMOVE, "user", _user(ctx), passkey=str(passkey_id))


def sign_in_options(ctx: Context, where: Site, user_id: UUID, session_id: UUID) -> str:
    """Return the options for signing in with one of the account's passkeys (JSON), and store their challenge.

    Raise Conflict if the account has no passkey.
    """
    there = of_user(ctx, user_id)
    if not there:
        raise Conflict("This account has no passkey.", type="no-passkey")
    options = webauthn.generate_authentication_options(rp_id=where.name, allow_credentials=_descriptors(there), user_verification=VERIFIED)
    _keep_challenge(ctx, session_id, options.challenge)
    return options_to_json(options)


def accept(ctx: Context, where: Site, user_id: UUID, session_id: UUID, credential: dict[str, Any]) -> bool:
    """Return whether one of the account's passkeys signed this session's challenge. The challenge is used up in any case.

    Raise Conflict if there is no challenge, or it has expired.
    """
    challenge = _take_challenge(ctx, session_id)
    passkey = _by_credential(ctx, user_id, credential)
    if passkey is None:
        return False
    try:
        done = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=where.name,
            expected_origin=where.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
        )
    except WebAuthnException:
        return False
    counted = {name: getattr(passkey, name) for name in Passkey.__sealed__} | {"sign_count": done.new_sign_count}
    # Conditional on the counter that was checked: if another use has raised it in between, this one fails.
    raised = ctx.session.execute(
        update(Passkey)
        .where(
            Passkey.id == passkey.id,
            Passkey.sign_count == passkey.sign_count,
            Passkey.seal == passkey.seal,
            Passkey.ended_at.is_(None),
        )
        .values(sign_count=done.new_sign_count, used_at=ctx.now, seal=sealer_of(ctx.session).seal(Passkey, counted))
        .execution_options(synchronize_session=False)
    )
    return changed(raised) == 1


def _by_credential(ctx: Context, user_id: UUID, credential: dict[str, Any]) -> Passkey | None:
    try:
        wanted = base64url_to_bytes(str(credential.get("rawId", "")))
    except ValueError:
        return None
    return next((passkey for passkey in of_user(ctx, user_id) if passkey.credential_id == wanted), None)


def _descriptors(passkeys: list[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in passkeys]


def _keep_challenge(ctx: Context, session_id: UUID, challenge: bytes) -> None:
    ctx.session.execute(delete(PasskeyChallenge).where(PasskeyChallenge.session_id == session_id))
    ctx.session.add(PasskeyChallenge(session_id=session_id, challenge=challenge, expires_at=ctx.now + LIFE))
    ctx.session.flush()


def _take_challenge(ctx: Context, session_id: UUID) -> bytes:
    """Return the session's challenge and delete it, committed at once, so that a refused answer uses it up too.

    Raise Conflict if there is none, or it has expired.
    """
    used_up = (
        delete(PasskeyChallenge)
        .where(PasskeyChallenge.session_id == session_id, lies_ahead(PasskeyChallenge.expires_at, ctx.now, LIFE))
        .returning(*columns(PasskeyChallenge))
        .execution_options(synchronize_session=False)
    )
    taken = ctx.uow.at_once(lambda: ctx.session.execute(used_up).first())
    if taken is None or not is_authentic(ctx, PasskeyChallenge, taken):
        raise Conflict("Begin again: this took too long.", type="challenge-lapsed")
    return bytes(taken.challenge)


def _session(ctx: Context) -> UUID:
    assert ctx.actor.session_id is not None  # noqa: S101  # the gate admits only sessions
    return ctx.actor.session_id


def _user(ctx: Context) -> UUID:
    assert ctx.actor.user_id is not None  # noqa: S101  # the gate admits only people
    return ctx.actor.user_id


def read_credential(text: str) -> dict[str, Any]:
    """Return the browser's answer from a form field (JSON). Raise Invalid if it is no JSON object."""
    try:
        found = json.loads(text)
    except ValueError as broken:
        raise Invalid.field("passkey", "The browser's answer does not fit. Try again.") from broken
    if not isinstance(found, dict):
        raise Invalid.field("passkey", "The browser's answer does not fit. Try again.")
    return found
