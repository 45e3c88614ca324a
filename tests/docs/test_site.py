"""The site builds with warnings as errors, without a network, and fetches nothing from another host when it is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import gateway
from docs.blocks import PAGES, ROOT

SITE = ROOT / "mkdocs.yml"
OUTSIDE = re.compile(r"(?:https?:)?//", re.IGNORECASE)

# What a browser fetches by itself: the elements and the attributes that name it. A link that is followed is not.
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
    "link": ("href",),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. The child process can reach nothing but loopback (tests/child_processes)."""
    folder = tmp_path_factory.mktemp("site") / "built"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Fetches(HTMLParser):
    """What a page makes a browser fetch, its identifiers, its links and its classes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.identifiers: set[str] = set()
        self.links: list[str] = []
        self.classes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value is None:
                continue
            if name in FETCHED.get(tag, ()):
                self.fetched += [part.split()[0] for part in value.split(",")] if name == "srcset" else [value]
            elif name == "style":
                self.fetched += in_styles(value)
            elif name == "href" and tag == "a":
                self.links.append(value)
            elif name in ("id", "name"):
                self.identifiers.add(value)
            elif name == "class":
                self.classes.update(value.split())


def in_styles(text: str) -> list[str]:
    found = re.findall(r"url\(\s*['\"]?(.*?)['\"]?\s*\)", text) + re.findall(r"@import\s+['\"](.*?)['\"]", text)
    return [each for each in found if not each.startswith("data:")]


def pages(site: Path) -> Iterator[tuple[Path, _Fetches]]:
    for path in sorted(site.rglob("*.html")):
        yield path, _Fetches(path.read_text(encoding="utf-8"))


def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    count = 0
    for path, page in pages(site):
        styles = re.findall(r"(?s)<style[^>]*>(.*?)</style>", path.read_text(encoding="utf-8"))
        for address in [*page.fetched, *(each for style in styles for each in in_styles(style))]:
            assert not OUTSIDE.match(address), f"{path.relative_to(site)} fetches {address}"
            count += 1
        # What the theme would fetch when a page asks for it: drawings by a program, and a repository's figures.
        assert not page.classes & {"mermaid", "md-source", "math", "arithmatex"}, path
    assert count > 100
    for path in site.rglob("*.css"):
        for address in in_styles(path.read_text(encoding="utf-8")):
            assert not OUTSIDE.match(address), f"{path.relative_to(site)} fetches {address}"
    for path in site.rglob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?:href|src)\s*=\s*['\"](?:https?:)?//", text), path
        assert not in_styles(text.replace("url(#", "local(#")), path


def test_links_and_pieces_of_pages_are_there(site: Path) -> None:
    """mkdocs checks what is written in Markdown; here is what the browser will see, drawings and scripts as well."""
    found = dict(pages(site))
    checked = 0
    for path, page in found.items():
        if path.name == "404.html":
            continue
        for address in [*page.fetched, *page.links]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)} names {address}"
            if parts.fragment and target in found and parts.fragment != "__top":
                assert unquote(parts.fragment) in found[target].identifiers, f"{path.relative_to(site)} names {address}"
            checked += 1
    assert checked > 1000


def test_every_public_section_was_built(site: Path) -> None:
    text = (site / "reference" / "python" / "models.html").read_text(encoding="utf-8")
    assert 'id="gateway.models.Order"' in text
    assert "Everything about payment is read from the attempt that leads." in text
    text = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    assert 'id="gateway.errors.OutcomeUnknown"' in text


def test_it_can_be_searched(site: Path) -> None:
    text = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "OutcomeUnknown" in text
    assert "reference/python/models.html" in text
    assert "reference/python/conformance.html" not in text
    index = json.loads(text)
    # The browser splits by it: here `\b` and the look-arounds mean the same.
    parts = set(re.split(index["config"]["separator"], "the event order.underpaid, OutcomeUnknown, 0.05 BTC"))
    assert {"order", "underpaid", "Outcome", "Unknown", "0.05"} <= parts


def test_the_site_says_its_version_and_its_changes(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert f"crypto-gateway {gateway.__version__}, Apache License 2.0" in home
    assert f"{gateway.__version__} - " in (site / "changelog.html").read_text(encoding="utf-8")
    assert "Reporting a weakness" in (site / "security.html").read_text(encoding="utf-8")


def test_fields_are_told_by_their_descriptions(site: Path) -> None:
    """And the calls of a gateway by the class that has them."""
    text = (site / "reference" / "python" / "contracts.html").read_text(encoding="utf-8")
    _, _, about = text.partition('id="gateway.contracts.AccountSettings.underpayment_tolerance"')
    assert "how much less than asked still counts as paid" in about[:6000]
    assert "description" not in re.sub(r"<[^>]+>", "", about[:3000]).split("how much")[0]
    text = (site / "reference" / "python" / "gateway.html").read_text(encoding="utf-8")
    _, _, about = text.partition('id="gateway.api.Gateway.orders"')
    assert 'href="#gateway.api.Orders"' in about[:3000]


# The navigation


def listed(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for inner in part.values() if isinstance(part, dict) else part:
            yield from listed(inner)


NAVIGATION = list(listed(yaml.safe_load(SITE.read_text(encoding="utf-8"))["nav"]))


def test_every_page_is_in_the_navigation() -> None:
    assert sorted(f"docs/{name}" for name in NAVIGATION) == sorted(set(PAGES) - {"README.md"})


def test_the_readme_leads_to_every_part_of_the_site() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", PAGES["README.md"].read_text(encoding="utf-8")))
    below = {name for name in NAVIGATION if name.startswith(("providers/", "reference/python/"))} - {
        "providers/index.md",
        "reference/python/index.md",
    } | {"changelog.md", "security.md"}  # beside it in the repository, and linked there
    assert {f"docs/{name}" for name in NAVIGATION} - {"docs/index.md"} - {f"docs/{name}" for name in below} <= linked
    assert all((ROOT / name).exists() for name in linked)


def test_a_page_is_told_once() -> None:
    """No paragraph of prose stands on two pages."""
    seen: dict[str, str] = {}
    for name, path in PAGES.items():
        if name in ("README.md", "docs/index.md") or "/reference/" in name or "/providers/" in name:
            continue
        text = re.sub(r"(?s)^ *```.*?^ *```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for paragraph in re.split(r"\n\s*\n", text):
            words = " ".join(paragraph.split())
            if len(words) > 120:
                assert seen.setdefault(words, name) == name, f"{name} and {seen[words]}: {words}"
