"""How every command is called in the tests that go over all of them.

A new command needs one entry in LINES, by its name: what stands after the name. A {name} in it is an attribute of
`Things`, which is made when it is first asked for.
"""

from __future__ import annotations

import itertools
import json
import secrets
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from typer.core import TyperGroup
from typer.testing import Result

from gateway import Gateway
from gateway.cli.demo import STORIES
from gateway.keyring import RawKey, Vault
from gateway.models.keys import NewKey
from gateway.secrets import Secret
from gateway.testing import SandboxServer, faults
from gateway_emirex.sandbox import EmirexSandbox
from support.printed import document, failure

__all__ = ["LINES", "Line", "Things", "commands"]


@dataclass(frozen=True)
class Line:
    """What stands after a command's name, and the exit status that is documented for it.

    `until_stopped`: it serves until SIGTERM ends it, and its first output says that it is up.
    """

    words: str = ""
    status: int = 0
    until_stopped: bool = False


_CARD = "{card} --customer {customer} --account aurex"
_PAYOUT = "--amount '0.0002 BTC@lightning' --to-invoice {invoice} --account aurpay --yes"
_TRADE = "--market BTC/USDC --side buy --volume 0.010 --rate 100 --account emirex --yes"
_RING = "--account emirex --config {vaulted}"

LINES: dict[str, Line | tuple[Line, ...]] = {
    "demo": tuple(Line(story) for story in STORIES),
    "sandbox": Line("--provider aurpay", until_stopped=True),
    "doctor": Line(),
    "providers": Line(),
    "capabilities": (Line(), Line("--account aurpay")),
    "conformance": (Line("{report}"), Line("{failed_report} --all", status=1), Line("no-such-report.json", status=1)),
    "new-provider": (Line("acme --auth hmac"), Line("acme --with wallets,payouts"), Line("aurpay", status=1)),
    "keys list": (Line(), Line(_RING)),
    "keys show": (Line(f"{{key}} {_RING}"), Line("nothing --account emirex", status=1)),
    "keys guide": (
        Line("create --label Payout1 --permission withdraw --ip 203.0.113.7 --account emirex"),
        Line("revoke --account aurpay --kind signature", status=1),
    ),
    "keys create": Line("--label payout1 --account emirex", status=1),
    "keys add": Line(f"Payout1 {_RING}", status=1),
    "keys edit": Line(f"{{key}} --ip 203.0.113.7 --yes {_RING}"),
    "keys rotate": Line(f"{{key}} Payout1 {_RING}", status=1),
    "keys retire": Line(f"{{key}} --yes {_RING}"),
    "keys activate": (Line(f"{{key}} {_RING}"), Line(f"{{revoked_key}} {_RING}", status=1)),
    "keys revoke": (Line(f"{{key}} --force --ended {_RING}"), Line(f"{{key}} {_RING}", status=1)),
    "keys delete": (Line(f"{{revoked_key}} {_RING}"), Line(f"{{key}} {_RING}", status=1)),
    "keys delete-all": (Line(f"--confirm emirex {_RING}"), Line(f"--confirm aurex {_RING}", status=1)),
    "keys reveal": Line(f"{{key}} --yes {_RING}"),
    "keys verify": (Line("--account aurpay"), Line(f"--label {{key}} {_RING}")),
    "keys issue": Line("--account aurpay --yes", status=1),
    "keys audit": Line(_RING),
    "vault init": Line("--generate-key vault.key"),
    "vault rekey": Line("--config {vaulted} --new-key-file {key_file} --yes"),
    "vault check": (Line("--config {vaulted}"), Line(status=1)),
    "vault put": Line("shop/other --config {vaulted}", status=1),
    "vault forget": (
        Line("{secret} --config {vaulted} --yes"),
        Line("emirex/{key} --config {vaulted} --yes", status=1),
    ),
    "orders create": Line("--reference {new} --price '25.00 USD' --pay-with USDT@tron --qr"),
    "orders get": (Line("{order} --qr"), Line("nobody", status=1)),
    "orders list": Line("--status pending"),
    "orders explain": (Line("{order}"), Line("nobody", status=1)),
    "orders renew": Line("{expired_order}"),
    "orders watch": (Line("{paid_order}"), Line("{order} --timeout 1 --every 1", status=1)),
    "orders link": Line("{order_without_id} --provider-id {foreign_order}"),
    "orders fetch": (Line("--account aurpay --provider-id {foreign_order}"), Line("--account aurpay --limit 5")),
    "refunds create": Line("--reference {new} --order {paid_order} --yes"),
    "refunds get": Line("{refund}"),
    "customers create": Line("--reference {new} --first-name Ada --last-name L --account aurex"),
    "customers get": Line("{customer} --account aurex"),
    "customers link": Line("{new} --provider-id {foreign_customer} --account aurex"),
    "cards create": Line(
        "--reference {new} --customer {customer} --name Ada --initial-balance '25 USD' --account aurex --yes"
    ),
    "cards list": Line("--customer {customer} --account aurex"),
    "cards show": (Line(_CARD), Line(f"{_CARD} --reveal --yes")),
    "cards transactions": Line(_CARD),
    "cards code": Line(f"{_CARD} --yes"),
    "wallets list": Line("--account aurpay"),
    "withdrawals create": Line(f"--reference {{new}} {_PAYOUT}"),
    "withdrawals get": Line("{payout}"),
    "withdrawals list": Line("--account aurpay"),
    "withdrawals fetch": Line("--account aurpay --limit 5", status=1),
    "transactions": Line("--account aurpay --limit 5"),
    "currencies": Line("--account aurpay --kind fiat"),
    "markets list": Line("--account emirex"),
    "markets ticker": Line("BTC/USDC --account emirex"),
    "markets book": Line("BTC/USDC --depth 2 --account emirex"),
    "markets trades": Line("BTC/USDC --limit 2 --account emirex"),
    "trades create": Line(f"--reference {{new}} {_TRADE}"),
    "trades get": Line("{trade}"),
    "trades cancel": Line("{trade} --yes"),
    "trades open": Line("--account emirex"),
    "trades history": Line("--account emirex"),
    "worker": Line("--until-idle"),
    "callbacks list": Line("--account aurpay"),
    "callbacks show": Line("1", status=1),
    "callbacks process": Line(),
    "events tail": (Line(), Line("--since 1 --type 'order.*'"), Line("--type order.payed", status=1)),
    "events handlers": Line(),
    "events dead": Line(),
    "events replay": (Line("--yes"), Line("nobody --yes", status=1)),
    "journal list": Line("--account aurpay"),
    "journal show": Line("{order}"),
    "journal settle": Line("{lost_payout} --as failed --reason 'not on the dashboard' --yes"),
    "reconcile": (Line("--account aurex"), Line("--account aurex --last", status=1)),
    "freeze": (Line("aurpay --reason 'key may have leaked'"), Line("aurpay --release --yes")),
    "store accept-restore": Line("--reason 'compared with aurpay' --yes", status=1),
    "store check": Line(),
    "store export": (Line(), Line("--format csv --output money.csv")),
    "store prune": (Line("--older-than 90d --dry-run"), Line("--older-than 12w"), Line("--older-than 0d", status=1)),
    "store restored": Line("--reason 'volume snapshot put back'"),
    "store upgrade": Line(),
    "request": (
        Line("GET /customers --account aurex", status=1),
        Line("GET /api/v2/tx --account aurpay --query page=1"),
    ),
}
"""By the command's name, in the order of the help: one way to call it, or several."""


def commands(group: TyperGroup, *before: str) -> Iterator[str]:
    """The names of all commands in a group and the groups in it."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *before, name)
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            yield " ".join([*before, name])


class Things:
    """What commands need to be there: made by the command line itself, in the folder of the test."""

    _numbers = itertools.count(1)

    def __init__(self, cli: Callable[..., Result], server: SandboxServer, invoice: Callable[[str], str]) -> None:
        self._cli, self._server, self._invoice = cli, server, invoice
        self.order  # noqa: B018  so that there is a store, with something in it

    def __getitem__(self, name: str) -> str:
        found = getattr(self, name)
        assert isinstance(found, str), name
        return found

    def words(self, line: Line) -> list[str]:
        return shlex.split(line.words.format_map(self))

    def _new(self) -> str:
        return f"it-{next(self._numbers)}"

    def _made(self, text: str, env: dict[str, str] | None = None) -> Any:
        return document(self._cli(*shlex.split(text), "--json", env=env))

    def _order(self, env: dict[str, str] | None = None) -> dict[str, Any]:
        made: dict[str, Any] = self._made(
            f"orders create --reference {self._new()} --price '25.00 USD' --account aurpay", env
        )
        return made

    @cached_property
    def _elsewhere(self) -> dict[str, str]:
        """The environment of a shop with another store, and the same accounts."""
        return {"GATEWAY_STORE": f"sqlite:///{self._new()}.db"}

    @cached_property
    def new(self) -> str:
        """A number that nothing has."""
        return self._new()

    @cached_property
    def key_file(self) -> str:
        """A file with a new master key."""
        return self._key_file("other.key")

    def _key_file(self, name: str) -> str:
        Path(name).write_text(secrets.token_hex(32), encoding="ascii")
        Path(name).chmod(0o600)
        return name

    @cached_property
    def vaulted(self) -> str:
        """The configuration with a vault."""
        config = Path("vaulted.toml")
        table = f'[vault]\nkey_file = "{self._key_file("its.key")}"\n'
        config.write_text(Path("gateway.toml").read_text(encoding="utf-8") + table, encoding="utf-8")
        self._made(f"vault init --config {config}")
        return str(config)

    @cached_property
    def secret(self) -> str:
        """A secret in the vault that is no key's."""
        config = self.vaulted
        Vault(Path("gateway.vault"), RawKey.from_file("its.key")).put("shop", "password", Secret(secrets.token_hex(8)))
        assert self._made(f"vault check --config {config}")["names"] == ["shop/password"]
        return "shop/password"

    @cached_property
    def key(self) -> str:
        """A key in the ring of emirex."""
        config, public, secret = self.vaulted, f"public-{self._new()}", secrets.token_hex(16)
        sandbox = self._server.sandbox("emirex")
        assert isinstance(sandbox, EmirexSandbox)
        sandbox.add_key(public, secret)
        parts = {"public_key": Secret(public), "secret": Secret(secret)}
        with Gateway(file=config) as gateway:
            return gateway.keys.add(NewKey(label="Kept1", parts=parts), account="emirex").label

    @cached_property
    def revoked_key(self) -> str:
        key = self.key
        self._made(f"keys revoke {key} --force --ended --account emirex --config {self.vaulted}")
        return key

    @cached_property
    def order(self) -> str:
        """An order that can be paid."""
        return str(self._order()["reference"])

    @cached_property
    def paid_order(self) -> str:
        made = self._order()
        self._server.pay("aurpay", made["provider_id"])
        assert self._made(f"orders get {made['reference']}")["status"] == "paid"
        return str(made["reference"])

    @cached_property
    def expired_order(self) -> str:
        made = self._order()
        self._server.expire("aurpay", made["provider_id"])
        assert self._made(f"orders get {made['reference']}")["status"] == "expired"
        return str(made["reference"])

    @cached_property
    def order_without_id(self) -> str:
        """An order whose number the provider did not tell."""
        body = '{"code": 0, "data": {"pay_url": "https://pay.example/1"}}'
        self._server.faults("aurpay").add(faults.Status(status=200, body=body, path="/api/order/pay-url"))
        made = self._order()
        assert made["provider_id"] is None
        return str(made["reference"])

    @cached_property
    def foreign_order(self) -> str:
        """The provider's number of an order that this store does not know."""
        return str(self._order(self._elsewhere)["provider_id"])

    @cached_property
    def refund(self) -> str:
        reference = self._new()
        self._made(f"refunds create --reference {reference} --order {self.paid_order} --yes")
        return reference

    @cached_property
    def customer(self) -> str:
        """A customer with money."""
        number = self._new()
        self._made(f"customers create --reference {number} --first-name Ada --last-name L --account aurex")
        deposit = f"--price '500 USD' --pay-with USDT --customer {number} --settles-to customer --account aurex"
        self._made(f"orders create --reference {self._new()} {deposit}")
        self._server.pay("aurex", self._server.orders("aurex")[-1].id)
        return number

    @cached_property
    def foreign_customer(self) -> str:
        """The provider's number of a customer that this store does not know."""
        words = f"customers create --reference {self._new()} --first-name Eve --last-name L --account aurex"
        return str(self._made(words, self._elsewhere)["provider_id"])

    @cached_property
    def card(self) -> str:
        """The provider's number of a card of `customer`."""
        words = f"--customer {self.customer} --name Ada --initial-balance '25 USD' --account aurex --yes"
        return str(self._made(f"cards create --reference {self._new()} {words}")["provider_id"])

    @cached_property
    def report(self) -> str:
        """What the conformance kit wrote of an adapter that conforms."""
        return _reported("report.json", "proved", [])

    @cached_property
    def failed_report(self) -> str:
        failure = {"check": "test_it_works", "case": "keys.verify-sync", "message": "keys.verify sent nothing"}
        return _reported("failed-report.json", "failed", [failure])

    @cached_property
    def invoice(self) -> str:
        return self._invoice("0.0002")

    @cached_property
    def payout(self) -> str:
        reference = self._new()
        document(self._pay_out(reference))
        return reference

    @cached_property
    def lost_payout(self) -> str:
        """A payout of which nobody knows whether it was made."""
        reference = self._new()
        self._server.faults("aurpay").add(faults.Drop(executed=True, method="POST"))
        assert failure(self._pay_out(reference))["outcome"] == "unknown"
        return reference

    def _pay_out(self, reference: str) -> Result:
        words = shlex.split(_PAYOUT.format(invoice=self.invoice))
        return self._cli("withdrawals", "create", "--reference", reference, *words, "--json")

    @cached_property
    def trade(self) -> str:
        """A trade that is open."""
        reference = self._new()
        self._made(f"trades create --reference {reference} {_TRADE}")
        return reference


def _reported(name: str, state: str, failures: list[dict[str, str]]) -> str:
    """A report of the conformance kit with one row, in the folder of the test."""
    row = {"operation": "keys.verify", "variant": "", "state": state, "grade": "D", "checks": 3, "failures": failures}
    subject = {"name": "acme", "provider": "acme", "conforms": not failures, "rows": [row], "areas": []}
    subject |= {"missing": [], "unsaid": [], "untried": []}
    data = {"format": 1, "gateway": "0", "complete": True, "conforms": not failures, "subjects": [subject]}
    data |= {"not_proved": [], "left_to_fill_in": []}
    Path(name).write_text(json.dumps(data), encoding="utf-8")
    return name
