"""What an account of Aurex may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.contracts import AccountSettings, BaseUrl, RingAuth, Setting
from gateway.secrets import Secret

__all__ = ["AurexSettings", "BearerKey"]


def _header_text(value: Secret) -> Secret:
    if not all("!" <= character <= "~" for character in value.reveal()):
        raise ValueError("must be printable ASCII without spaces or line ends")
    return value


class BearerKey(Setting):
    """An API key made in the dashboard. One key has full power over the account; it has no scopes and no IP list."""

    kind: Literal["bearer"] = Field(description="how requests are authenticated; Aurex has only this one")
    api_key: Annotated[Secret, AfterValidator(_header_text)] = Field(description="the API key, from the dashboard")


class AurexSettings(AccountSettings):
    """An account of Aurex."""

    base_url: BaseUrl = Field(
        default="https://aurex.cash/api/dashboard", description="where the API is; production only, there is no sandbox"
    )
    auth: Annotated[BearerKey | RingAuth, Field(discriminator="kind")] = Field(description="the account's key")
