"""Templates that are compiled once on a machine: every test makes an application, every server of a test another, each compiling anew."""

from __future__ import annotations

from jinja2 import FileSystemBytecodeCache

from sifilma.web.application import Application
from tests.support.programs import ROOT

FOLDER = ROOT / ".cache" / "templates"
"""Jinja's own cache: what has another text than its file is compiled again."""


def compile_once() -> None:
    """For every application made from here on, in this process and in those forked from it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    Application.jinja_options = {"bytecode_cache": FileSystemBytecodeCache(str(FOLDER))}
