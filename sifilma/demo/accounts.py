"""Make the demo's organisations, agreements, models and accounts once. `home/demo/accounts.json` lists the accounts."""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp

from config.settings import Settings
from sifilma.accounts import api_keys, enrolments, service
from sifilma.accounts.service import NewUser
from sifilma.cards.models import Function
from sifilma.cards.service import register_model
from sifilma.demo import facts
from sifilma.identity.models import IdKind, Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.oversight.service import register_agreement
from sifilma.web.command import command_context

EARLIER = timedelta(minutes=5)


def make_accounts(settings: Settings) -> Path:
    """Make the accounts if they do not exist, and return the path of their list.

    People enrol five minutes in the past, so that their codes of the present are unused: a code counts once.
    """
    path = settings.home / "demo" / "accounts.json"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with command_context() as ctx:
        earlier = Context(ctx.uow, ManualClock(ctx.now - EARLIER), ctx.actor, ctx.request_id)
        organisations = _organisations(earlier)
        listed = [_account(earlier, settings, account, organisations[account.organisation]) for account in facts.ACCOUNTS]
    _write(path, listed)
    return path


def _organisations(ctx: Context) -> dict[str, Organisation]:
    made = {name: service.register_organisation(ctx, kind, name, region) for kind, name, region in facts.ORGANISATIONS}
    ctx.session.flush()
    for name, maker, function in facts.MODELS:
        register_model(ctx, name, made[maker].id, Function(function))
    today = ctx.now.date()
    for name, number in facts.AGREEMENTS:
        register_agreement(ctx, made[name], number, today.replace(month=1, day=1), today.replace(year=today.year + 2, month=12, day=31))
    return made


def _account(ctx: Context, settings: Settings, account: facts.Account, organisation: Organisation) -> dict[str, Any]:
    """Enrol an account in the usual way: invitation, own password, authenticator. Return its entry in the list."""
    civil = organisation.kind not in (OrganisationKind.MANUFACTURER, OrganisationKind.INSTITUTION)
    kind = IdKind.NIP if civil else IdKind.EMPLOYEE
    new = NewUser(account.username, account.name, kind, account.id_number, account.roles)
    _, link = service.invite(ctx, settings, organisation, new)
    view = enrolments.look(ctx, settings, link)
    password = "-".join(secrets.token_hex(3) for _ in range(3))
    enrolments.enrol(ctx, settings, link, view.browser, password, pyotp.TOTP(view.seed).at(ctx.now))
    entry: dict[str, Any] = {
        "username": account.username,
        "password": password,
        "totp_secret": view.seed,
        "organisation": account.organisation,
        "roles": sorted(account.roles),
    }
    if account.with_key:
        entry["api_key"] = api_keys.create_api_key(ctx, settings, organisation.id, "demo")[1]
    return entry


def _write(path: Path, listed: list[dict[str, Any]]) -> None:
    """Write the list readable by its owner only, under a temporary name first, so that it is never partial."""
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        json.dump(listed, handle, indent=1)
    temporary.replace(path)
