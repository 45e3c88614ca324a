"""What makes shells complete `gateway`, and the way in that they call.

Typer's own scripts serve zsh, fish and PowerShell. That for bash is ours: bash takes words apart at `@`, `=` and `:` as
well, which stand in assets and options, and puts candidates into the line without quoting them.
"""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from typer.completion import get_completion_inspect_parameters, install_callback, show_callback

__all__ = ["Shell", "install", "make_known", "show", "take_line"]

BASH = r"""
# Completion of `gateway` for bash.
_gateway_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" current="${COMP_WORDS[COMP_CWORD]}" word masked head tail value rest
    local last='(([^\\[:space:]]|\\.)*)$'
    [[ $line =~ $last ]] && word="${BASH_REMATCH[1]}"
    [[ $word == --*=* ]] && word="${word#*=}"
    # What bash keeps of the word: all up to the last character that it takes words apart at. An `@` it hands over.
    masked="${word//\\?/__}"
    tail="${masked##*[$COMP_WORDBREAKS]}"
    head="${word:0:${#masked}-${#tail}}"
    head="${head//\\/}"
    head="${head%@}"
    COMPREPLY=()
    while IFS=$'\t' read -r value rest; do
        [[ -n $value ]] || continue
        if [[ $current != [\"\']* ]]; then
            printf -v value '%q' "${value#"$head"}"
        fi
        COMPREPLY+=("$value")
    done < <(_GATEWAY_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="$line" \
        "$1" 2>/dev/null)
}
complete -o default -F _gateway_completion gateway
""".lstrip()

_LINE = "_TYPER_COMPLETE_ARGS"


class Shell(StrEnum):
    """What completion can be had for. Always named: what shell a script was started from is a guess."""

    BASH = "bash"
    FISH = "fish"
    POWERSHELL = "powershell"
    PWSH = "pwsh"
    ZSH = "zsh"


def make_known() -> None:
    """Makes the shells known to Typer, which otherwise happens with its own options; those would guess the shell."""
    get_completion_inspect_parameters()


def show(context: typer.Context, parameter: typer.CallbackParam, value: Shell | None) -> None:
    """The callback of --show-completion: print the script and exit."""
    if value is Shell.BASH:
        typer.echo(BASH, nl=False)
        raise typer.Exit
    show_callback(context, parameter, value)


def install(context: typer.Context, parameter: typer.CallbackParam, value: Shell | None) -> None:
    """The callback of --install-completion: write the script where the shell finds it, and exit."""
    if value is Shell.BASH:
        typer.echo(f"bash completion installed in {_install_bash(Path.home())}")
        typer.echo("It works in shells that are started from now on.")
        raise typer.Exit
    install_callback(context, parameter, value)


def _install_bash(home: Path) -> Path:
    script = home / ".bash_completions" / "gateway.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(BASH, encoding="utf-8")
    settings, line = home / ".bashrc", f"source {shlex.quote(str(script))}"
    before = settings.read_text(encoding="utf-8") if settings.exists() else ""
    if line not in before.splitlines():
        with settings.open("a", encoding="utf-8") as file:
            file.write("\n" * (before[-1:] not in ("", "\n")) + line + "\n")
    return script


def take_line(environment: Any = os.environ) -> None:
    """Correct the line that a shell sends: Typer takes a space at its end for the end of a word, also where it belongs
    to the word because of a quote or a backslash before it, as in `--price "25 `.
    """
    line = environment.get(_LINE, "")
    if not line.endswith(" "):
        return
    short = line.rstrip(" ")
    if short.endswith("\\"):
        environment[_LINE] = short[:-1]
        return
    try:
        shlex.split(short)
    except ValueError:  # a quote is open
        environment[_LINE] = short
