"""Compiles each URL rule once in a process: every test makes an application, and its 300 rules were most of that cost."""

from __future__ import annotations

from collections.abc import Callable

from werkzeug.routing import Rule

from sifilma.web.application import Application

_builders: dict[tuple[str, str, bool], Callable[..., tuple[str, str]]] = {}


class CompiledOnce(Rule):
    """A rule that keeps its URL builder for the next application: the builder depends on the rule's text and defaults alone."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (self.rule, repr(self.defaults), append_unknown)
        if key not in _builders:
            _builders[key] = super()._compile_builder(append_unknown)
        return _builders[key]


def compile_once() -> None:
    """Use CompiledOnce for every application that is made after this call."""
    Application.url_rule_class = CompiledOnce
