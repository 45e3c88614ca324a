"""What `gateway new-provider` writes: in order, strictly typed, loaded as a plugin, and passing the kit as it is."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from gateway import __version__
from gateway.capabilities import OPERATIONS
from gateway.contracts import CONTRACT_VERSION
from gateway.errors import InvalidRequest
from gateway.scaffold import MARKER, NewProvider, Part, Scheme, left_to_fill_in, render
from scaffold.generated import EDGES, generate, run

SCHEMES = list(Scheme)
PARTS: list[tuple[Part, ...]] = [(), (Part.WALLETS,), (Part.PAYOUTS,), tuple(Part)]


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", EDGES)
def test_no_template_shows(name: str, scheme: Scheme, parts: tuple[Part, ...]) -> None:
    made = render(NewProvider(name, scheme, parts=frozenset(parts)))
    for path, text in made.items():
        assert not re.search(r"<<|>>|^%%", text, re.MULTILINE), path
        assert text == "" or (text.endswith("\n") and not text.endswith("\n\n")), path
        assert "\n\n\n\n" not in text, path
    package = NewProvider(name).package
    there = {path.rpartition("/")[2] for path in made if path.startswith(f"src/{package}/")}
    always = "__init__ adapter callbacks capabilities mapping sandbox settings wire".split()
    assert {f"{module}.py" for module in always} | {"py.typed"} <= there
    assert ("auth.py" in there, "keys.py" in there) == (scheme is not Scheme.NONE, scheme is not Scheme.NONE)
    assert {"README.md", "pyproject.toml", ".gitignore", ".ci/run", "tests/test_conformance.py"} <= set(made)


LONGEST_TITLE = "A Title of Forty Letters & Signs (Ltd.)".ljust(40, "x")


@pytest.mark.parametrize(
    ("name", "title"), [*((name, "") for name in EDGES), ("a", LONGEST_TITLE), (EDGES[-1], LONGEST_TITLE)]
)
def test_it_is_in_order(name: str, title: str, tmp_path: Path) -> None:
    for scheme in SCHEMES:
        for parts in PARTS:
            generate(tmp_path / scheme / "-".join(["with", *parts]), name, scheme, title, parts)
    for words in (["format", "--check"], ["check"]):
        done = run(tmp_path, "ruff", *words, "--no-cache", ".")
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_strictly_typed(tmp_path: Path) -> None:
    """All of them in one run, because reading the gateway's own types takes longest; each under a name of its own."""
    folders = [tmp_path / scheme for scheme in SCHEMES]
    for folder, scheme, parts in zip(folders, SCHEMES, PARTS, strict=True):
        generate(folder, f"acme-{scheme}", scheme, parts=parts)
        # Otherwise there would be several modules called test_plugin.
        (folder / "tests").rename(tmp_path / f"tests_{scheme.replace('-', '_')}")
    paths = os.pathsep.join(
        ["$MYPY_CONFIG_FILE_DIR", *(f"$MYPY_CONFIG_FILE_DIR/{folder.name}/src" for folder in folders)]
    )
    settings = (folders[0] / "pyproject.toml").read_text(encoding="utf-8")
    changed = settings.replace('mypy_path = "$MYPY_CONFIG_FILE_DIR/src"', f'mypy_path = "{paths}"')
    assert changed != settings
    (tmp_path / "pyproject.toml").write_text(changed, encoding="utf-8")
    sources = [str(path) for path in sorted(tmp_path.rglob("*.py"))]
    done = run(tmp_path, "mypy", "--explicit-package-bases", "--cache-dir", str(tmp_path / "cache"), *sources)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("scheme", "parts"), [*((scheme, ()) for scheme in SCHEMES), (Scheme.HMAC, tuple(Part))])
def test_it_passes_its_tests_and_says_what_is_left(scheme: Scheme, parts: tuple[Part, ...], tmp_path: Path) -> None:
    provider = generate(tmp_path, "acme-pay", scheme, parts=parts)
    done = run(
        tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--gateway-report=report.json", "tests"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
    left = left_to_fill_in(render(provider))
    assert len(left) > 15
    summary = done.stdout.partition(f" left to fill in: {len(left)} ")[2]
    assert [line for line in left if line not in summary] == []
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert sorted(report["left_to_fill_in"]) == sorted(left)
    assert (report["complete"], report["conforms"]) == (False, True)
    told = run(tmp_path, "gateway.cli", "conformance", "report.json")
    assert f"left to fill in: {len(left)}" in told.stdout
    assert [line for line in left if line not in told.stdout] == []


def test_its_tests_find_what_is_wrong(tmp_path: Path) -> None:
    """Were they to pass whatever the adapter did, passing would mean nothing."""
    provider = generate(tmp_path)
    mapping = tmp_path / "src" / provider.package / "mapping.py"
    text = mapping.read_text(encoding="utf-8")
    mapping.write_text(text.replace('"paid": (OrderStatus.PAID', '"paid": (OrderStatus.PENDING'), encoding="utf-8")
    done = run(
        tmp_path, "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "tests", "-k", "providers_words"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the provider's word 'paid' became 'pending'" in done.stdout


def test_an_unknown_code_that_is_called_a_refusal_is_found(tmp_path: Path) -> None:
    provider = generate(tmp_path)
    mapping = tmp_path / "src" / provider.package / "mapping.py"
    text = mapping.read_text(encoding="utf-8")
    changed = text.replace("recognised=kind is not None", "recognised=True")
    assert changed != text
    mapping.write_text(changed, encoding="utf-8")
    done = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests", "-k", "code_that_is_not")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed" in done.stdout


def test_the_command_line_shows_it(tmp_path: Path) -> None:
    provider = generate(tmp_path, "acme-pay", Scheme.HMAC)
    rows = json.loads(run(tmp_path, "gateway.cli", "providers", "--json").stdout)
    assert [row for row in rows if row["name"] == "acme-pay"] == [
        {
            "name": "acme-pay",
            "title": "Acme Pay",
            "distribution": provider.distribution,
            "version": "0.1.0",
            "entry_point": provider.package,
            "error": None,
        }
    ]
    table = json.loads(run(tmp_path, "gateway.cli", "capabilities", "--provider", "acme-pay", "--json").stdout)
    declared = {(row["operation"], row["variant"]) for row in table}
    assert declared == {(one.name, variant) for one in OPERATIONS.values() for variant in one.variants}
    # What nobody has filled in is refused until an account allows it.
    assert {row["grade"] for row in table} == {"I", "X"}


def test_the_distribution_says_what_it_needs() -> None:
    made = render(NewProvider("acme-pay"))
    project = tomllib.loads(made["pyproject.toml"])["project"]
    assert (project["name"], project["entry-points"]) == (
        "gateway-acme-pay",
        {"gateway": {"acme-pay": "gateway_acme_pay"}},
    )
    major, minor = map(int, __version__.split(".")[:2])
    until = f"0.{minor + 1}" if major == 0 else str(major + 1)
    assert project["dependencies"] == [f"crypto-gateway>={__version__},<{until}"]
    # Written out, so that a gateway with another contract can refuse it.
    assert f"contract={CONTRACT_VERSION}," in made["src/gateway_acme_pay/__init__.py"]


def test_what_is_left_is_told_with_its_place() -> None:
    made = render(NewProvider("acme"))
    assert {"README.md", "pyproject.toml"} < {place.partition(":")[0] for place in left_to_fill_in(made)}
    for place in left_to_fill_in(made):
        path, line, what = place.split(":", 2)
        assert made[path].splitlines()[int(line) - 1].removesuffix(" -->").endswith(f"{MARKER}{what}")
        assert what.strip()
    assert left_to_fill_in({"a.py": "x = 1\n"}) == []


@pytest.mark.parametrize(
    "name",
    ["", "Acme", "1acme", "acme_pay", "acme-", "-acme", "a--b", "acmé", "acme pay", "x" * 33, "acme\n", "../acme"],
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="not a provider's name"):
        NewProvider(name)


@pytest.mark.parametrize("title", ['A"b', "A\nb", " ", "a\\", "-a", "x" * 41, "{a}", "<<name>>"])
def test_a_title_that_is_none_is_refused(title: str) -> None:
    with pytest.raises(InvalidRequest, match="not a title"):
        NewProvider("acme", title=title)


def test_titles() -> None:
    assert NewProvider("acme-pay").title == "Acme Pay"
    assert (
        'title="Äcme & Co. (EU)"'
        in render(NewProvider("acme", title="Äcme & Co. (EU)"))["src/gateway_acme/__init__.py"]
    )
