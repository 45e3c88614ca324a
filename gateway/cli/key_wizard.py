"""`gateway keys create`: a walk through the provider's own steps, which keeps the key at the end.

What the provider shows once is captured once, at the step where it is shown, and is in memory alone until the provider
has accepted it. The walk is on standard error; the key, without its secret, on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from shlex import quote
from typing import Annotated, TypeVar

import typer

from gateway.api import AccountHandle, Gateway
from gateway.cli import completion
from gateway.cli.key_changes import ONE, get_ready, kind_of, not_in_use, rotated_text, seen, title_of
from gateway.cli.key_guides import network_words, numbered, step_text, steps_text
from gateway.cli.key_options import Addresses, Expires, Kind, NoCheck, Permissions, Pool, new_key, read_part
from gateway.cli.output import complain, data_of, report, shown
from gateway.cli.session import AccountName, AsJson, ConfigFile, Deadline, example, misuse, only_account, session
from gateway.cli.unseen import line_typed
from gateway.contracts import KeyKind, KeyPart
from gateway.errors import GatewayError, InvalidRequest, NotFound, UnsupportedOperation
from gateway.models.keys import ApiKey, KeyAction, KeyGuide, NewKey, Permission, Rotation
from gateway.secrets import Secret

__all__ = ["add"]

T = TypeVar("T")


def add(app: typer.Typer) -> None:
    app.command(
        "create",
        epilog=example(
            "gateway keys create --account treasury --label Payout1 --permission withdraw --ip 203.0.113.7",
            "gateway keys create --account treasury --label Payout2 --replaces Payout1",
        ),
    )(create)


def create(
    context: typer.Context,
    account: AccountName = None,
    label: Annotated[str | None, typer.Option("--label", help="The new key's label; asked for when missing.")] = None,
    permission: Permissions = None,
    ip: Addresses = None,
    kind: Kind = None,
    pool: Pool = None,
    expires: Expires = None,
    replaces: Annotated[
        str | None,
        typer.Option(
            "--replaces",
            metavar="LABEL",
            help="The active key whose place it takes; what is not said is as with that one.",
            autocompletion=completion.key_labels,
        ),
    ] = None,
    no_check: NoCheck = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Walk through making a key at the provider, step by step, and keep it once the provider has accepted it.

    Asks for what is missing. The key's parts are entered where the provider shows them, the secret ones unseen. Ctrl-C
    leaves at any step, and nothing is kept. Needs a terminal: elsewhere there are `gateway keys guide` and `add`.

    A key that this machine cannot read with, such as one for the address of another, is kept with --no-check.
    """
    here = session(context, config, as_json)
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        if label is not None:
            _check_label(handle, label)
        if not here.can_ask():
            misuse(
                "this walks a person through the steps, and nobody can be asked here",
                hint="`gateway keys guide create` tells the steps, and `gateway keys add` keeps a key that was made",
            )
        walk = _Walk(gateway, handle, replaces, deadline, check=not no_check)
        try:
            walk.ask_what_is_missing(label, permission, ip, kind, pool, expires)
            walk.get_ready()
            walk.go()
            key = walk.keep()
        except EOFError:
            raise GatewayError(walk.left(), hint=walk.how_to_end()) from None
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            complain(f"interrupted: {walk.left()}", walk.how_to_end())
            raise typer.Exit(130) from None
        except GatewayError:
            raise  # it says what became of the key
        except Exception:
            complain(walk.left(), walk.how_to_end())
            raise
        here.done(f"the key {key.label} was kept", seen(name, key.label))
        walk.tell_what_comes_next()
    here.output.one(key, ONE, data_of)


def _check_label(handle: AccountHandle, label: str) -> None:
    new_key(label)
    rules = handle.key_rules
    wrong = rules.label(label)
    if wrong is not None:
        raise InvalidRequest(
            f"{title_of(handle.provider)} takes no label {label!r}: {wrong}",
            account=handle.name,
            hint=f"its rule: {rules.label_rule}",
        )


@dataclass
class _Walk:
    """One walk: what the key is to be, the steps, and what was captured on the way."""

    gateway: Gateway
    handle: AccountHandle
    replaces: str | None
    deadline: float | None
    check: bool
    new: NewKey = field(init=False)
    kind: KeyKind = field(init=False)
    guide: KeyGuide = field(init=False)
    parts: dict[str, Secret] = field(default_factory=dict, repr=False)
    rotation: Rotation | None = None
    begun: bool = False

    @property
    def title(self) -> str:
        return shown(title_of(self.handle.provider))

    # Before the first step

    def ask_what_is_missing(
        self,
        label: str | None,
        permissions: list[Permission] | None,
        networks: list[str] | None,
        kind: str | None,
        pool: str | None,
        expires: str | None,
    ) -> None:
        rules = self.handle.key_rules
        old = self.gateway.keys.get(self.replaces, account=self.handle.name) if self.replaces is not None else None
        if label is None:
            rule = f"{rules.label_rule}; " if rules.label_rule else ""
            label = _asked(f"Label ({rule}letters, digits, '-' and '_' only)", self._label)
        if kind is None and old is None:
            by_hand = [one.name for one in rules.kinds if not one.issues]
            kind = by_hand[0] if len(by_hand) == 1 else _asked(f"Kind of key ({', '.join(by_hand)})", _one_of(by_hand))
        if not permissions and old is None and rules.permissions is not None:
            known = [one for one in Permission if one in rules.permissions]
            permissions = _asked(f"What it may do, one or several of {', '.join(known)}", _permissions)
        if not networks and old is None and rules.restricts_addresses:
            networks = _asked("Addresses that it works from, such as 203.0.113.7 (none: from anywhere)", _networks)
        self.new = new_key(label, kind=kind, permissions=permissions, networks=networks, pool=pool, expires=expires)
        self.kind = kind_of(self.handle, kind or (old.kind if old is not None else None))
        if self.kind.issues:
            raise InvalidRequest(
                f"keys of the kind {self.kind.name} are not made by hand",
                account=self.handle.name,
                hint=f"`gateway keys issue --account {quote(self.handle.name)} --label {quote(label)}` obtains one",
            )
        said = self.new if old is None else old
        self.guide = self.gateway.keys.guide(
            KeyAction.CREATE,
            account=self.handle.name,
            label=label,
            kind=self.kind.name,
            permissions=self.new.permissions or (said.permissions if rules.permissions is not None else None),
            networks=self.new.networks or said.networks,
            pool=pool or said.pool,
        )

    def _label(self, text: str) -> str:
        _check_label(self.handle, text)
        return text

    def get_ready(self) -> None:
        """What would stop the key from being kept is told before it is made."""
        get_ready(self.gateway, self.new, self.handle.name, replaces=self.replaces, check=self.check)
        guide = self.guide
        can = f", may {shown(guide.permissions)}" if guide.permissions is not None else ""
        instead = f", in the place of {self.replaces}" if self.replaces is not None else ""
        _tell(
            f"A key at {self.title} for the account {guide.account}: {guide.label}{can}, from "
            f"{network_words(guide.networks)}{instead}."
        )
        if guide.proofs:
            _tell(f"What will be asked for: {shown(guide.proofs)}.")
        _tell("Ctrl-C leaves at any step, and nothing is kept.")

    # The steps

    def go(self) -> None:
        self.begun = True
        steps = [(number, step) for number, step in numbered(self.guide.steps) if not step.later]
        for number, step in steps:
            _tell("\n" + step_text(number, step, self.guide.parts))
            shown_here = [part for part in self.kind.parts if part.name in step.shows]
            self._capture(shown_here)
            if not shown_here:
                last = "[Enter to have the key read with] " if self.check else "[Enter to have the key kept] "
                _ask("[Enter to go on] " if step is not steps[-1][1] else last)
        self._capture(part for part in self.kind.parts if part.name not in self.parts)

    def _capture(self, parts: Iterable[KeyPart]) -> None:
        for part in parts:
            self.parts[part.name] = _captured(part)

    # After them

    def keep(self) -> ApiKey:
        """The key, once the provider has accepted it, or unread where a person wants that: until then it is nowhere but
        in memory.
        """
        while True:
            if self.check:
                _tell(f"\nReading with the key {self.new.label} at {self.title}, before anything else uses it.")
            try:
                key = self._kept()
            except GatewayError as error:
                report(error, as_json=False)
                left = self.left()
                _tell(f"{left[0].upper()}{left[1:]}.")
                self._decide()
            else:
                self.parts.clear()
                return key

    def _decide(self) -> None:
        """What is to be tried next. Raises GatewayError when the walk is left."""
        ways = {"again": "enter the parts of the key again", "same": "try once more with the same ones"}
        if self.check:
            ways["unread"] = "keep the key without having read with it"
        ways["leave"] = "leave"
        answer = _asked(
            "\n".join(f"  {way}: {what}" for way, what in ways.items()) + f"\n({', '.join(ways)})", _one_of([*ways])
        )
        if answer == "leave":
            raise GatewayError(f"the walk was left: {self.left()}", hint=self.how_to_end())
        if answer == "again":
            self._capture(self.kind.parts)
        self.check = self.check and answer != "unread"

    def _kept(self) -> ApiKey:
        account, new = self.handle.name, self.new.model_copy(update={"parts": dict(self.parts)})
        if self.replaces is None:
            return self.gateway.keys.add(new, account=account, check=self.check, deadline=self.deadline)
        self.rotation = self.gateway.keys.rotate(
            self.replaces, new, account=account, check=self.check, deadline=self.deadline
        )
        return self.rotation.new

    def tell_what_comes_next(self) -> None:
        label, covered = self.new.label, set[int]()
        tried = self.check and not self.kind.for_callbacks
        accepted = f"{self.title} has accepted the key {label}: it" if tried else f"The key {label}"
        _tell(f"\n{accepted} is kept in the ring of {self.handle.name}.")
        if not self.check and not self.kind.for_callbacks:
            verify = f"gateway keys verify --account {quote(self.handle.name)} --label {quote(label)}"
            _tell(f"Nothing was read with it: where that can be done, `{verify}` tries it.")
        if self.rotation is not None:
            _tell("\n" + rotated_text(self.rotation))
            covered = {number for step in self.rotation.guide.steps for number in step.covers}
        later = [one for one in numbered(self.guide.steps) if one[1].later and not covered.intersection(one[1].covers)]
        if later:
            _tell("\nLater\n" + steps_text(later, self.guide.parts))
        idle = not_in_use(self.handle)
        if idle:
            _tell("\n" + idle)
        _tell("")

    # Leaving

    def left(self) -> str:
        """What is kept of a walk that was left: nothing, unless all was done by then, or taking it back failed."""
        if not self.begun or not self.parts:
            return "nothing was kept"
        account, label = self.handle.name, self.new.label
        try:
            self.gateway.keys.get(label, account=account)
        except NotFound:
            pass
        except GatewayError:
            return f"whether the key was kept is not known: `gateway keys list --account {quote(account)}` tells"
        else:
            return f"the key {label} had been kept by then"
        try:
            secrets = self.gateway._core.vault().names()
        except GatewayError:
            return "no key was kept; whether the vault has its secret is not known: `gateway vault check` tells"
        # A label has no dot: behind one stands the name of a part.
        found = ["/".join(one) for one in secrets if (one[0], one[1].partition(".")[0]) == (account, label)]
        if not found:
            return "nothing was kept"
        return f"the vault has {' and '.join(found)}, and the ring no key of it"

    def how_to_end(self) -> str | None:
        """What becomes of a key that was made at the provider meanwhile."""
        if not self.begun:
            return None
        account, label, kind = self.handle.name, self.new.label, self.kind.name
        told = f"a key that was made at {self.title} meanwhile is valid: end it there"
        try:
            self.gateway.keys.guide(KeyAction.REVOKE, account=account, label=label, kind=kind)
        except UnsupportedOperation:
            return told
        return f"{told}; `gateway keys guide revoke --account {quote(account)} --label {quote(label)}` says how"


# Asking


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _ask(prompt: str) -> str:
    """What is typed. Raises EOFError when nobody is there any more."""
    while True:
        sys.stderr.write(prompt)
        sys.stderr.flush()
        try:
            line = line_typed()
        except InvalidRequest as error:
            report(error, as_json=False)
            continue
        if not line:
            raise EOFError
        return line.strip()


def _asked(prompt: str, taken: Callable[[str], T]) -> T:
    """What `taken` makes of the answer; asked again as long as it raises InvalidRequest."""
    while True:
        try:
            return taken(_ask(f"{prompt}: "))
        except InvalidRequest as error:
            report(error, as_json=False)


def _one_of(names: list[str]) -> Callable[[str], str]:
    def taken(text: str) -> str:
        if text not in names:
            raise InvalidRequest(f"no such answer: {text[:40]!r}", hint="one of " + ", ".join(names))
        return text

    return taken


def _permissions(text: str) -> list[Permission]:
    known = list(Permission)
    found = text.replace(",", " ").split()
    if not found or not set(found) <= set(known):
        raise InvalidRequest("a key may do at least one of these", hint=", ".join(known))
    return [Permission(one) for one in found]


def _networks(text: str) -> list[str]:
    found = text.replace(",", " ").split()
    new_key("checked", networks=found)
    return found


def _captured(part: KeyPart) -> Secret:
    """A part as the provider shows it, asked for until there is one."""
    while True:
        try:
            text = read_part(part)
        except InvalidRequest as error:
            report(error, as_json=False)
            continue
        if text:
            return text
        _tell("Nothing was entered.")
