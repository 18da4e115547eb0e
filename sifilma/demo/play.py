"""`sifilma demo`: play the whole life of a card, and more, over HTTP against a running server."""

from __future__ import annotations

import json
import os

import click
import httpx
import pyotp

from config.loading import load_settings
from config.settings import Settings
from sifilma.demo import checks, people, scenes, second_act
from sifilma.demo.people import Refused
from sifilma.demo.stage import Stage
from sifilma.kernel.clock import SystemClock


def play(url: str | None) -> None:
    """Play every scene; each step says what it does. The first step with another result than expected ends the play with exit 1."""
    os.environ.setdefault("SIFILMA_ENV", "demo")
    settings = load_settings()
    url = url or _served(settings)
    clock, out = SystemClock(), settings.home / "demo"
    try:
        everybody = people.load(url, out / "accounts.json", clock)
        stage = Stage(url, out, everybody, clock)
        for person in everybody.values():
            person.sign_in()
        stage.say(f"{len(everybody)} people signed in at {url} with password and one-time code")
        pin = checks.trust_files(stage)
        stage.keep("root.sha256", f"{pin}\n".encode())
        for scene in (scenes.magetan, scenes.bangli, scenes.mandiri, *second_act.SCENES):
            click.echo(f"\n--- {scene.__name__} ---")
            scene(stage)
    except (Refused, httpx.HTTPError) as failed:
        raise click.ClickException(str(failed)) from failed
    click.echo(f"\nEverything went as it should. Files: {out}/")


def tell_code(username: str) -> None:
    """Print what is needed to sign in to a demo account at this moment."""
    os.environ.setdefault("SIFILMA_ENV", "demo")
    path = load_settings().home / "demo" / "accounts.json"
    if not path.exists():
        raise click.ClickException("There are no demo accounts here: `make run` makes them.")
    listed = {account["username"]: account for account in json.loads(path.read_text())}
    if username not in listed:
        raise click.ClickException(f"There is no demo account {username}: {', '.join(sorted(listed))}.")
    account, now = listed[username], SystemClock().now()
    click.echo(f"password {account['password']}  code {pyotp.TOTP(account['totp_secret']).at(now)}  (each code signs in once)")


def _served(settings: Settings) -> str:
    """Return the URL that the server of this home has noted, else the default."""
    note = settings.home / "demo" / "url"
    return note.read_text().strip() if note.exists() else settings.public_url
