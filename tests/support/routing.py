"""Compiles each URL rule once in a process: every test makes an application, and its 360 rules were most of that cost."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import Rule

from sifilma.web.application import Application

_compiled: dict[tuple[Any, ...], tuple[Any, ...]] = {}


class CompiledOnce(Rule):
    """A rule that takes what an equal rule of an earlier application was compiled to: that depends on nothing but the key below."""

    def compile(self) -> None:
        """Set the matcher's parts, the converters and the URL builders of this rule."""
        key = (self.rule, repr(self.defaults), self.host, self.subdomain, self.merge_slashes, self.map.host_matching)
        if key not in _compiled:
            super().compile()
            builders = (self._compile_builder(append_unknown) for append_unknown in (False, True))
            _compiled[key] = (self._parts, self._trace, self._converters, frozenset(self.arguments), *builders)
        self._parts, self._trace, self._converters, arguments, build, build_unknown = _compiled[key]
        self.arguments |= arguments
        self._build, self._build_unknown = build.__get__(self, None), build_unknown.__get__(self, None)


def compile_once() -> None:
    """Use CompiledOnce for every application that is made after this call."""
    Application.url_rule_class = CompiledOnce
