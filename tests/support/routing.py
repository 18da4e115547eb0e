"""Addresses that are compiled once in a process: every test makes an application, and their 300 rules were most of its cost."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.routing import Rule

from sifilma.web.application import Application

_builders: dict[tuple[str, str, bool], Callable[..., tuple[str, str]]] = {}


class CompiledOnce(Rule):
    """A rule whose address builder, a function of its text and defaults alone, is kept for the next application."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (self.rule, repr(self.defaults), append_unknown)
        if key not in _builders:
            _builders[key] = super()._compile_builder(append_unknown)
        return _builders[key]


def compile_once() -> None:
    """For every application made from here on."""
    Application.url_rule_class = CompiledOnce
