"""How a provider's own steps are written for a person: each with its number, and what to enter as it is to be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from gateway import key_commands
from gateway.cli.output import shown
from gateway.models.keys import GuideStep, KeyAction, KeyGuide

__all__ = ["guide_text", "keeping_text", "network_words", "numbered", "step_text", "steps_text"]

_AIMS = {
    KeyAction.CREATE: "make {}",
    KeyAction.EDIT: "change what {} may do, and from where",
    KeyAction.REVOKE: "end {}",
    KeyAction.DELETE: "end {}",
    KeyAction.DELETE_ALL: "end all keys",
}


def numbered(steps: Iterable[GuideStep]) -> list[tuple[str, GuideStep]]:
    """Each step with its number: the provider's own where it numbers all of them, else its place."""
    found = list(steps)
    if all(step.covers for step in found):
        return [("-".join(map(str, sorted({step.covers[0], step.covers[-1]}))), step) for step in found]
    return [(str(number), step) for number, step in enumerate(found, start=1)]


def step_text(number: str, step: GuideStep, parts: Mapping[str, str]) -> str:
    """One step; `parts` are the titles of the key's parts. What is entered stands alone behind its field's name."""
    details = [
        ("page", shown(step.page) if step.page else ""),
        *((f"enter {shown(field)}", shown(value)) for field, value in step.enter.items()),
        ("tick", shown(step.tick)),
        ("asked for", shown(step.asks)),
        ("shown", shown([parts.get(name, name) for name in step.shows])),
    ]
    lines = [f"Step {number}. {shown(step.text)}", *(f"    {name}: {value}" for name, value in details if value)]
    return "\n".join(lines)


def steps_text(steps: Iterable[tuple[str, GuideStep]], parts: Mapping[str, str]) -> str:
    return "\n".join(step_text(number, step, parts) for number, step in steps)


def guide_text(guide: KeyGuide, title: str, keeping: str = "") -> str:
    """A whole guide: what it is for, its steps, and apart from them what comes later. `title` is the provider's,
    `keeping` how the key gets into the ring.
    """
    steps = numbered(guide.steps)
    key = f"the key {guide.label}" if guide.label is not None else "a key"
    head = [f"{shown(title)}, account {guide.account}: {_AIMS[guide.action].format(key)}"]
    if guide.label is not None and not guide.in_ring and guide.action is not KeyAction.CREATE:
        head.append(f"The ring of {guide.account} has no key {guide.label}: look whether the label is right")
    if guide.action in (KeyAction.CREATE, KeyAction.EDIT):
        head += [f"It may: {shown(guide.permissions)}"] if guide.permissions is not None else []
        head += [f"From: {network_words(guide.networks)}"]
    if guide.proofs:
        head.append(f"What will be asked for: {shown(guide.proofs)}")
    blocks = ["\n".join(head), steps_text([one for one in steps if not one[1].later], guide.parts)]
    later = [one for one in steps if one[1].later]
    if later:
        blocks.append("Later\n" + steps_text(later, guide.parts))
    if guide.parts and keeping:
        blocks.append(keeping)
    blocks.append(f"Source: {shown(guide.source)} (grade {guide.grade})")
    return "\n\n".join(blocks)


def keeping_text(guide: KeyGuide, pool: str, *, issues: bool) -> str:
    """How the key that the guide makes gets into the ring."""
    label, parts = guide.label or "LABEL", ", ".join(map(shown, guide.parts.values()))
    if issues:
        command = shlex.join(["gateway", "keys", "issue", "--account", guide.account, "--label", label])
        return f"`{command}` asks for: {parts}"
    command = key_commands.keeping(label, guide.account, guide.kind, guide.permissions, guide.networks, pool)
    return f"`{command}` then asks for: {parts} (or takes a line of standard input for each, in this order)"


def network_words(networks: Iterable[str] | None) -> str:
    """Where a key works from; a network of one address as that address."""
    if networks is None:
        return "anywhere"
    return ", ".join(map(key_commands.address_words, networks))
