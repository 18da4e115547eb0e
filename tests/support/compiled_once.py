"""Compiles once what every application of a test would compile again: URL rules and SQL once in a process, templates once on a machine."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemBytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from sifilma.web import languages
from sifilma.web.application import Application
from tests.support.programs import ROOT

FOLDER = ROOT / ".cache" / "templates"
"""Jinja's bytecode cache. A template whose text, or a text of its language, has changed is compiled again."""
_rules: dict[tuple[Any, ...], tuple[Any, ...]] = {}
_statements: LRUCache[object, object] = LRUCache(5000)


class Bytecode(FileSystemBytecodeCache):
    """What templates were compiled to, by language, its texts, which are in it, and what puts them there."""

    def get_bucket(self, environment: Environment, name: str, filename: str | None, source: str) -> Bucket:
        """Return the place of a template."""
        language = cast("languages.Environment", environment).language or ""
        return super().get_bucket(environment, f"{name} {language} {_texts(language)}", filename, source)


@cache
def _texts(language: str) -> str:
    found = sorted(languages.PACKAGES.glob(f"*/translations/{language}.po"))
    return sha256(b"".join(path.read_bytes() for path in (Path(languages.__file__), *found))).hexdigest()


class CompiledOnce(Rule):
    """A rule that takes what an equal rule of an earlier application was compiled to: that depends on nothing but the key below."""

    def compile(self) -> None:
        """Set the matcher's parts, the converters and the URL builders of this rule."""
        key = (self.rule, repr(self.defaults), self.host, self.subdomain, self.merge_slashes, self.map.host_matching)
        if key not in _rules:
            super().compile()
            builders = (self._compile_builder(append_unknown) for append_unknown in (False, True))
            _rules[key] = (self._parts, self._trace, self._converters, frozenset(self.arguments), *builders)
        self._parts, self._trace, self._converters, arguments, build, build_unknown = _rules[key]
        self.arguments |= arguments
        self._build, self._build_unknown = build.__get__(self, None), build_unknown.__get__(self, None)


def rules() -> None:
    """Use CompiledOnce for every application that is made after this call: 360 rules were most of what one costs."""
    Application.url_rule_class = CompiledOnce


def templates() -> None:
    """Use the cache for every application that this process, or a process forked from it, makes after this call."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    Application.jinja_options = {"bytecode_cache": Bytecode(str(FOLDER))}


def statements(engine: Engine) -> None:
    """Let an engine use the statements that other engines have compiled: compiling them again took a tenth of the tests' time.

    The dialect is a part of the cache's keys; dialects of one class are made equal, so that the keys of two engines match.
    """
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        dialect.__eq__, dialect.__hash__ = _alike, _hash  # type: ignore[method-assign, assignment]  # only in tests
    engine._compiled_cache = _statements  # type: ignore[assignment]  # its own type is narrower


def _alike(one: object, other: object) -> bool:
    return type(one) is type(other)


def _hash(one: object) -> int:
    return hash(type(one))
