"""An open account: what it hides, what it can do, and that a name belongs to one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from gateway.accounts import secrets_in
from gateway.contracts import Adapter, Setting
from gateway.engine.perform import Begun, Performance, perform
from gateway.errors import ConfigurationError, PluginError
from gateway.exchange import Operation
from gateway.secrets import Secret
from support.colours import opened
from support.loopback import Loopback
from support.toy import KEY, Toy, account, provider, toy_plugins


class Deep(Setting):
    one: Secret
    several: tuple[Secret, ...] = ()
    named: dict[str, list[Secret]] = Field(default_factory=dict)
    inner: Deep | None = None
    number: int = 5


def test_every_secret_of_the_settings_is_found_however_deep() -> None:
    settings = Deep(
        one=Secret("s-1"),
        several=(Secret("s-2"), Secret("s-3")),
        named={"a": [Secret("s-4")]},
        inner=Deep(one=Secret("s-5")),
    )
    assert [secret.reveal() for secret in secrets_in(settings)] == ["s-1", "s-2", "s-3", "s-4", "s-5"]


def test_a_proxys_password_and_the_key_are_hidden_from_reports() -> None:
    shop = account("https://api.toy.invalid", proxy="http://user:proxy-CANARY@proxy.example")
    with opened("sync", accounts={"shop": shop}) as gw:
        hidden = gw.core.account("shop").redactor
        assert "CANARY" not in hidden.text(f"{KEY} http://user:proxy-CANARY@proxy.example")


def test_an_adapter_that_lacks_what_its_table_declares_is_a_plugin_error(colour: str) -> None:
    class Bare(Adapter[Any]):
        make_auth = Toy.make_auth

    plugins = toy_plugins(provider(adapter=Bare))
    with Loopback() as server, opened(colour, plugins=plugins, accounts={"shop": account(server.url)}) as gw:
        with pytest.raises(PluginError, match="shop") as caught:
            gw.markets.ticker("BTC/USD", account="shop")
        assert "declares this operation but is no" in str(caught.value)
        assert server.requests == []


def test_an_operation_may_need_no_request(colour: str) -> None:
    def operation() -> Operation[str]:
        yield from ()
        return "known without asking"

    with Loopback() as server, opened(colour, accounts={"shop": account(server.url)}) as gw:
        shop = gw.core.account("shop")
        told: list[Any] = []
        gw.observe(told.append)
        run = Performance(shop, "orders.get", gw.core.deadline(None, shop))
        assert gw.run(perform(run, Begun(operation()))) == "known without asking"
        assert [(record.kind, record.outcome) for record in told] == [("operation", "done")]
        assert server.requests == []


def test_a_name_is_given_once_however_many_ask_for_it() -> None:
    with opened("sync", accounts={}) as gw:
        results = gw.together(10, lambda gateway, index: gateway.add_account("shop", **account("http://127.0.0.1:1")))
        refused = [result for result in results if isinstance(result, ConfigurationError)]
        assert len(refused) == 9
        assert gw.accounts == ("shop",)
