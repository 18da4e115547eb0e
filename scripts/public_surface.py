"""Print the public surface as sorted JSON: URLs, OpenAPI document, tables, triggers, settings, commands, permissions, acts and keys.

Run it in two versions of the program and compare the outputs:

    .venv/bin/python scripts/public_surface.py > before.json
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from sqlalchemy import create_mock_engine
from sqlalchemy.schema import CreateIndex, CreateTable

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FACTORIES = ("sifilma.app.factory", "sifilma.app.factory")  # the second is where it stood before
TABLES = ("sifilma.schema.migrate.tables", "sifilma.schema.tables")
PERMISSIONS = ("sifilma.identity.permissions", "sifilma.identity.permissions")
MIGRATE = ("sifilma.schema.migrate.migrate", "sifilma.schema.migrate")
COMMANDS = ("sifilma.commands.main", "sifilma.commands.main")


def first(names: tuple[str, ...]) -> Any:
    """Return the first module of `names` that can be imported, so that the script runs in versions before and after a move."""
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not name.startswith(missing.name):
                raise
    raise SystemExit(f"none of {names} is there")


def urls(app: Any) -> list[str]:
    """Return every URL rule with its methods."""
    return sorted(f"{rule.rule} {','.join(sorted(rule.methods or ()))}" for rule in app.url_map.iter_rules())


def schema() -> dict[str, Any]:
    """Return the CREATE statements of tables and indexes for both databases, and those of the triggers."""
    metadata = first(TABLES).METADATA
    triggers = import_module("sifilma.kernel.triggers")
    found: dict[str, Any] = {"revision": first(MIGRATE).head()}
    for dialect in ("sqlite", "postgresql+psycopg"):
        engine = create_mock_engine(f"{dialect}://", lambda *_, **__: None)
        statements = [str(CreateTable(table).compile(dialect=engine.dialect)) for table in metadata.sorted_tables]
        indexes = [str(CreateIndex(index).compile(dialect=engine.dialect)) for table in metadata.sorted_tables for index in table.indexes]
        name = dialect.partition("+")[0]
        found[name] = sorted(" ".join(statement.split()) for statement in statements + indexes)
        found[f"{name} triggers"] = sorted(map(_plain, _trigger_statements(triggers, name)))
    return found


def _trigger_statements(triggers: Any, dialect: str) -> Iterator[str]:
    return (statement for rule in triggers.rules() for statement in triggers.render(rule, dialect))


def _plain(value: Any) -> str:
    return " ".join(str(value).split())


def commands(command: click.Command, path: str = "sifilma") -> Iterator[str]:
    """Yield every command with its options and its help."""
    context = click.Context(command)
    options = [f"{'/'.join(p.opts)} {p.type.name}{' required' if p.required else ''}" for p in command.params]
    yield f"{path}: {', '.join(options)} -- {' '.join((command.help or '').split())}"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from commands(found, f"{path} {name}")


def settings() -> dict[str, str]:
    """Return every setting with its type and its default."""
    model: type[BaseModel] = import_module("config.settings").Settings
    return {name: f"{field.annotation} = {field.default!r}" for name, field in sorted(model.model_fields.items())}


def enumeration(kind: type[Enum]) -> list[str]:
    """Return the values of an enumeration, sorted."""
    return sorted(str(member.value) for member in kind)


def surface() -> dict[str, Any]:
    """Return the whole public surface as one document."""
    with tempfile.TemporaryDirectory() as home:
        # The demo's settings need no secrets, and a home of its own keeps the script away from an installation.
        os.environ |= {"SIFILMA_ENV": "demo", "SIFILMA_HOME": home}
        app = first(FACTORIES).create_app()
        permissions = first(PERMISSIONS)
        keys = import_module("hsm.keys")
        return {
            "urls": urls(app),
            "openapi": app.test_client().get("/api/v1/openapi.json").get_json(),
            "schema": schema(),
            "settings": settings(),
            "commands": sorted(commands(first(COMMANDS).cli)),
            "operations": enumeration(permissions.Operation),
            "acts": enumeration(import_module("sifilma.audit.models").Action),
            "keys": [_plain(plan) for plan in (keys.SIGNING_PLAN, keys.ROOT_PLAN)],
        }


if __name__ == "__main__":
    print(json.dumps(surface(), indent=1, sort_keys=True, ensure_ascii=False))
