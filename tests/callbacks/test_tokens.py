"""The address of an attempt, and the token in it."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from callbacks.bell import Shop, cart, inbox
from gateway import Gateway
from gateway.callbacks.tokens import Place, attempt_url, is_genuine, place_of
from gateway.errors import ConfigurationError
from gateway.secrets import Secret

BASE = "https://shop.example/payments"
NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
KEYS = st.binary(min_size=16, max_size=64).map(lambda raw: Secret(raw.hex()))


def place(url: str) -> Place:
    found = place_of(url.removeprefix(BASE), BASE)
    assert found is not None
    return found


@given(NAMES, NAMES, KEYS)
def test_what_was_made_is_genuine(account: str, attempt: str, key: Secret) -> None:
    url = attempt_url(BASE, key, account, attempt)
    assert place(url)[:2] == (account, attempt)
    assert is_genuine(place(url), [key])
    assert key.reveal() not in url


@given(NAMES, NAMES, KEYS, NAMES, NAMES, KEYS)
def test_what_was_made_for_another_is_not(
    account: str, attempt: str, key: Secret, account2: str, attempt2: str, key2: Secret
) -> None:
    assume((account, attempt, key) != (account2, attempt2, key2))
    mac = place(attempt_url(BASE, key, account, attempt)).mac
    assert not is_genuine(Place(account2, attempt2, mac), [key2])


@given(NAMES, NAMES, KEYS, st.integers(0, 31), st.sampled_from("0123456789abcdef"))
def test_one_wrong_digit_is_enough(account: str, attempt: str, key: Secret, where: int, digit: str) -> None:
    mac = place(attempt_url(BASE, key, account, attempt)).mac
    assume(mac[where] != digit)
    assert not is_genuine(Place(account, attempt, mac[:where] + digit + mac[where + 1 :]), [key])


@given(NAMES, NAMES)
def test_account_and_attempt_cannot_be_shifted_into_each_other(account: str, attempt: str) -> None:
    key = Secret("k" * 16)
    mac = place(attempt_url(BASE, key, account, attempt)).mac
    for cut in range(1, len(account)):
        assert not is_genuine(Place(account[:cut], account[cut:] + attempt, mac), [key])


@given(st.lists(KEYS, min_size=1, max_size=5, unique=True), st.data())
def test_every_key_admits_and_no_key_admits_nothing(keys: list[Secret], data: st.DataObject) -> None:
    made = place(attempt_url(BASE, data.draw(st.sampled_from(keys)), "shop", "a"))
    assert is_genuine(made, keys)
    assert not is_genuine(made, [])


def test_the_value_of_a_token_stays_the_same() -> None:
    """Providers keep addresses for as long as an order lives: another version has to know them."""
    url = attempt_url(BASE, Secret("a-callback-key-of-the-tests"), "shop", "00112233445566778899aabbccddeeff")
    assert url == f"{BASE}/shop/00112233445566778899aabbccddeeff.{EXPECTED}"


EXPECTED = "a26feeff2eaa54dcfb6be27f5e3fbe01"


@pytest.mark.parametrize("prefix", ["", "/payments", "/mounted", "/mounted/deeper"])
def test_the_prefix_that_it_is_called_under_is_taken_off(prefix: str) -> None:
    path = attempt_url("", Secret("k" * 16), "shop", "a")
    found = place_of(prefix + path, BASE, mounted_at="" if prefix == "/payments" else prefix)
    assert found == place_of(path, BASE)


def test_an_account_may_be_called_as_the_prefix_is() -> None:
    path = attempt_url("", Secret("k" * 16), "payments", "a")
    assert place_of(path, BASE) == place_of("/payments" + path, BASE) == place_of(path, BASE, "/payments")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/shop",
        "/shop/",
        "/shop/a",
        "/shop/a.",
        f"/shop/a.{'0' * 31}",
        f"/shop/a.{'0' * 33}",
        f"/shop/a.{'A' * 32}",
        f"/shop/a.{'0' * 32}/",
        f"/shop/a.{'0' * 32}\n",
        f"/shop//a.{'0' * 32}",
        f"//shop/a.{'0' * 32}",
        f"/other/shop/a.{'0' * 32}",
        f"/paymentsshop/a.{'0' * 32}x",
        f"shop/a.{'0' * 32}",
        f"/sh op/a.{'0' * 32}",
        f"/shöp/a.{'0' * 32}",
        f"/shop/a.b.{'0' * 32}",
        f"/shop/a.{chr(0x660) * 32}",
        f"/{'s' * 65}/a.{'0' * 32}",
    ],
)
def test_other_paths_name_nothing(path: str) -> None:
    assert place_of(path, BASE) is None


@given(st.text())
def test_no_path_is_too_strange(path: str) -> None:
    found = place_of(path, BASE)
    assert found is None or not is_genuine(found, [Secret("k" * 16)])


def test_keys_are_rotated_without_losing_an_address(shop: Shop, tmp_path: object) -> None:
    store = f"sqlite:///{tmp_path}/gateway.db"
    old, new = "the-old-key-of-the-tests", "the-new-key-of-the-tests"
    with shop.gateway(store=store, callback_key=old) as gw:
        gw.orders.create(cart("cart-1"), account="shop")
    with shop.gateway(store=store, callback_key=[new, old]) as gw:
        gw.orders.create(cart("cart-2"), account="shop")
        assert shop.calls_back(gw, "n1") == shop.calls_back(gw, "n2") == 200
    with shop.gateway(store=store, callback_key=new) as gw:
        assert (shop.calls_back(gw, "n1"), shop.calls_back(gw, "n2")) == (404, 200)
    with shop.gateway(store=store, callback_key=[old]) as gw:
        assert (shop.calls_back(gw, "n1"), shop.calls_back(gw, "n2")) == (200, 404)
        gw.callbacks.process()
        assert {row.state.value for row in inbox(gw)} == {"processed"}


@pytest.mark.parametrize(
    ("key", "where"), [("short", "callback_key"), ("x" * 15, "callback_key"), (["y" * 20, "short"], "callback_key.1")]
)
def test_a_short_key_is_refused(key: object, where: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{where}: is too short: expected at least 16 bytes") as refused:
        Gateway(store="sqlite://", callback_key=key)  # type: ignore[arg-type]
    assert "short" not in str(refused.value).replace("too short", "")


def test_bytes_count_and_not_letters() -> None:
    Gateway(store="sqlite://", callback_key="ключ-ключ").close()


def test_without_keys_or_address_there_is_no_application(monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway import callbacks

    with Gateway(store="sqlite://", public_base_url=BASE) as gw:
        for make in (callbacks.asgi, callbacks.wsgi):
            with pytest.raises(ConfigurationError, match="callback_key: is missing"):
                make(gw)
        with pytest.raises(ConfigurationError, match="callback_key: is missing"):
            gw.callbacks.receive(method="GET", url="/", headers={}, body=b"")
    with (
        Gateway(store="sqlite://", callback_key="k" * 16) as gw,
        pytest.raises(ConfigurationError, match="public_base"),
    ):
        callbacks.wsgi(gw)
    monkeypatch.setenv("GATEWAY_CALLBACK_KEY", '["first-of-the-keys", "second-of-the-keys"]')
    with Gateway(store="sqlite://", public_base_url=BASE) as gw:
        callbacks.asgi(gw)
        assert [key.reveal() for key in gw._core.settings.callback_key] == ["first-of-the-keys", "second-of-the-keys"]
