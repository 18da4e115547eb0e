"""A small reference model of a card's life, without database or HTTP, written from docs/domain.md alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

LIVING = ("personalised", "handed_over", "received", "active", "lost")
READY = {"new": ("received",), "relocation": ("active",), "renewal": ("active",), "replacement": ("received", "active")}
TOKEN_LIFE, TRIES = timedelta(days=14), 5


@dataclass
class Token:
    """The right to one activation; `text` is the token that the office was shown."""

    text: str
    expires: datetime
    state: str = "issued"
    tries: int = 0


@dataclass
class Request:
    """An activation request for this one card. `hardware` is the machine that a replacement moves it to."""

    id: str
    kind: str
    state: str = "submitted"
    tokens: list[Token] = field(default_factory=list)
    hardware: str = ""

    @property
    def open(self) -> bool:
        """Whether it prevents another request for the card."""
        return self.state in ("submitted", "approved") and all(token.state != "redeemed" for token in self.tokens)


@dataclass
class Manifest:
    """One manifest; `proposed` tells whether its revocation waits for an approver."""

    id: str
    refused_after: datetime
    state: str = "active"
    proposed: bool = False

    @property
    def in_force(self) -> bool:
        """Whether it has not ended: it can be revoked and expires, suspended too."""
        return self.state in ("active", "suspended")


@dataclass
class Card:
    """One card of an office: its state, its holder, its requests and its manifests; the machine for it, and whether it is tied to that."""

    uid: str
    hardware: str
    state: str = "personalised"
    holder: str = "directorate"
    bast: str | None = None
    bast_open: bool = False
    missing: bool = False
    requests: list[Request] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    condition: str = "working"
    tied: bool = False

    @property
    def request(self) -> Request | None:
        """The newest request."""
        return self.requests[-1] if self.requests else None

    @property
    def token(self) -> Token | None:
        """The open token, if there is one."""
        return next((token for request in self.requests for token in request.tokens if token.state == "issued"), None)

    @property
    def standing(self) -> Manifest | None:
        """The active manifest."""
        return next((manifest for manifest in self.manifests if manifest.state == "active"), None)

    # --- which steps are allowed -------------------------------------------------------------------------------------

    def may_be_asked_for(self, kind: str) -> bool:
        """Rule 3: the card is in the state its kind needs, held by the office, in no open request; for a replacement in a machine."""
        free = self.holder == "office" and not any(request.open for request in self.requests)
        return free and self.state in READY[kind] and (kind != "replacement" or self.tied)

    def may_be_approved(self) -> bool:
        """Whether the newest request waits and the card still has the state it needs."""
        found = self.request
        return found is not None and found.state == "submitted" and self.is_ready(found)

    def is_ready(self, request: Request) -> bool:
        """Whether the card is in the state its request needs."""
        return self.holder == "office" and self.state in READY[request.kind]

    def may_be_activated(self, now: datetime) -> bool:
        """Rule 4: the card has an open, unexpired token of an approved request, is in the state it needs, and the machine works."""
        found = self.request
        works = self.condition == "working" or (found is not None and found.kind == "replacement")
        return bool(found and found.state == "approved" and self.is_ready(found) and self.token and self.token.expires > now and works)

    def may_have_a_new_token(self) -> bool:
        """Whether a token may be reissued: the request is approved, the token unused, the card still in the state it needs."""
        found = self.request
        unused = found is not None and found.state == "approved" and all(token.state != "redeemed" for token in found.tokens)
        return bool(found and unused and self.is_ready(found))

    def may_become(self, condition: str) -> bool:
        """Whether the table of transitions permits a report of this condition."""
        sources = {"damaged": LIVING, "locked": LIVING, "lost": ("received", "active"), "found": ("lost",)}
        return self.state in sources[condition]

    # --- the effects of steps ----------------------------------------------------------------------------------------

    def activate(self, manifest: Manifest) -> None:
        """Use up the token, complete the request, supersede the former manifest. A replaced machine gives way to the new one."""
        if self.request and self.request.kind == "replacement":
            self.hardware, self.condition = self.request.hardware, "working"
        self.tied = True
        if self.standing:
            self.standing.state = "superseded"
        if self.token and self.request:
            self.token.state, self.request.state = "redeemed", "completed"
        self.manifests.append(manifest)
        self.state = "active"

    def report(self, condition: str) -> None:
        """Change the state; a card that can no longer be used loses its manifest and its open token."""
        self.state = self.at_rest if condition == "found" else condition
        if condition != "found":
            self.fall()
        if condition in ("damaged", "locked"):
            self.missing = False  # whoever says so has found it

    @property
    def at_rest(self) -> str:
        """The state of a whole card that lies at its holder."""
        return "received" if self.holder == "office" else "personalised"

    def settle(self, how: str) -> None:
        """End the search for a missing card: found at the issuer, arrived at the receiver, or lost. A broken card keeps its state."""
        self.missing = False
        self.holder = "office" if how == "arrived" else self.holder
        if self.state == "handed_over":
            self.state = "lost" if how == "lost" else self.at_rest

    def fall(self) -> None:
        """Revoke the manifest and cancel the open token."""
        if self.token:
            self.token.state = "cancelled"
        if self.standing:
            self.standing.state = "revoked"

    def withdraw(self, state: str) -> None:
        """End the manifest and return the card to `received`."""
        if self.standing:
            self.standing.state = state
        if self.state == "active":
            self.state = "received"

    def lapse(self, now: datetime) -> None:
        """Expire tokens, requests and manifests at this time."""
        for request in self.requests:
            for token in request.tokens:
                if token.state == "issued" and token.expires <= now:
                    token.state = "expired"
            if request.state == "approved" and all(token.state != "issued" and token.expires <= now for token in request.tokens):
                request.state = "expired"
        if self.standing and self.standing.refused_after <= now:
            self.withdraw("expired")
