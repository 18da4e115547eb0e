"""What recorded acts and their objects are called on screens."""

from __future__ import annotations

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from sifilma.audit.models import Action

ACTIONS: dict[str, LazyString] = {
    Action.ACCESS_DENIED: _("Refused: not permitted"),
    Action.ACCESS_NOT_FOUND: _("Refused: not found or out of reach"),
    Action.SESSION_PASSWORD_ACCEPTED: _("Password accepted"),
    Action.SESSION_PASSWORD_REFUSED: _("Password refused"),
    Action.SESSION_OTP_REFUSED: _("One-time code refused"),
    Action.SESSION_CODE_SENT: _("One-time code sent"),
    Action.SESSION_RECOVERY_CODE: _("Recovery code used"),
    Action.SESSION_STARTED: _("Signed in"),
    Action.SESSION_STEPPED_UP: _("Fresh one-time code given"),
    Action.SESSION_ENDED: _("Session ended"),
    Action.SESSION_THROTTLED: _("Too many sign-in attempts"),
    Action.ORGANISATION_REGISTER: _("Organisation registered"),
    Action.AGREEMENT_REGISTER: _("Agreement (PKS) registered"),
    Action.MODEL_REGISTER: _("Model registered"),
    Action.USER_INVITE: _("Account invited"),
    Action.USER_ENROL: _("Account taken up"),
    Action.USER_DISABLE: _("Account disabled"),
    Action.USER_ENABLE: _("Account enabled"),
    Action.USER_ROLES: _("Roles changed"),
    Action.USER_PASSWORD: _("Password changed"),
    Action.USER_RECOVERY_CODES: _("Recovery codes made"),
    Action.USER_PASSKEY_ADD: _("Passkey added"),
    Action.USER_PASSKEY_REMOVE: _("Passkey removed"),
    Action.USER_PREFERENCES: _("Preferences changed"),
    Action.USER_CHANGE_PROPOSE: _("Change of an account proposed"),
    Action.USER_CHANGE_APPROVE: _("Change of an account executed"),
    Action.USER_CHANGE_REJECT: _("Change of an account rejected"),
    Action.API_KEY_CREATE: _("API key made"),
    Action.API_KEY_REVOKE: _("API key revoked"),
    Action.UNIT_REGISTER: _("Units registered"),
    Action.UNIT_CHANGE: _("Unit changed"),
    Action.CARD_REGISTER: _("Cards registered"),
    Action.CARD_REPORT: _("Condition of a card reported"),
    Action.PERSONALISATION_DRAFT: _("Personalisation request drafted"),
    Action.PERSONALISATION_EDIT: _("Personalisation request edited"),
    Action.PERSONALISATION_SUBMIT: _("Personalisation request submitted"),
    Action.PERSONALISATION_VERIFY: _("Personalisation request verified"),
    Action.PERSONALISATION_RETURN: _("Personalisation request returned"),
    Action.PERSONALISATION_APPROVE: _("Personalisation request approved"),
    Action.PERSONALISATION_REJECT: _("Personalisation request rejected"),
    Action.PERSONALISATION_CANCEL: _("Personalisation request cancelled"),
    Action.PERSONALISATION_RESULTS: _("Personalisation results recorded"),
    Action.HANDOVER_ISSUE: _("Handover (BAST) issued"),
    Action.HANDOVER_RECEIVE: _("Handover (BAST) received"),
    Action.HANDOVER_REFUSE: _("Handover (BAST) refused"),
    Action.HANDOVER_CANCEL: _("Handover (BAST) cancelled"),
    Action.ACTIVATION_DRAFT: _("Activation request drafted"),
    Action.ACTIVATION_EDIT: _("Activation request edited"),
    Action.ACTIVATION_SUBMIT: _("Activation request submitted"),
    Action.ACTIVATION_VERIFY: _("Activation request verified"),
    Action.ACTIVATION_RETURN: _("Activation request returned"),
    Action.ACTIVATION_APPROVE: _("Activation request approved"),
    Action.ACTIVATION_REJECT: _("Activation request rejected"),
    Action.ACTIVATION_CANCEL: _("Activation request cancelled"),
    Action.ACTIVATION_EXPIRE: _("Activation request expired"),
    Action.ACTIVATION_COMPLETE: _("Activation request completed"),
    Action.ACTIVATION_CREATE: _("Card activated"),
    Action.ACTIVATION_REVIEW: _("Place reviewed"),
    Action.TOKEN_REVEAL: _("Tokens shown in clear"),
    Action.TOKEN_REFUSED: _("Wrong token refused"),
    Action.TOKEN_CANCEL: _("Tokens cancelled"),
    Action.TOKEN_EXPIRE: _("Tokens expired"),
    Action.TOKEN_REISSUE: _("Token issued anew"),
    Action.MANIFEST_DOWNLOAD: _("Manifest downloaded"),
    Action.MANIFEST_REVOKE_PROPOSE: _("Revocation of a manifest proposed"),
    Action.MANIFEST_REVOKE: _("Manifest revoked"),
    Action.MANIFEST_REVOKE_REJECT: _("Revocation of a manifest rejected"),
    Action.MANIFEST_SUPERSEDE: _("Manifest superseded"),
    Action.MANIFEST_EXPIRE: _("Manifests expired"),
    Action.DESTRUCTION_PROPOSE: _("Destruction proposed"),
    Action.DESTRUCTION_APPROVE: _("Destruction approved"),
    Action.DESTRUCTION_REJECT: _("Destruction rejected"),
    Action.DESTRUCTION_RECORD: _("Destruction recorded"),
    Action.DESTRUCTION_VERIFY: _("Destruction verified"),
    Action.DESTRUCTION_CANCEL: _("Destruction cancelled"),
    Action.DOCUMENT_DOWNLOAD: _("Document downloaded"),
    Action.REGIONS_IMPORT: _("Region codes imported"),
    Action.KEYS_CEREMONY: _("Key ceremony held"),
}
OBJECTS: dict[str, LazyString] = {
    "activation": _("Activation"),
    "activation_request": _("Activation request"),
    "agreement": _("Agreement (PKS)"),
    "api_key": _("API key"),
    "card": _("SAM card"),
    "destruction": _("Destruction"),
    "device_model": _("Model"),
    "document": _("Document"),
    "handover": _("Handover (BAST)"),
    "keyset": _("Published keys"),
    "manifest": _("Manifest"),
    "organisation": _("Organisation"),
    "personalisation_request": _("Personalisation request"),
    "route": _("Page or call"),
    "session": _("Session"),
    "token": _("Token"),
    "unit": _("Unit"),
    "user": _("Account"),
    "user_change": _("Change of an account"),
}
FACTS: dict[str, LazyString] = {
    "again": _("Invited again"),
    "card": _("SAM card"),
    "cards": _("SAM cards"),
    "change": _("What changes"),
    "condition": _("Condition"),
    "count": _("Count"),
    "decision": _("Decision"),
    "digest": _("Digest of what was seen"),
    "function": _("Function"),
    "kind": _("Kind"),
    "machines": _("Machines"),
    "manifest": _("Manifest"),
    "method": _("Method"),
    "name": _("Name"),
    "note": _("Note"),
    "number": _("Number"),
    "place": _("Place"),
    "quantity": _("Quantity"),
    "reason": _("Reason"),
    "receiver": _("Receiver"),
    "region": _("Region"),
    "roles": _("Roles"),
    "route": _("Address pattern"),
    "seq": _("Sequence"),
    "type": _("Kind of refusal"),
}


def action(name: str) -> str:
    """An act in words; one that has none yet by its own name."""
    return str(ACTIONS.get(name, name))


def object_kind(name: str) -> str:
    """A kind of object in words."""
    return str(OBJECTS.get(name, name))


def fact(name: str) -> str:
    """A fact of an act in words."""
    return str(FACTS.get(name, name))
