"""All settings of an installation. Values come from the environment (`SIFILMA_…`) or from files in `SIFILMA_SECRETS_DIR`."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MARKS = {"demo": "DEMO", "test": "UJI", "training": "LATIHAN"}
"""The kinds of installation that are not real. Papers and mails are in Bahasa Indonesia, and so are these words."""


class SettingsError(Exception):
    """Settings are missing or cannot be used. The text has one sentence a line, for the operator; each names its variable."""


class Settings(BaseSettings):
    """The settings an operator may give. `config.loading` reads them, `config.soundness` says which are refused."""

    # enable_decoding: lists are read by `_from_json`, so that a fault in one is a fault among others and not an exception of its own.
    model_config = SettingsConfigDict(env_prefix="SIFILMA_", extra="ignore", frozen=True, enable_decoding=False)

    # --- the installation ---
    env: Literal["demo", "production", "test", "training"] = Field(
        "production",
        description="`training` is a real installation for practice, with keys of its own; `demo` is what `make run` uses; both say so on "
        "every page and paper",
    )
    home: Path = Field(Path("var"), description="the folder that holds all state: database, token, files, demo output")
    witness: str = Field(
        "",
        description="what is told what must never go back, and is not restored with this installation: a folder on another disk or host, "
        "the https address of `sifilma witness serve`, or `mailto:` and a mailbox; numbers are given out only up to an end that it knows; "
        "without it only database and `home` remember them, and an older database gives them out twice",
    )
    witness_key: str = Field(
        "",
        description="who cosigns the log at an https `witness`: the line that `sifilma witness set-up` printed there",
    )
    witness_block: int = Field(
        20_000, description="status indexes that are reserved ahead at the witness: so many tokens are still made while it is away", ge=1
    )
    issuer: str = Field("https://sifilma.example.go.id", description="`iss` of every manifest: this installation's URI")
    public_url: str = Field("http://127.0.0.1:8000", description="how people reach this installation; printed in QR codes and links")

    # --- secrets ---
    secret_key: SecretStr | None = Field(
        None,
        description="seals what must open while the HSM is away (authenticators' seeds, messages that wait, refused rows of files) and "
        "authenticates codes that are sent, recovery codes and the rows of people, sessions and keys; at least 32 characters",
    )
    secret_key_previous: SecretStr | None = Field(
        None, description="the secret key of before, while it is exchanged: it still opens and verifies, nothing new is made with it"
    )
    hsm_pin: SecretStr | None = Field(None, description="user PIN of the signing token")
    hsm_so_pin: SecretStr | None = Field(None, description="security officer PIN, needed at the ceremony only")
    second_hsm_pin: SecretStr | None = Field(None, description="user PIN of the second HSM's token, where there are two")
    second_hsm_so_pin: SecretStr | None = Field(None, description="its security officer PIN, needed at the ceremony only")
    root_pin: SecretStr | None = Field(None, description="user PIN of the root token, needed to sign keysets only")
    metrics_token: SecretStr | None = Field(
        None, description="bearer token for /metrics; without it /metrics is closed (in the demo: open on the loopback)"
    )

    # --- database ---
    database_url: str = Field("", description="`postgresql://…`; empty: SQLite under `home`")
    database_pool: int = Field(10, description="connections per process", ge=1, le=100)
    file_cache_mb: int = Field(
        1024, description="MB of stored files that a node keeps copies of, in `home`/cache, which can be thrown away; 0: none", ge=0
    )

    # --- HSM ---
    hsm_module: str = Field("/usr/lib/softhsm/libsofthsm2.so", description="the PKCS#11 library")
    hsm_token: str = Field("sifilma", description="label of the signing token")
    hsm_token_serial: str | None = Field(None, description="serial of the signing token; checked when given")
    hsm_timeout: float = Field(5.0, description="seconds an HSM call may take")
    second_hsm_token: str = Field(
        "", description="label of the token of a second HSM, which takes over while one is away; empty: there is one"
    )
    second_hsm_module: str = Field(
        "", description="the PKCS#11 library of the second HSM; empty: that of the first, of which SoftHSM gets a copy"
    )
    second_hsm_token_serial: str | None = Field(None, description="serial of the second HSM's token; checked when given")
    hsm_apart: Literal["library", "process"] = Field(
        "library",
        description="how two HSMs are kept apart: each by a library of its own, or each by a process of its own beside every process, for "
        "makers whose library is one for both",
    )
    hsm_patience: float = Field(1.0, description="seconds an HSM call may take before the other HSM is asked, where there are two", gt=0)
    root_token: str = Field("sifilma-root", description="label of the offline root token")
    trust_seconds: float = Field(
        30.0,
        description="seconds after which a process looks again whether a keyset was published elsewhere, and what the keyset's witness saw",
        gt=0,
        le=30,
    )

    # --- the web ---
    https: bool = Field(False, description="behind TLS: Secure `__Host-` cookies and HSTS")
    trusted_proxies: int = Field(0, description="how many proxies in front set X-Forwarded-For", ge=0, le=5)
    host: str = Field("127.0.0.1", description="address the server listens on")
    port: int = Field(8000, description="port the server listens on")
    workers: int = Field(1, description="server processes", ge=1, le=64)
    threads: int = Field(4, description="blocking threads per process", ge=1, le=128)
    worker_turns: int = Field(
        2,
        description="turns of files and of tokens that a worker gives at once (PostgreSQL); an organisation has one of a kind at a time",
        ge=1,
        le=16,
    )
    request_deadline: float = Field(10.0, description="seconds in which every request is answered")
    body_seconds: float = Field(10.0, description="seconds in which the head of a request, and then its body, must have arrived", gt=0)
    rate_per_minute_address: int = Field(
        12_000,
        description="requests an address (IPv6: a /64) may make in a minute at this node; many people may share one; 0: no limit",
        ge=0,
    )
    rate_per_minute_actor: int = Field(
        3_000, description="requests an account or an API key may make in a minute at this node; 0: no limit", ge=0
    )
    stop_seconds: float = Field(15.0, description="seconds a server may take to end its requests when it is stopped", gt=0)
    still_seconds: float = Field(
        15.0, description="seconds without a sign of life after which a server process is replaced; more than `request_deadline`", ge=5
    )
    max_upload: int = Field(
        22 * 1024 * 1024, description="largest request body, bytes: a letter and a purchase order of 10 MB each, and a batch"
    )

    # --- sign-in ---
    session_idle_minutes: int = Field(30, description="minutes without a request after which a session ends")
    session_hours: int = Field(12, description="hours after which a session ends, in use or not")
    step_up_minutes: int = Field(10, description="minutes for which a one-time code counts as fresh; that of signing in counts too")
    invitation_hours: int = Field(72, description="hours for which the link of an invitation can be used")
    consent_days: int = Field(14, description="days for which somebody who has an account is asked about a further one", ge=1)
    newcomer_days: int = Field(
        7,
        description="days for which a new head, and whoever invited somebody with them, decide on no lost factor reported by the other",
        ge=0,
    )
    objection_hours: int = Field(
        24,
        description="hours between the report of a lost factor and the decision of another head; user administrators decide at once",
        ge=0,
    )
    api_key_days: int = Field(365, description="days an API key lasts, at most and by default", ge=1, le=3660)
    password_min: int = Field(12, description="characters a password has at least")
    breached_passwords: str = Field(
        "",
        description="file of breached passwords: SHA-1 hashes ordered by hash, one a line (Have I Been Pwned); what it holds is nobody's "
        "new password; empty: only common passwords are refused",
    )
    code_channels: tuple[Literal["email", "sms"], ...] = Field(
        (), description='how 6-digit codes may be sent besides the authenticator app, e.g. ["email"]'
    )

    # --- access review: who may what, and who still works here ---
    dormant_days: int = Field(90, description="days without a sign-in after which an account is marked as unused; 0: never", ge=0)
    dormant_grace_days: int = Field(14, description="days after that mark for which it still works; then it is disabled", ge=1)
    review_days: int = Field(182, description="days after which heads confirm the accounts of their people anew; 0: never", ge=0)
    review_open_days: int = Field(30, description="days in which they should", ge=1)
    review_grace_days: int = Field(30, description="days after those; then the accounts on which nobody has decided are disabled", ge=1)

    # --- retention: how long what is no record of an act is kept; 0: for ever ---
    person_retention_days: int = Field(
        1826,
        description="days after the last account of a person was disabled; then a pseudonym takes the place of who it was",
        ge=0,
    )
    keep_sessions_days: int = Field(400, description="the same for sessions that are over, with address and browser", ge=0)
    keep_codes_days: int = Field(30, description="the same for codes that were sent, of which only a keyed hash is stored", ge=0)
    keep_messages_days: int = Field(400, description="the same for messages that are through, and for what somebody was reminded of", ge=0)

    keep_own_files_days: int = Field(7, description="days for which a file that the worker wrote is kept", ge=1, le=90)
    direct_rows: int = Field(10_000, description="rows of a list that are sent at once; the worker writes longer lists", ge=1, le=100_000)
    direct_manifests: int = Field(
        2_000, description="manifests that are sent at once as one ZIP; the worker packs more of them", ge=1, le=10_000
    )

    keep_failed_requests_days: int = Field(
        90, description="the same for requests that were answered by an error, under the number that the page showed", ge=0
    )

    # --- messages: empty hosts switch a channel off ---
    smtp_host: str = Field("", description="mail server")
    smtp_port: int = Field(587, description="its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection to the mail server is protected")
    smtp_user: str = Field("", description="account at the mail server; empty: no authentication")
    smtp_password: SecretStr | None = Field(None, description="its password")
    smtp_from: str = Field("sifilma@localhost", description="sender's address")
    smpp_host: str = Field("", description="SMS centre (SMPP 3.4)")
    smpp_port: int = Field(2775, description="its port")
    smpp_system_id: str = Field("", description="account at the SMS centre (`system_id`)")
    smpp_password: SecretStr | None = Field(None, description="its password")
    smpp_source: str = Field("SIFILMA", description="the sender's name on the phone, at most 11 letters")
    sms_webhook_url: str = Field("", description="SMS or WhatsApp gateway by HTTP, where there is no SMPP: POST {to, text}")
    sms_webhook_token: SecretStr | None = Field(None, description="bearer token sent to that gateway")

    # --- reminders: one message a day to whoever has something due ---
    remind_hour: int = Field(7, description="hour of the day, in each person's zone, at which they are reminded", ge=0, le=23)
    remind_after_days: int = Field(2, description="days something waits for somebody before they are reminded; again every week", ge=0)
    remind_token_days: tuple[int, ...] = Field((3,), description="days before a token lapses at which its organisation is told")
    remind_manifest_days: tuple[int, ...] = Field((60, 30, 7), description="the same for manifests")
    remind_role_days: tuple[int, ...] = Field((7, 1), description="the same for a role that somebody has until a day")
    remind_key_days: tuple[int, ...] = Field((30, 7), description="the same for API keys, and the heads")
    remind_agreement_days: tuple[int, ...] = Field((90, 30), description="the same for agreements (PKS), and the operators")

    # --- service targets, in working days (Monday to Friday in WIB, without holidays); 0: none ---
    target_approval_days: int = Field(3, description="from the submission of a personalisation request to its approval", ge=0, le=365)
    target_personalisation_days: int = Field(5, description="from that approval to the last result", ge=0, le=365)
    target_handover_days: int = Field(
        3,
        description="for each handover: from the personalised or received card to its BAST, and from the BAST to its receipt",
        ge=0,
        le=365,
    )
    target_activation_approval_days: int = Field(
        2, description="from the submission of an activation request to its approval", ge=0, le=365
    )
    target_destruction_days: int = Field(
        3, description="from the proposal of a destruction to its approval, and from the Berita Acara to its verification", ge=0, le=365
    )
    holidays_file: str = Field(
        "",
        description="file of public holidays, CSV of `date,name` as `config/holidays.sample.csv`, read at the start; empty: only Saturdays "
        "and Sundays are not worked",
    )

    # --- how people reach those who run the service; shown on the contact page, empty: not given yet ---
    contact_email: str = Field("", description="official e-mail address of the service desk")
    contact_phone: str = Field("", description="official telephone number of the service desk")
    contact_hours: str = Field("", description="when the service desk answers, in words")

    # --- the card's life ---
    token_days: int = Field(14, description="how long an activation token may be used")
    manifest_years: int = Field(3, description="validity of a manifest, where the PKS does not end earlier")
    manifest_grace_days: int = Field(30, description="days after its end for which a reader still takes a manifest, with a warning")
    place_deadline_days: int = Field(
        14,
        description="days after a place was rejected until its card is suspended, if nobody decides and it is not relocated",
        ge=1,
    )
    batch_max_rows: int = Field(100_000, description="rows of a file of cards, units, keys or reference data accepted in one request")
    rows_at_once: int = Field(
        2_000,
        description="rows of a batch or of results that are checked while their sender waits; a longer file is taken in by the worker",
        ge=1,
    )
    blank_ledger_required: bool = Field(
        False, description="whether a result is refused whose UID was never delivered as a blank SAM; otherwise it is asked about"
    )
    blank_low_stock: int = Field(0, description="operators are told when fewer blank SAMs than this are left; 0: never", ge=0)
    bulk_at_once: int = Field(
        500, description="rows of a file of activations in one transaction on PostgreSQL; 50 at most on SQLite, where all others wait", ge=1
    )
    master_version: int = Field(1, description="`sam-master-vN` used for newly approved personalisations", ge=1)
    witnesses_min: int = Field(2, description="witnesses of a destruction; never below 2", ge=2)
    legal_basis_destruction: str = Field(
        "Peraturan Menteri Dalam Negeri Nomor 76 Tahun 2020",
        description="`dasar hukum` printed on each Berita Acara; an installation gives the articles too",
        min_length=10,
        max_length=1000,
    )
    tkdn_min: float = Field(30, description="local content (TKDN) a model needs, in percent, at least", ge=0, le=100)
    legal_basis_tkdn: str = Field(
        "Permendagri 76/2020 Pasal 12-16 (pengujian dan sertifikasi; TKDN paling sedikit 30%)",
        description="`dasar hukum` of the tests and certificates of models, kept with each certificate",
    )
    status_list_size: int = Field(131_072, description="entries per status list", ge=8)
    status_list_hours: int = Field(24, description="how long a published status list may be relied on")

    # --- backup ---
    backup_recipients: tuple[str, ...] = Field(
        (), description='public keys of age to which backups are encrypted, e.g. ["age1…"]; their private halves lie elsewhere'
    )
    backup_hours: int = Field(26, description="hours after which `sifilma backup --check` misses a backup; 0: never", ge=0)
    drill_days: int = Field(92, description="days after which it misses a drill; 0: never", ge=0)

    # --- the transparency log ---
    log_origin: str = Field(
        "",
        description="the log's name in its checkpoints; empty: from `issuer`. A new one only where a database older than the last "
        "checkpoint had to be restored: what is signed then is another log",
        pattern=r"^[!-*,-~]*$",
        max_length=200,
    )

    # --- the clock ---
    clock_tolerance_seconds: float = Field(
        60.0,
        description="seconds by which the clock may differ from the database's clock, and from the time since the worker's last sign of "
        "life; a greater difference stops what is dated for good. Above the second of an NTP step, below the 300 s that verifiers allow",
        ge=5,
        le=240,
    )

    # --- logs ---
    log_level: str = Field("INFO", description="least level of a line in the logs, as Python's `logging` names it")
    log_json: bool = Field(True, description="log lines as JSON; else as text for a terminal")

    @property
    def is_demo(self) -> bool:
        """Return whether this is the demonstration that `make run` starts."""
        return self.env == "demo"

    @property
    def mark(self) -> str:
        """Return the word that everything of an installation for practice carries, or an empty text for a real one."""
        return MARKS.get(self.env, "")

    @property
    def banner(self) -> str:
        """Return the line on every page and paper of an installation for practice, or an empty text for a real one."""
        return f"{self.mark} — bukan sistem resmi" if self.mark else ""

    @cached_property
    def database(self) -> str:
        """Return the URL of the database in use: `database_url`, or SQLite under `home`."""
        return self.database_url or f"sqlite:///{(self.home / 'sifilma.db').resolve()}"

    @property
    def log_name(self) -> str:
        """Return the origin of the transparency log's checkpoints: a URL without its scheme (C2SP tlog-checkpoint)."""
        return self.log_origin or self.issuer.removeprefix("https://").removeprefix("http://").rstrip("/") + "/log"

    @property
    def witness_folder(self) -> Path | None:
        """Return the folder that is the witness, or None where there is none or it is no folder."""
        is_folder = self.witness and not self.witness.startswith(("http://", "https://", "mailto:"))
        return Path(self.witness) if is_folder else None

    @property
    def files(self) -> Path:
        """Return the folder in which versions of before kept uploaded files; `sifilma db files` brings them into the database."""
        return self.home / "files"

    @property
    def file_cache(self) -> Path:
        """Return the folder of copies of stored files. It can be thrown away."""
        return self.home / "cache" / "files"

    @property
    def trust(self) -> Path:
        """Return the folder of the published keyset and certificates."""
        return self.home / "trust"

    def optional_secret(self, name: str) -> str:
        """Return a secret by its field name, or an empty text if it is not set."""
        value: SecretStr | None = getattr(self, name)
        return value.get_secret_value() if value is not None else ""

    def secret(self, name: str) -> str:
        """Return a secret by its field name. Raise SettingsError, with the variable's name, if it is not set."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            raise SettingsError(f"SIFILMA_{name.upper()} is not set: give it in the environment or as a file in SIFILMA_SECRETS_DIR.")
        return value.get_secret_value()

    @field_validator(
        "code_channels",
        "remind_token_days",
        "remind_manifest_days",
        "remind_role_days",
        "remind_key_days",
        "remind_agreement_days",
        mode="before",
    )
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        """Read a list that the environment gives as JSON. The text itself is left to be refused where it is none."""
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return value
