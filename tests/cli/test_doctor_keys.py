"""What `gateway doctor` says of the accounts' rings: each warning where it applies and nowhere else."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from gateway.accounts import secret_names
from gateway.cli.key_checks import LONG_RETIRED
from gateway.keyring import RawKey, Vault
from gateway.models.keys import ApiKey, KeyOrigin, KeyState, Permission
from gateway.secrets import Secret
from gateway.store import keys as store
from gateway.store.database import Database
from gateway.testing import SandboxServer, accounts_toml

Run = Callable[..., Result]
NOW = datetime.now(UTC)
KEY = "ab" * 32
READ, TRADE, WITHDRAW = Permission.READ, Permission.TRADE, Permission.WITHDRAW
HERE = "203.0.113.7"
SECRET = "canary-of-the-ring"
PARTS = {"signed": ("secret",), "bearer": ("api_key",), "api-key": ("api_key",), "login": ("password",)}
PARTS |= {"signature": ("api_secret", "api_token"), "callback": ("secret", "token")}


class Shop:
    """A folder with an account `treasury`, a store and a vault, and what the doctor says of its keys."""

    def __init__(self, folder: Path, cli: Run, server: SandboxServer) -> None:
        self.folder, self._cli, self._server = folder, cli, server
        self.database: Database = Database.open(f"sqlite:///{folder / 'gateway.db'}")
        self.vault = Vault.create(folder / "gateway.vault", RawKey(Secret(KEY)))
        self.provider = "emirex"
        self.configure()

    def configure(self, provider: str = "emirex", *, more: str = "", egress: str | None = HERE, **changed: Any) -> None:
        self.provider = provider
        account = {**self._server.account(provider), "allow_inferred": ["keys.verify"], "auth": {"kind": "ring"}}
        if egress is not None:
            account["egress"] = egress
        text = more + accounts_toml({"treasury": account | changed})
        (self.folder / "gateway.toml").write_text(f'[vault]\nkey = "{KEY}"\n{text}', encoding="utf-8")

    def put(
        self, label: str, *permissions: Permission, kind: str = "signed", at: datetime = NOW, **changed: Any
    ) -> None:
        """A key as `gateway keys add` leaves it, added `at` this time, and then changed."""
        given: dict[str, Any] = {"networks": (f"{HERE}/32",), "public_id": f"public-{label}"}
        if self.provider != "emirex":
            given["networks"] = None
        state = {name: changed.pop(name) for name in ("state", "retired_at", "refused_at") if name in changed}
        key = ApiKey(
            account="treasury",
            provider=changed.pop("of", self.provider),
            environment=changed.pop("environment", "sandbox"),
            label=label,
            kind=kind,
            permissions=frozenset(permissions or Permission),
            origin=KeyOrigin.IMPORTED,
            **given | changed,
        )
        self.database.transaction(lambda connection: store.add(connection, key, PARTS[kind], at))
        if state:
            row = self.database.read(lambda connection: store.find(connection, "treasury", label, at))
            self.database.transaction(lambda connection: store.change(connection, row, at, **state))
        row = self.database.read(lambda connection: store.find(connection, "treasury", label, at))
        self.vault.put_many({place: Secret(f"{SECRET}-{place[1]}") for place in secret_names(row).values()})

    def run(self, *words: str) -> Result:
        return self._cli(*words)

    def report(self) -> list[dict[str, Any]]:
        result = self.run("doctor", "--json")
        assert SECRET not in result.output
        found: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
        assert all(row["todo"] for row in found if row["level"] != "ok")
        return found

    def said(self, *, level: str = "warning") -> list[str]:
        """What was found in the ring, of this level."""
        return [row["found"] for row in self.report() if (row["check"], row["level"]) == ("keys", level)]

    def todo(self, words: str) -> str:
        """What to do about the one line with these words."""
        [row] = [row for row in self.report() if row["check"] == "keys" and words in row["found"]]
        assert row["account"] == "treasury"
        return str(row["todo"])


@pytest.fixture
def ring(folder: Path, cli: Run, server: SandboxServer) -> Iterator[Shop]:
    shop = Shop(folder, cli, server)
    yield shop
    shop.database.close()


@pytest.fixture
def good(ring: Shop) -> Shop:
    """Two keys of which nothing is to be said."""
    ring.put("Read1", READ)
    ring.put("Payout1", WITHDRAW)
    return ring


def test_a_ring_without_fault_is_one_line(good: Shop) -> None:
    assert good.said() == good.said(level="problem") == []
    assert good.said(level="ok") == ["active keys in the ring: 2"]


def test_it_works_without_the_network(good: Shop) -> None:
    good.configure(base_url="http://127.0.0.1:1", timeout=1)
    good.put("Wide1", READ, networks=None)
    assert good.said() == ["Wide1 works from every address"]


def test_a_key_that_works_from_everywhere(good: Shop) -> None:
    good.put("Wide1", READ, networks=None)
    assert good.said() == ["Wide1 works from every address"]
    assert "`gateway keys guide edit --account treasury --label Wide1`" in good.todo("Wide1")


@pytest.mark.parametrize(
    "networks",
    [
        ("0.0.0.0/0",),
        ("::/0",),
        ("::ffff:0:0/96",),
        (f"{HERE}/32", "0.0.0.0/0"),
        ("0.0.0.0/1", "128.0.0.0/1", "::1/128"),
    ],
)
def test_a_key_that_works_from_everywhere_in_other_words(good: Shop, networks: tuple[str, ...]) -> None:
    good.configure(egress="::1" if "::/0" in networks else HERE)
    good.put("Wide1", READ, networks=networks)
    assert "Wide1 works from every address" in good.said()
    good.put("Most1", READ, networks=("0.0.0.0/1", "128.0.0.0/2", "::1/128"))
    assert "Most1 works from every address" not in good.said()


@pytest.mark.parametrize(("provider", "kind"), [("aurex", "bearer"), ("aurpay", "api-key"), ("aurpay", "signature")])
def test_nothing_is_said_of_what_the_provider_does_not_have(ring: Shop, provider: str, kind: str) -> None:
    """No addresses to confine a key to, and no permissions to take from the only one."""
    ring.configure(provider, egress=None)
    ring.put("main", kind=kind)
    assert ring.said() == []


@pytest.mark.parametrize("permissions", [(READ, WITHDRAW), (WITHDRAW,)])
def test_withdraw_on_the_only_key(ring: Shop, permissions: tuple[Permission, ...]) -> None:
    ring.put("All1", *permissions)
    assert ring.said() == [
        "the only key, All1, may withdraw: whatever the account does goes out with a key that can move money"
    ]
    assert "gateway keys create --account treasury --permission read" in ring.todo("may withdraw")
    ring.put("All2", READ, WITHDRAW)
    assert ring.said()[0].startswith("all keys may (All1, All2) withdraw")
    ring.put("Read1", READ)
    assert ring.said() == []


def test_a_key_of_another_pool_does_not_count_as_another(ring: Shop) -> None:
    ring.configure(key_pool="default")
    ring.put("All1", READ, WITHDRAW)
    ring.put("Read1", READ, pool="other")
    assert [line for line in ring.said() if "the only key, All1" in line]


def test_one_that_only_reads_is_nothing_to_tell(ring: Shop) -> None:
    ring.put("Read1", READ)
    assert ring.said() == []


@pytest.mark.parametrize(
    ("days", "told"), [(timedelta(days=6, hours=23), True), (timedelta(days=7, hours=1), False), (None, False)]
)
def test_a_key_that_expires_within_the_week(good: Shop, days: timedelta | None, told: bool) -> None:
    good.put("Short1", READ, expires_at=None if days is None else NOW + days)
    assert [line.startswith("Short1 expires on ") for line in good.said()] == [True] * told
    if told:
        assert "gateway keys rotate" in good.todo("expires on")


def test_the_week_is_a_setting(good: Shop) -> None:
    good.put("Short1", READ, expires_at=NOW + timedelta(days=20))
    good.configure(more='[keys]\nexpiring = "30d"\n')
    assert good.said() == [f"Short1 expires on {NOW + timedelta(days=20):%Y-%m-%d %H:%M} UTC"]


def test_a_retiring_key_may_expire(good: Shop) -> None:
    good.put("Old1", READ, expires_at=NOW + timedelta(days=1), state=KeyState.RETIRING, retired_at=NOW)
    assert good.said() == []


def test_a_key_that_has_expired(good: Shop) -> None:
    good.put("Gone1", READ, expires_at=NOW - timedelta(days=1))
    assert good.said() == [f"Gone1 expired on {NOW - timedelta(days=1):%Y-%m-%d} and is not used"]
    todo = good.todo("Gone1")
    assert todo.startswith("`gateway keys edit Gone1 --account treasury --expires TIME` where that is wrong; else ")
    assert todo.endswith("once it is ended at the provider, `gateway keys delete`")


def test_a_login_renews_by_itself(ring: Shop) -> None:
    ring.configure("aurpay", egress=None)
    ring.put("main", kind="login", public_id="shop@example.com", expires_at=NOW + timedelta(hours=1))
    assert ring.said() == []


@pytest.mark.parametrize(
    ("made", "added", "said"),
    [
        (400, 1, "was made on"),
        (None, 400, "was added on"),
        (300, 300, None),
        (30, 400, None),
    ],
)
def test_an_old_key(good: Shop, made: int | None, added: int, said: str | None) -> None:
    """Its age counts from when it was made at the provider, where that is known."""
    created = None if made is None else NOW - timedelta(days=made)
    good.put("Aged1", READ, at=NOW - timedelta(days=added), created_at=created)
    day = f"{NOW - timedelta(days=400):%Y-%m-%d}"
    assert good.said() == ([] if said is None else [f"Aged1 {said} {day}: that is long ago"])


def test_the_age_is_a_setting(good: Shop) -> None:
    good.put("Aged1", READ, at=NOW - timedelta(days=91))
    good.configure(more='[keys]\noldest = "90d"\n')
    assert "Aged1 was added on" in good.said()[0]


def test_a_label_that_the_provider_does_not_take(good: Shop) -> None:
    good.put("lowercase", READ)
    [said] = good.said()
    assert said.startswith("the label lowercase is none for Emirex: has no upper-case letter and no digit")
    assert "at least one upper-case letter" in good.todo("lowercase")


def test_no_egress_while_keys_are_confined(good: Shop) -> None:
    good.configure(egress=None)
    assert good.said() == ["which addresses requests leave from is not known, and keys admit some only: Read1, Payout1"]
    assert good.todo("which addresses").startswith('egress = ["..."] in accounts.treasury')


def test_addresses_that_were_written_as_ipv6_when_they_were_kept(good: Shop) -> None:
    address = ipaddress.ip_address(f"::ffff:{HERE}")
    good.put("Mapped1", READ, networks=(f"{address}/128",))
    good.put("Mapped2", READ, networks=(str(ipaddress.ip_network((address, 120), strict=False)),))
    assert good.said() == []
    good.put("There1", READ, networks=("::ffff:c633:6407/128",))
    assert len(good.said()) == 1
    assert good.said()[0].startswith("There1 admits")


def test_the_gateways_egress_is_that_of_its_accounts(good: Shop) -> None:
    good.configure(egress=None)
    text = (good.folder / "gateway.toml").read_text(encoding="utf-8")
    (good.folder / "gateway.toml").write_text(f'egress = "{HERE}"\n{text}', encoding="utf-8")
    assert good.said() == []


def test_no_egress_and_no_confined_key(ring: Shop) -> None:
    ring.configure(egress=None)
    unknown = "which addresses requests leave from is not known"
    assert ring.said() == [unknown]
    ring.put("Read1", READ, networks=None)
    assert ring.said() == ["Read1 works from every address", unknown]


def test_a_key_for_another_address(good: Shop) -> None:
    good.put("Else1", READ, networks=("198.51.100.0/24",))
    assert good.said() == [f"Else1 admits 198.51.100.0/24 only, and is never used from {HERE}"]


def test_a_key_that_was_set_aside(good: Shop) -> None:
    good.put("Bad1", READ, refused_at=NOW)
    assert good.said() == [f"Bad1 was refused by the provider on {NOW:%Y-%m-%d} and is set aside"]
    assert "`gateway keys verify --account treasury --label Bad1`" in good.todo("set aside")


def test_several_pools_of_which_none_is_named(good: Shop) -> None:
    """Then no key is used, so nothing else is said of one that is of another pool."""
    good.put("Pool1", READ, pool="markup-2")
    assert good.said(level="problem") == [
        "no key is used: the settings do not say which of the pools works: default, markup-2"
    ]
    assert 'key_pool = "default" in accounts.treasury' in good.todo("no key is used")
    assert good.said() == []
    good.configure(key_pool="markup-2")
    assert good.said(level="problem") == []


def test_a_retiring_key_of_another_pool(good: Shop) -> None:
    good.put("Pool1", READ, pool="markup-2", state="retiring", retired_at=NOW)
    assert good.said(level="problem") != []


@pytest.mark.parametrize("changed", [{"kind": "callback"}, {"state": "revoked"}])
def test_what_does_not_sign_is_of_no_pool(ring: Shop, changed: dict[str, Any]) -> None:
    ring.configure("aurpay", egress=None)
    ring.put("main", kind="api-key")
    ring.put("other", pool="markup-2", **{"kind": "api-key"} | changed)
    assert ring.said(level="problem") == []


def test_a_key_of_another_pool(good: Shop) -> None:
    good.configure(key_pool="default")
    good.put("Pool1", READ, pool="markup-2")
    assert good.said() == ["Pool1 is of the pool markup-2 and never used: the account works with the pool default"]
    assert 'key_pool = "markup-2"' in good.todo("Pool1")
    good.configure(key_pool="markup-2")
    assert [line for line in good.said() if "Pool1" in line] == []
    assert [line.split()[0] for line in good.said() if "never used" in line] == ["Read1", "Payout1"]


@pytest.mark.parametrize(("ago", "told"), [(LONG_RETIRED, True), (LONG_RETIRED - timedelta(hours=1), False)])
def test_a_retired_key_that_was_never_revoked(good: Shop, ago: timedelta, told: bool) -> None:
    good.put("Old1", READ, state=KeyState.RETIRING, retired_at=NOW - ago)
    assert [line.startswith("Old1 was retired on") for line in good.said()] == [True] * told
    if told:
        assert "`gateway keys guide revoke --account treasury --label Old1`" in good.todo("Old1")


def test_a_revoked_key_is_over(good: Shop) -> None:
    good.put("Done1", READ, networks=None, state=KeyState.REVOKED, expires_at=NOW - timedelta(days=9))
    good.vault.remove_many([("treasury", "Done1")])
    assert good.said() == []


def test_a_revoked_key_whose_secret_is_still_there(good: Shop, server: SandboxServer) -> None:
    """Erasing it failed, or the vault was put back."""
    good.put("Done1", READ, state=KeyState.REVOKED)
    told = "Done1 is revoked, and its secret is still in the vault"
    assert good.said() == [told]
    assert good.todo(told) == "`gateway keys revoke Done1 --account treasury --ended` erases it"
    good.configure(auth=server.account("emirex")["auth"])
    assert told in good.said()
    assert good.run("keys", "revoke", "Done1", "--account", "treasury", "--ended", "--yes").exit_code == 0
    assert told not in good.said()
    assert ("treasury", "Done1") not in good.vault.names()


def test_an_empty_ring(ring: Shop) -> None:
    assert ring.said(level="problem") == ["the ring has no active key"]
    assert ring.todo("no active key") == "`gateway keys create --account treasury`"
    assert not [row for row in ring.report() if row["check"] == "read"]  # it could only say the same
    ring.put("Old1", READ, state=KeyState.RETIRING, retired_at=NOW)
    assert ring.said(level="problem") == ["the ring has no active key: Old1 (retiring)"]


def test_secrets_that_prove_callbacks_sign_nothing(ring: Shop) -> None:
    ring.configure("aurpay", egress=None)
    ring.put("calls", kind="callback", pool="other")
    assert ring.said(level="problem") == ["the ring has no active key: calls (active)"]
    ring.put("main", kind="api-key")
    assert ring.said() == ring.said(level="problem") == []


def test_a_store_that_is_not_there_has_no_keys_and_is_not_made(cli: Run, folder: Path, server: SandboxServer) -> None:
    account = {**server.account("emirex"), "auth": {"kind": "ring"}, "egress": HERE}
    (folder / "gateway.toml").write_text(accounts_toml({"treasury": account}), encoding="utf-8")
    found = json.loads(cli("doctor", "--json").stdout)["checks"]
    assert [row["found"] for row in found if row["check"] == "keys"] == ["the ring has no active key"]
    assert not (folder / "gateway.db").exists()


def test_keys_in_the_ring_of_an_account_with_another(good: Shop, server: SandboxServer) -> None:
    good.configure(auth=server.account("emirex")["auth"], egress=None)
    assert good.said() == ["keys in the ring are never used, because the settings name another: Read1, Payout1"]
    assert good.todo("never used").startswith('auth = { kind = "ring" } in accounts.treasury')


def test_an_account_with_a_key_of_its_own_has_no_line_about_rings(ring: Shop, server: SandboxServer) -> None:
    ring.configure(auth=server.account("emirex")["auth"])
    assert not [row for row in ring.report() if row["check"] == "keys"]


def test_keys_of_another_environment(good: Shop) -> None:
    good.put("Live1", READ, environment="live")
    [said] = good.said()
    assert said == "Live1 is of emirex, live, and never used: the account is of emirex, sandbox"
    todo = good.todo("Live1")
    assert todo.startswith("give that environment an account of its own; or end it at the provider, then ")
    assert "`gateway keys retire Live1 --account treasury` and " in todo
    assert todo.endswith("`gateway keys revoke Live1 --account treasury --ended`")


def test_what_it_says_of_a_key_of_another_environment_leads_somewhere(good: Shop) -> None:
    good.put("Live1", READ, environment="live", state=KeyState.RETIRING, retired_at=NOW - timedelta(days=1))
    revoked = good.run("keys", "revoke", "Live1", "--account", "treasury", "--ended", "--json")
    assert json.loads(revoked.stdout)["state"] == "revoked"
    assert good.said() == []
    assert ("treasury", "Live1") not in good.vault.names()


def test_keys_of_an_account_that_the_settings_do_not_have(good: Shop, server: SandboxServer) -> None:
    file = good.folder / "gateway.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("accounts.treasury", "accounts.renamed"), encoding="utf-8")
    told = "the settings have no account of this name, and the store has keys of it: Read1, Payout1"
    assert good.said() == [told]
    assert "`gateway keys delete-all --account treasury`" in good.todo(told)
    listed = json.loads(good.run("keys", "list", "--account", "treasury", "--json").stdout)
    assert [key["label"] for key in listed] == ["Read1", "Payout1"]
    retired = good.run("keys", "retire", "Read1", "--account", "treasury", "--yes", "--json")
    assert json.loads(retired.stdout)["state"] == "retiring"
    revoked = good.run("keys", "revoke", "Read1", "--account", "treasury", "--ended", "--force", "--json")
    assert json.loads(revoked.stdout)["state"] == "revoked"
    refused = good.run("vault", "forget", "treasury/Payout1", "--yes", "--json")
    assert "`gateway keys revoke Payout1 --account treasury` ends the key" in json.loads(refused.stdout)["hint"]
    gone = good.run("keys", "delete-all", "--account", "treasury", "--confirm", "treasury", "--json")
    assert [key["label"] for key in json.loads(gone.stdout)] == ["Read1", "Payout1"]
    assert good.vault.names() == []
    assert good.said() == []


def test_an_empty_ring_is_not_said_to_be_busy(ring: Shop) -> None:
    ring.configure("aurex", egress=None)
    [rate] = [row for row in ring.report() if row["check"] == "rate"]
    assert (rate["level"], rate["found"]) == ("ok", "no key is used, so no call is counted")
    ring.put("main", kind="bearer")
    [rate] = [row for row in ring.report() if row["check"] == "rate"]
    assert rate["found"].endswith(" of 60 calls within 60 s are free")


def test_a_secret_that_the_vault_does_not_have(good: Shop) -> None:
    good.vault.remove_many([("treasury", "Read1")])
    assert good.said(level="problem") == ["Read1 cannot be used: the vault has no treasury/Read1"]


def test_no_vault_at_all(good: Shop) -> None:
    text = (good.folder / "gateway.toml").read_text(encoding="utf-8")
    (good.folder / "gateway.toml").write_text(text.partition("\n")[2].partition("\n")[2], encoding="utf-8")
    assert good.said(level="problem") == ["the ring's secrets are in a vault, and none is configured"]


def test_a_vault_that_others_can_read(good: Shop) -> None:
    os.chmod(good.folder / "gateway.vault", 0o640)
    [vault] = [row for row in good.report() if row["check"] == "vault"]
    assert vault["level"] == "problem"
    assert vault["found"] == f"the vault {good.folder / 'gateway.vault'} can be read by others"
    assert vault["todo"] == f"chmod 600 {good.folder / 'gateway.vault'}"


def test_a_vault_that_does_not_open(good: Shop) -> None:
    file = good.folder / "gateway.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(KEY, "cd" * 32), encoding="utf-8")
    [vault] = [row for row in good.report() if row["check"] == "vault"]
    assert vault["level"] == "problem"
    assert good.said() == []


def test_a_mistake_elsewhere_hides_nothing(good: Shop) -> None:
    good.put("Short1", READ, expires_at=NOW + timedelta(days=20))
    good.configure(more='[keys]\nexpiring = "30d"\n')
    file = good.folder / "gateway.toml"
    file.write_text(f'stoer = "typo"\negress = "{HERE}"\n{file.read_text(encoding="utf-8")}', encoding="utf-8")
    assert good.said() == [f"Short1 expires on {NOW + timedelta(days=20):%Y-%m-%d %H:%M} UTC"]
