"""What an account of Emirex may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.contracts import AccountSettings, BaseUrl, RingAuth, Setting
from gateway.secrets import Secret

__all__ = ["EmirexSettings", "SignedKeys"]


def _header_text(value: Secret) -> Secret:
    if not all("!" <= character <= "~" for character in value.reveal()):
        raise ValueError("must be printable ASCII without spaces or line ends")
    return value


class SignedKeys(Setting):
    """Keys made in the web interface. The public key alone opens a part of the account: it is kept out of sight too."""

    kind: Literal["signed"] = Field(description="how private requests are authenticated; Emirex has only this one")
    public_key: Annotated[Secret, AfterValidator(_header_text)] = Field(
        description="the public key, sent as `login-token`"
    )
    secret: Secret = Field(description="the private secret key, which the vendor shows once; it signs")


class EmirexSettings(AccountSettings):
    """An account of Emirex."""

    base_url: BaseUrl = Field(default="https://api.emirex.com/v1", description="where the API is, with its version")
    auth: Annotated[SignedKeys | RingAuth, Field(discriminator="kind")] | None = Field(
        default=None, description="the account's keys; public market data needs none"
    )
