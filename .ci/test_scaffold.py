"""Generates a provider's distribution for each way of authentication, installs it into a clean environment and runs it.

Called by `make test-scaffold`. Everything comes from wheels: the project's own is built from this clone, the generated
one by the same tool. What both need comes from the index that pip is configured with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCHEMES = {"bearer": "wallets", "api-key": "", "hmac": "wallets,payouts", "none": ""}
"""With the parts that each is generated with, beside orders."""
END = time.monotonic() + 1800
"""All of it takes a few minutes, most of them installing; a machine on which it hangs is told so after half an hour."""


def left() -> float:
    return max(1.0, END - time.monotonic())


class Environment:
    """A virtual environment with nothing of this clone in it, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
        venv.create(folder / "environment", with_pip=True)

    def run(self, *words: str, where: Path | None = None) -> str:
        """Run a command of the environment. Ends everything with its output when it fails."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GATEWAY_", "PYTHON"))}
        path = os.pathsep.join([str(self.bin), os.environ["PATH"]])
        done = subprocess.run(
            words,
            cwd=where or self.folder,
            env={**kept, "PATH": path, "VIRTUAL_ENV": str(self.bin.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=left(),
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def python(self, *words: str, where: Path | None = None) -> str:
        return self.run(str(self.bin / "python"), *words, where=where)

    def install(self, *what: str) -> None:
        self.python("-m", "pip", "--disable-pip-version-check", "install", "--quiet", *what)


def wheel(source: Path, folder: Path) -> Path:
    """The wheel of this source, built with the tool of the environment that runs this script."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=left())
    (made,) = folder.glob("*.whl")
    return made


def told(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def expect(condition: bool, what: str, found: object) -> None:
    if not condition:
        sys.exit(f"{what}: {found}")


def examine(environment: Environment, scheme: str, parts: str) -> str:
    """One distribution from its generation to its removal. What it was, in words."""
    name = f"acme-{scheme}"
    command = str(environment.bin / "gateway")
    chosen = ["--with", parts] if parts else []
    written: dict[str, Any] = json.loads(
        environment.run(command, "new-provider", name, "--auth", scheme, *chosen, "--json")
    )
    source = environment.folder / written["directory"]
    # As its README says: installed to be worked on, checked, tested, and the report shown.
    environment.run(str(source / ".ci" / "run"), where=source)
    report = json.loads((source / "report.json").read_text(encoding="utf-8"))
    expect(report["conforms"], f"{name} does not conform", report)
    expect(not report["complete"], f"{name} is called complete with places left to fill in", report)
    expect(len(report["left_to_fill_in"]) == len(written["fill_in"]), f"{name} does not tell all of them", report)
    # As a merchant has it: its wheel, and nothing of the source.
    environment.python(
        "-m", "pip", "--disable-pip-version-check", "uninstall", "--quiet", "--yes", written["distribution"]
    )
    environment.install(str(wheel(source, environment.folder / f"wheel-{scheme}")))
    rows = json.loads(environment.run(command, "providers", "--json"))
    shown = [(row["distribution"], row["version"], row["error"]) for row in rows if row["name"] == name]
    expect(shown == [(written["distribution"], "0.1.0", None)], f"{name} is not shown as installed", rows)
    environment.python("-m", "pytest", "-q", "-o", "pythonpath=", "tests/test_plugin.py", where=source)
    (subject,) = report["subjects"]
    proved = sum(row["state"] == "proved" for row in subject["rows"])
    return f"{name}: {proved} rows of its table proved, {len(written['fill_in'])} places left to fill in"


def main() -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scaffold-") as made:
        folder = Path(made)
        environment = Environment(folder)
        environment.install(f"{wheel(ROOT, folder / 'wheel')}[cli,sandbox]")
        for scheme, parts in SCHEMES.items():
            told(examine(environment, scheme, parts))
        # All of them beside each other.
        rows = json.loads(environment.run(str(environment.bin / "gateway"), "providers", "--json"))
        names = {row["name"] for row in rows if row["error"] is None}
        expect({f"acme-{scheme}" for scheme in SCHEMES} <= names, "not all are there", rows)
    told(f"scaffold: all of them pass, in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
