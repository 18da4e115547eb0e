"""The colours of both themes stand in one place, and each text and edge has its contrast on its grounds (WCAG 1.4.3, 1.4.11)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from sifilma.web.assets import STATIC

CSS = (STATIC / "sifilma.css").read_text()
LITERAL = re.compile(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(|(?<=[:\s])(?:white|black)\b(?=\s*[;!}])")
THEMES = ("light", "dark")
# What is written in which colour, on which grounds. A token that a rule uses for text or as a ground must stand here.
GROUNDS = ("ground", "paper", "head", "none-ground")
TEXT = {
    "ink": (*GROUNDS, "field", "map-sea"),
    "quiet": (*GROUNDS, "field"),
    "link": (*GROUNDS, "field"),
    "link-hover": GROUNDS,
    "good": ("good-ground", "paper", "ground", "none-ground"),
    "bad": ("bad-ground", "paper", "ground", "field"),
    "wait": ("wait-ground", "paper", "ground", "none-ground"),
    "info": ("info-ground", "paper", "ground"),
    "on-fill": ("brand", "brand-hover", "good-fill", "good-fill-hover", "bad-fill", "bad-fill-hover"),
    "side-ink": ("side",),
    "on-side": ("side", "side-hover", "side-here"),
    "on-sun": ("sun",),
    "map-provinces": ("map-home", "map-sea"),
    "map-regencies": ("map-home", "map-sea"),
    "map-districts": ("map-home",),
    "map-villages": ("map-home",),
}
EDGES = {
    "edge": ("paper", "field", "ground"),
    "focus": ("paper", "ground", "field"),
    "wait-edge": ("paper",),
    "sun": ("side-here",),
    **{f"chart-{tone}": ("paper",) for tone in ("quiet", "wait", "good", "bad", "info")},
    "map-position": ("map-home",),
    "map-claimed": ("map-home",),
    "map-outline": ("map-home",),
}
NO_TEXT = {"sheet", "video", "line", "map-sea", "map-position", "map-claimed"}
"""Grounds that no rule writes on: a PDF or a QR code, the camera's picture, the sea, the line between two dots, spots of a legend."""


def blocks() -> tuple[str, str, str]:
    """Return the declarations of the light theme, those of the dark one, and everything else."""
    light = re.search(r"^:root \{\n(.*?)^\}\n", CSS, re.DOTALL | re.MULTILINE)
    dark = re.search(
        r"^@media screen and \(prefers-color-scheme: dark\) \{.*?\n  :root \{\n(.*?)^  \}\n\}\n", CSS, re.DOTALL | re.MULTILINE
    )
    assert light
    assert dark
    return light[1], dark[1], CSS.replace(light[0], "").replace(dark[0], "")


def tokens(theme: str) -> dict[str, str]:
    """Return the colours of a theme by name. The dark theme keeps what it does not set."""
    light, dark, _ = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", part)) for part in blocks())
    return light | dark if theme == "dark" else light


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) > 4 else "".join(digit * 2 for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def pale(theme: str) -> Iterator[str]:
    known = tokens(theme)
    for pairs, least in ((TEXT, 4.5), (EDGES, 3.0)):
        for name, grounds in pairs.items():
            for ground in grounds:
                found = contrast(known[name], known[ground])
                if found < least:
                    yield f"{theme}: {name} on {ground} {found:.2f}"


def test_the_contrast_is_computed_as_the_recommendation_does() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_and_every_edge_has_its_contrast(theme: str) -> None:
    assert list(pale(theme)) == []


def test_a_rule_uses_no_colour_and_no_pair_that_is_not_judged() -> None:
    _, dark, rules = blocks()
    assert LITERAL.findall(rules) == []
    scripts = {path.name: found for path in STATIC.glob("*.js") if (found := LITERAL.findall(path.read_text()))}
    assert scripts == {}
    written = set(re.findall(r"(?<![\w-])(?:--bs-btn-)?color: var\(--([\w-]+)\)", rules))
    assert written - set(TEXT) == set()
    laid = set(re.findall(r"(?:background(?:-color)?|--bs-btn-(?:hover-|active-)?bg): var\(--([\w-]+)\)", rules))
    judged = {ground for grounds in TEXT.values() for ground in grounds}
    assert laid - judged - NO_TEXT == set()
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", rules):
        color, ground = (re.search(rf"(?<![\w-]){name}: var\(--([\w-]+)\)", body) for name in ("color", "background(?:-color)?"))
        if color and ground and ground[1] not in NO_TEXT:
            assert ground[1] in TEXT[color[1]], selector.strip()
    assert set(re.findall(r"--([\w-]+):", dark)) <= set(re.findall(r"--([\w-]+):", blocks()[0]))


def test_paper_and_print_stay_light() -> None:
    assert tokens("dark")["sheet"] == tokens("light")["sheet"] == "#fff"
    assert re.search(r"\.qr \{[^}]*background: var\(--sheet\)", CSS)
    assert CSS.count("prefers-color-scheme") == CSS.count("screen and (prefers-color-scheme: dark)") == 1
    assert re.search(r"@media print \{\s*:root \{ color-scheme: light; \}", CSS)
