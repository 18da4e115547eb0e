"""What is not real does not start production, what is real does not start practice, and everything that is wrong is said at once."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config import loading
from config.settings import Settings, SettingsError
from config.soundness import DEMO, STRENGTH, completed, findings
from config.strength import weakness
from tests.config.real_settings import REAL

TRAINING: dict[str, Any] = {
    "env": "training",
    "secret_key": SecretStr(secrets.token_hex(32)),
    "hsm_pin": SecretStr(secrets.token_hex(16)),
}


def refused(base: dict[str, Any], **changes: Any) -> list[str]:
    """The names of the settings that refuse the start."""
    settings = completed(Settings(**(base | changes)))
    return [finding.setting for finding in findings(settings) if finding.refused]


def test_a_sound_production_is_not_refused_and_a_sound_training_neither() -> None:
    assert refused(REAL) == []
    assert refused(TRAINING) == []


@pytest.mark.parametrize("name", DEMO)
def test_no_value_of_the_demonstration_starts_anything_real(name: str) -> None:
    for base in (REAL, TRAINING):
        for public in DEMO.values():
            assert name in refused(base, **{name: SecretStr(public)})


@pytest.mark.parametrize("name", STRENGTH)
@pytest.mark.parametrize("weak", ["short", "x" * 40, "12" * 20, "0123456789abcdefghijklmnopqrstuvwxyz", "please-changeme-" + "q9wK" * 6])
def test_no_weak_secret_starts_production(name: str, weak: str) -> None:
    assert refused(REAL, **{name: SecretStr(weak)}) == [name]


def test_no_secret_serves_two_purposes() -> None:
    one = SecretStr(secrets.token_hex(32))
    assert refused(REAL, secret_key=one, hsm_pin=one) == ["hsm_pin"]


def test_random_secrets_are_not_taken_for_weak_ones() -> None:
    for least, different in STRENGTH.values():
        wrong = [weakness(secrets.token_urlsafe(least), least=least, different=different) for _ in range(200)]
        assert wrong == [""] * 200


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *((name, wrong) for name in ("issuer", "public_url") for wrong in (
            "https://sifilma.example.go.id", "https://example.com", "https://sifilma.contoh.go.id", "https://sifilma.test", "https://sifilma",
            "https://localhost", "https://127.0.0.1", "https://[::1]", "https://0.0.0.0", "https://169.254.1.1", "https://127.1",
            "http://sifilma.kemendagri.go.id", "sifilma.kemendagri.go.id", "urn:sifilma", "https://", "", "https://si filma.go.id",
            "https://a@sifilma.kemendagri.go.id", "https://sifilma.kemendagri.go.id?x=1", "https://sifilma.kemendagri.go.id#x",
            "https://sifilma.kemendagri.go.id:port", "https://[", "https://latihan.kemendagri.go.id", "https://sifilma-Training.go.id",
        )),
        ("public_url", "https://sifilma.kemendagri.go.id/"),
        ("public_url", "https://sifilma.kemendagri.go.id/sam"),
        ("https", False),
        *(("legal_basis_destruction", f"Permendagri 76/2020 {unwritten}") for unwritten in (
            "Pasal 17-27; angka sementara sampai naskah lengkap tersedia", "Pasal ...", "Pasal …", "Pasal <nomor>", "(contoh)", "TODO",
            "Pasal xxx",
        )),
        ("trusted_proxies", 0),
        ("database_url", ""),
        ("database_url", "sqlite:////var/lib/sifilma/sifilma.db"),
        ("hsm_module", "/usr/lib/softhsm/libsofthsm2.so"),
        ("hsm_module", "/usr/lib/x86_64-linux-gnu/SoftHSM/library.so"),
        ("hsm_token", "sifilma-latihan"),
        ("root_token", "root-training"),
        ("secret_key", None),
        ("hsm_pin", None),
        ("sms_webhook_url", "http://gateway.operator.co.id/send"),
        ("still_seconds", 9.0),
        ("log_level", "LOUD"),
    ],
)  # fmt: skip
def test_nothing_unreal_starts_production(setting: str, value: Any) -> None:
    assert set(refused(REAL, **{setting: value})) == {setting}


def test_a_link_to_softhsm_under_another_name_does_not_start_production(tmp_path: Path) -> None:
    other = tmp_path / "libvendor.so"
    other.symlink_to("/usr/lib/softhsm/libsofthsm2.so")
    assert refused(REAL, hsm_module=str(other)) == ["hsm_module"]


def test_mail_from_nowhere_does_not_start_production() -> None:
    assert refused(REAL, smtp_host="mail.kemendagri.go.id") == ["smtp_from"]
    assert refused(REAL, smtp_host="mail.kemendagri.go.id", smtp_from="sifilma@kemendagri.go.id") == []


def test_a_witness_is_reached_safely_and_known_by_its_key() -> None:
    key = "saksi.kemendagri.go.id/sam+2a7645ea+BFnY/f4vNgEzehAKoq4Pw83BSyQqU3wBnezphNXIRp0P"
    for sound in ("", "/mnt/saksi"):
        assert refused(REAL, witness=sound) == []
    for where in ("https://saksi.kemendagri.go.id", "http://127.0.0.1:8100"):
        assert refused(REAL, witness=where, witness_key=key) == []
        assert refused(TRAINING, witness=where) == refused(REAL, witness=where, witness_key="saksi") == ["witness_key"]
    assert refused(REAL, witness="http://saksi.kemendagri.go.id", witness_key=key) == ["witness"]
    assert refused(REAL, witness="mailto:saksi@kemendagri.go.id") == ["witness"]
    assert refused(REAL, witness="mailto:saksi@kemendagri.go.id", smtp_host="mail.go.id", smtp_from="s@kemendagri.go.id") == []


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"issuer": "https://sifilma.kemendagri.go.id"}, "issuer"),
        ({"issuer": "latihan"}, "issuer"),
        ({"hsm_token": "sifilma"}, "hsm_token"),
        ({"root_token": "sifilma-root"}, "root_token"),
        ({"public_url": "http://sifilma.kemendagri.go.id"}, "public_url"),
        ({"public_url": "https://latihan.kemendagri.go.id"}, "https"),
        ({"secret_key": None}, "secret_key"),
    ],
)
def test_nothing_real_starts_training(changes: dict[str, Any], setting: str) -> None:
    assert refused(TRAINING, **changes) == [setting]


def test_a_training_installation_has_an_issuer_and_tokens_of_its_own_without_any_setting() -> None:
    settings = completed(Settings(**TRAINING))
    assert "latihan" in settings.issuer
    assert (settings.hsm_token, settings.root_token) == ("sifilma-latihan", "sifilma-root-latihan")


def test_no_environment_variable_switches_a_refusal_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production is refused whatever any other variable says: only the settings themselves heal it."""
    for name in ("DEBUG", "INSECURE", "FORCE", "ALLOW_SOFTHSM", "SKIP_CHECKS"):
        monkeypatch.setenv(f"SIFILMA_{name}", "1")
    heals = {"issuer", "public_url", "secret_key", "hsm_pin", "database_url", "hsm_module", "https", "trusted_proxies"}
    assert {finding.setting for finding in loading.read_settings(env="production").findings if finding.refused} == heals


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"THREADS": "many", "PORT": "web", "CODE_CHANNELS": "email", "REMIND_TOKEN_DAYS": "[1, ]", "ENV": "production"}
    for name, value in wrong.items():
        monkeypatch.setenv(f"SIFILMA_{name}", value)
    with pytest.raises(SettingsError) as told:
        loading.load_settings()
    lines = str(told.value).splitlines()
    assert len(lines) == 12
    assert all(line.startswith("SIFILMA_") and line.endswith(".") for line in lines)
    for name in ("THREADS", "PORT", "CODE_CHANNELS", "REMIND_TOKEN_DAYS", "SECRET_KEY", "HSM_PIN", "ISSUER", "HTTPS", "DATABASE_URL"):
        assert sum(line.startswith(f"SIFILMA_{name} ") for line in lines) == 1, name


def test_a_list_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFILMA_ENV", "test")
    monkeypatch.setenv("SIFILMA_CODE_CHANNELS", '["email", "sms"]')
    monkeypatch.setenv("SIFILMA_REMIND_TOKEN_DAYS", "[5, 1]")
    settings = loading.load_settings()
    assert (settings.code_channels, settings.remind_token_days) == (("email", "sms"), (5, 1))


def test_a_folder_of_secrets_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIFILMA_ENV", "test")
    monkeypatch.setenv("SIFILMA_SECRETS_DIR", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="SIFILMA_SECRETS_DIR cannot be read"):
        loading.load_settings()
    (tmp_path / "sifilma_secret_key").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("SIFILMA_SECRETS_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="SIFILMA_SECRETS_DIR cannot be read"):
        loading.load_settings()


def test_no_sentence_repeats_a_secret() -> None:
    for name in STRENGTH:
        weak = "hunter2-" * 3
        told = [finding.text for finding in findings(Settings(**(REAL | {name: SecretStr(weak)})))]
        assert not [text for text in told if "hunter" in text]
