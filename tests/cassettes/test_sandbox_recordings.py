"""The recordings against the sandboxes, played through both gateways; and the recorder itself."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from vcr.errors import CannotOverwriteExistingCassetteException

from cassettes.record import main, record_live
from cassettes.replaying import CASSETTES, comparing, names, playing
from cassettes.sandbox_scenarios import SCENARIOS
from cassettes.scrubbing import SITE, Scrubber
from flows.world import World
from gateway.models import TradeRequest
from gateway.plugins import load_plugins
from gateway.testing import accounts_toml
from support.colours import opened
from support.virtual import VirtualClock

AUTH: dict[str, dict[str, str]] = {
    "api-key": {"kind": "api-key", "api_key": "another-key"},
    "signature": {"kind": "signature", "api_token": "another-token", "api_secret": "another-secret"},
    "login": {"kind": "login", "username": "scrubbed-username", "password": "scrubbed-password"},
    "aurex": {"kind": "bearer", "api_key": "another-key"},
    "emirex": {"kind": "signed", "public_key": "another-key", "secret": "another-secret"},
}
ALLOWED = ["currencies.list", "wallets.list", "keys.verify", "trades.create", "trades.cancel", "trades.get"]


@pytest.mark.parametrize(("provider", "name"), sorted(SCENARIOS))
def test_a_recording_is_played(provider: str, name: str, colour: str) -> None:
    scenario, flavour = SCENARIOS[provider, name]
    account: dict[str, Any] = {
        "provider": provider,
        "environment": "sandbox",
        "base_url": f"{SITE}/{provider}",
        "allow_inferred": [*ALLOWED, "trades.open", "trades.history"],
        "auth": AUTH[flavour or provider],
    }
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    with (
        playing(provider, "sandbox", name),
        opened(colour, plugins=load_plugins(), clock=clock, accounts={"it": account}) as gw,
    ):
        scenario(gw, lambda act, what: None)


def test_every_recording_is_played() -> None:
    assert set(SCENARIOS) == names("sandbox")


def test_every_recording_says_what_it_is() -> None:
    for provider, name in names("sandbox"):
        head = (CASSETTES / provider / "sandbox" / f"{name}.yaml").read_text(encoding="utf-8").split("\n")[0]
        assert head.startswith(f"# Recorded against the sandbox of {provider}")


def test_a_request_that_was_not_recorded_is_not_sent() -> None:
    """The comparison looks at the body too, and not at what grows with every call."""
    path = CASSETTES / "emirex" / "documented" / "create-order-limit.yaml"
    account = {"provider": "emirex", "auth": AUTH["emirex"], "allow_inferred": ["trades.create"]}
    with (
        comparing(record_mode="none").use_cassette(str(path)),
        opened("sync", plugins=load_plugins(), accounts={"it": account}) as gw,
        pytest.raises(CannotOverwriteExistingCassetteException),
    ):
        gw.trades.create(TradeRequest(reference="t", market="BTC/USDC", side="sell", volume="3", rate="100.5"))


@pytest.mark.parametrize("account", ["shop", "backup", "login", "treasury"])
def test_a_person_records_the_reads_of_an_account_with_one_command(
    world: World, account: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config, into = world.folder / "gateway.toml", world.folder / "cassettes"
    accounts = world.accounts()
    config.write_text(f'store = "{world.store}"\n\n' + accounts_toml(accounts), encoding="utf-8")
    record_live(str(config), account, into)
    provider = accounts[account]["provider"]
    recorded = {path.stem for path in (into / provider / "live").glob("*.yaml")}
    expected = {"keys-verify", "wallets-list-custodial"}
    if provider == "aurpay":
        expected |= {"orders-list", "transactions-list", "currencies-list-fiat", "currencies-list-crypto"}
        expected |= {"wallets-list-self-custody", "wallets-list-lightning"}
    else:
        expected |= {"markets-list", "trades-open", "trades-history"}
    assert recorded == expected
    assert capsys.readouterr().out.count(": recorded\n") == len(expected)
    reads = {record.method for record in world.server.requests["aurpay"] if "/plugin/key" not in record.path}
    assert reads <= {"GET"}, "nothing is written for a recording"
    secrets = [value for value in accounts[account]["auth"].values() if value != accounts[account]["auth"]["kind"]]
    for path in into.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert not any(secret in text for secret in secrets), path.name
        assert text.startswith("# Recorded against the live service")
        for interaction in yaml.safe_load(text)["interactions"]:
            assert set(interaction["request"]["headers"]) <= {"accept", "content-type"}


def test_a_read_that_fails_is_recorded_all_the_same(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    config = world.folder / "gateway.toml"
    wrong = world.accounts(shop={"auth": {"kind": "api-key", "api_key": "a-wrong-key"}})
    config.write_text(f'store = "{world.store}"\n\n' + accounts_toml(wrong), encoding="utf-8")
    record_live(str(config), "shop", world.folder / "cassettes")
    assert "keys-verify.yaml: recorded, and it failed: refused" in capsys.readouterr().out
    text = (world.folder / "cassettes" / "aurpay" / "live" / "keys-verify.yaml").read_text(encoding="utf-8")
    assert '"code":401' in text
    assert "a-wrong-key" not in text


def test_what_is_secret_is_replaced_wherever_it_stands() -> None:
    scrubber = Scrubber("http://127.0.0.1:8080/aurex", f"{SITE}/aurex", ["the-key"])
    said = '{"cvv": "123", "cardNumber" : "4000 0000 0000 0002", "note": "the-key at http://127.0.0.1:8080/x", "n": 5}'
    assert scrubber.text(said) == (
        f'{{"cvv": "000", "cardNumber" : "4000 1234 5678 9010", "note": "scrubbed-secret at {SITE}/x", "n": 5}}'
    )


def test_the_command_explains_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["record.py", "live"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "--account" in capsys.readouterr().err
