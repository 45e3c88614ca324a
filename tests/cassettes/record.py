"""Records cassettes. See docs/recording.md.

python tests/cassettes/record.py sandbox
python tests/cassettes/record.py live --config gateway.toml --account shop
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from cassettes.replaying import CASSETTES, comparing
from cassettes.sandbox_scenarios import SCENARIOS
from cassettes.scrubbing import SITE, Scrubber
from flows.world import World
from gateway import Gateway
from gateway.accounts import OpenAccount, secrets_in
from gateway.errors import GatewayError
from gateway.models import CurrencyKind, WalletKind
from gateway.plugins import load_plugins
from support.colours import opened

FLAVOURS = {"api-key": "shop", "signature": "backup", "login": "login"}
ACCOUNTS = {"aurex": "cards", "emirex": "treasury"}


@contextmanager
def recording(path: Path, account: OpenAccount, shown: str, head: str) -> Iterator[None]:
    """Everything that this account exchanges becomes this cassette; one that was there is replaced."""
    secrets = [secret.reveal() for secret in secrets_in(account.settings)]
    secrets += [str(getattr(getattr(account.settings, "auth", None), "username", "") or "")]
    scrubber = Scrubber(account.settings.base_url, shown, secrets)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    recorder = comparing(
        record_mode="all",
        before_record_request=scrubber.request,
        before_record_response=scrubber.response,
        decode_compressed_response=True,
    )
    with recorder.use_cassette(str(path)):
        yield
    if path.exists():
        path.write_text(f"# {head}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")


def record_sandbox(folder: Path) -> None:
    for (provider, name), (scenario, flavour) in SCENARIOS.items():
        with World(folder, rate_limit=False) as world:
            account = world.accounts()[ACCOUNTS.get(provider) or FLAVOURS[flavour]]
            with opened("sync", plugins=load_plugins(), accounts={"it": account}) as gw:
                path = CASSETTES / provider / "sandbox" / f"{name}.yaml"
                head = f"Recorded against the sandbox of {provider}, which is written from its documentation; scrubbed."
                with recording(path, gw.core.account("it"), SITE, head):
                    scenario(gw, steering(world, provider))
        sys.stdout.write(f"{path.relative_to(CASSETTES.parent)}\n")


def steering(world: World, provider: str) -> Callable[[str, str], None]:
    def steer(act: str, what: str) -> None:
        if act == "spend":
            world.aurex.spend(what, Decimal("9.99"))
        elif act == "complete_refund":
            world.aurpay.complete_refund(what)
        else:
            getattr(world.server, act)(provider, what)

    return steer


def readings(gateway: Gateway, account: str) -> dict[str, Callable[[], Any]]:
    """What can be read without a customer and without changing anything."""
    reads: dict[str, Callable[[], Any]] = {
        "keys.verify": lambda: gateway.keys.verify(account=account),
        "orders.list": lambda: list(gateway.orders.fetch_all(account=account)),
        "transactions.list": lambda: list(gateway.transactions.list(account=account)),
        "markets.list": lambda: list(gateway.markets.list(account=account)),
        "trades.open": lambda: list(gateway.trades.open(account=account)),
        "trades.history": lambda: list(gateway.trades.history(account=account)),
    }
    for kind in WalletKind:
        reads[f"wallets.list:{kind}"] = lambda kind=kind: list(gateway.wallets.list(account=account, kind=kind))
    for sort in CurrencyKind:
        reads[f"currencies.list:{sort}"] = lambda sort=sort: list(gateway.currencies.list(account=account, kind=sort))
    return reads


def record_live(config: str, account: str, cassettes: Path = CASSETTES) -> None:
    """Only reads: nobody's money moves for a recording."""
    with Gateway.from_file(config) as gateway:
        handle = gateway.account(account)
        inner = gateway._core.account(account)
        for name, read in readings(gateway, account).items():
            operation, _, variant = name.partition(":")
            if not handle.can(operation, variant):
                continue
            path = cassettes / handle.provider / "live" / f"{name.replace('.', '-').replace(':', '-')}.yaml"
            head = (
                "Recorded against the live service by a person with an account; scrubbed, and read before committing."
            )
            said = "recorded"
            with recording(path, inner, inner.settings.base_url, head):
                try:
                    read()
                except GatewayError as error:  # what the provider answers is worth keeping all the same
                    said = f"recorded, and it failed: {error.message}"
            sys.stdout.write(f"{path.relative_to(cassettes)}: {said}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Record cassettes.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("sandbox", help="record everything against the sandboxes")
    live = kinds.add_parser("live", help="record the reads of one account against the live service")
    live.add_argument("--config", default="gateway.toml")
    live.add_argument("--account", required=True)
    given = parser.parse_args()
    if given.kind == "live":
        record_live(given.config, given.account)
    else:
        with tempfile.TemporaryDirectory() as folder:
            record_sandbox(Path(folder))


if __name__ == "__main__":
    main()
