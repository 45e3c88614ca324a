"""What an Aurpay account's section of the configuration may say."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.contracts import AccountSettings, BaseUrl, RingAuth, Setting
from gateway.secrets import Secret

__all__ = [
    "ApiKeyAuth",
    "AurpaySettings",
    "CallbackProof",
    "CallbackSecrets",
    "CryptoCurrenciesCall",
    "LightningBalanceCall",
    "LoginCredentials",
    "RealCurrenciesCall",
    "SelfCustodyCall",
    "SignatureAuth",
    "WalletsCall",
    "WithdrawCall",
]


def _path(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]+", value, re.ASCII) or ".." in value or "//" in value:
        raise ValueError("expected a path below the base_url, such as /api/v2/wallet/")
    return value


def _header(value: Secret) -> Secret:
    if not re.fullmatch(r"[!-~]+", value.reveal()):
        raise ValueError("goes into an HTTP header: printable ASCII without spaces or line ends")
    return value


def _filled(value: Secret) -> Secret:
    # What is signed with an empty secret, anybody can sign.
    if not value.reveal():
        raise ValueError("is empty")
    return value


def _zone(value: str) -> str:
    try:
        if value != "UTC":
            ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise ValueError("expected a time zone by its IANA name, such as UTC or Asia/Singapore") from None
    return value


def _several(value: object) -> object:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


Path = Annotated[str, AfterValidator(_path)]
FieldName = Annotated[str, Field(min_length=1, max_length=64)]
HeaderSecret = Annotated[Secret, AfterValidator(_header)]
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_several)]
"""One secret, or several while one replaces another."""


class ApiKeyAuth(Setting):
    """The API key flavour; the vendor recommends it for testing."""

    kind: Literal["api-key"] = Field(description="requests carry an API key")
    api_key: HeaderSecret = Field(description="the dashboard's plugin public key, sent as API-Key")


class SignatureAuth(Setting):
    """The signature flavour; the vendor recommends it for production."""

    kind: Literal["signature"] = Field(description="requests are signed")
    api_token: HeaderSecret = Field(description="the API token of the dashboard, sent as API-Token")
    api_secret: Secret = Field(description="the API secret of the dashboard; it signs and is never sent")


class LoginCredentials(Setting):
    """The API key flavour with a key that is obtained with the dashboard's user name and password, and renewed."""

    kind: Literal["login"] = Field(description="the API key is obtained with a login")
    username: str = Field(min_length=1, description="the user name of the dashboard")
    password: Secret = Field(description="the password of the dashboard")
    path: Path = Field(
        default="/api/plugin/key/aurpay", description="where the key comes from; one page names /api/plugin/key"
    )


class CallbackProof(Setting):
    """What the dashboard's callback page shows, for checking the provider's own proof in callbacks."""

    token: Secrets = Field(default=(), description="the callback token that the provider sends along, or several")
    secret: Secrets = Field(default=(), description="the callback secret that the provider signs with, or several")
    strict: bool = Field(default=False, description="reject callbacks whose proof does not match (its recipe is C)")
    window: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=300, description="seconds that the date of a callback may be from the time it comes, both ways"
    )


class CallbackSecrets(Setting):
    """What the dashboard's callback page shows, kept in the ring: while one replaces another, both admit callbacks."""

    kind: Literal["callback"] = Field(description="proves what the provider sends; requests are not made with it")
    token: HeaderSecret = Field(description="the callback token that the provider sends along as Callback-Token")
    secret: Annotated[Secret, AfterValidator(_filled)] = Field(
        description="the callback secret that the provider signs with"
    )


class RealCurrenciesCall(Setting):
    """Accepted fiat currencies. The path is documented; the answer is not."""

    path: Path = Field(default="/api/order/pay/real-currency", description="the call's path")
    currency: FieldName = Field(default="currency", description="the field of a code, where entries are objects")


class CryptoCurrenciesCall(Setting):
    """Accepted coins. The call is documented to exist; its path and answer are inferred."""

    path: Path = Field(default="/api/order/pay/crypto-currency", description="the call's path")
    chain: FieldName = Field(default="chain", description="the field of the chain's code")
    currency: FieldName = Field(default="currency", description="the field of the coin's code")
    contract_addr: FieldName = Field(default="contract_addr", description="the field of the token contract")


class WalletsCall(Setting):
    """Balances. The call is documented to exist; its path and answer are inferred."""

    path: Path = Field(default="/api/v2/wallet/", description="the call's path")
    chain: FieldName = Field(default="chain", description="the field of the chain's code")
    currency: FieldName = Field(default="currency", description="the field of the coin's code")
    balance: FieldName = Field(default="balance", description="the field of the balance")
    address: FieldName = Field(default="address", description="the field of the address")


class SelfCustodyCall(Setting):
    """Wallets whose keys the merchant holds. The call is documented to exist; its path and answer are inferred."""

    path: Path = Field(default="/api/v2/wallet/self-custody", description="the call's path")
    chain: FieldName = Field(default="chain", description="the field of the chain's code")
    address: FieldName = Field(default="address", description="the field of the address")


class LightningBalanceCall(Setting):
    """The Lightning balance in BTC. The call is documented to exist; its path and answer are inferred."""

    path: Path = Field(default="/api/bln/balance", description="the call's path")
    balance: FieldName = Field(default="balance", description="the field of the balance")


class WithdrawCall(Setting):
    """The payout to an address. It is documented to exist, its path and body are not: nothing here has a default."""

    path: Path = Field(description="the call's path")
    amount: FieldName = Field(description="the field of the amount")
    amount_as: Literal["number", "text"] = Field(description="how the amount is written")
    currency: FieldName = Field(description="the field of the coin's code, such as USDT-TRC20")
    chain: FieldName = Field(description="the field of the chain's code, such as TRX")
    address: FieldName = Field(description="the field of the address")


class AurpaySettings(AccountSettings):
    """An account at Aurpay."""

    base_url: BaseUrl = Field(default="https://dashboard.aurpay.net", description="where the provider is")
    auth: ApiKeyAuth | SignatureAuth | LoginCredentials | RingAuth = Field(
        discriminator="kind", description="how requests are authenticated: api-key, signature, login or ring"
    )
    callback: CallbackProof = Field(default_factory=CallbackProof, description="the provider's proof in callbacks")
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="the zone of the provider's times, which carry none; UTC is inferred"
    )
    real_currencies: RealCurrenciesCall = Field(
        default_factory=RealCurrenciesCall, description="currencies.list:fiat as this account sees it"
    )
    crypto_currencies: CryptoCurrenciesCall = Field(
        default_factory=CryptoCurrenciesCall, description="currencies.list:crypto as this account sees it"
    )
    wallets: WalletsCall = Field(
        default_factory=WalletsCall, description="wallets.list:custodial as this account sees it"
    )
    self_custody: SelfCustodyCall = Field(
        default_factory=SelfCustodyCall, description="wallets.list:self-custody as this account sees it"
    )
    lightning_balance: LightningBalanceCall = Field(
        default_factory=LightningBalanceCall, description="wallets.list:lightning as this account sees it"
    )
    withdraw: WithdrawCall | None = Field(
        default=None, description="switches payouts to an address on; without it they are made in the dashboard"
    )

    @property
    def zone(self) -> tzinfo:
        # Not every machine has a zone database; UTC needs none.
        return UTC if self.timezone == "UTC" else ZoneInfo(self.timezone)
