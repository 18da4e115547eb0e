"""Compiles each template once on a machine: every test and every test server makes an application, which would compile them again."""

from __future__ import annotations

from jinja2 import FileSystemBytecodeCache

from sifilma.web.application import Application
from tests.support.programs import ROOT

FOLDER = ROOT / ".cache" / "templates"
"""Jinja's bytecode cache. A template whose text has changed is compiled again."""


def compile_once() -> None:
    """Use the cache for every application that this process, or a process forked from it, makes after this call."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    Application.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(str(FOLDER))}
