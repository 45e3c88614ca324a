"""Settings that take what is wrong, or show what was written."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from conformance.acme import AcmeSettings, Keys
from conformance.broken.fault import fails
from gateway.secrets import Secret

_WRONG_KIND = "test_what_is_of_the_wrong_kind_is_named"


@fails("test_an_unknown_setting_is_named", "a wrong setting was taken: no_such_setting")
class TakesUnknownSettings(AcmeSettings):
    """Takes settings that it does not know, so that a misspelt one does nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class LooseKeys(BaseModel):
    kind: str = Field(description="how requests are authenticated")
    key: Secret = Field(description="the public part of the key, sent along")
    secret: Secret = Field(description="the secret part, which signs")


@fails("test_what_is_misspelt_is_named", "a wrong setting was taken: ")
class TakesMisspeltTables(AcmeSettings):
    """Takes misspelt names inside one of its tables."""

    callback: dict[str, Any] = Field(default_factory=dict, description="the proof in callbacks")  # type: ignore[assignment]


class QuotingKeys(Keys):
    @field_validator("key", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no key")
        return value


@fails(_WRONG_KIND, "the error about the setting key shows a value (what was written)")
class QuotesWhatWasWritten(AcmeSettings):
    """Quotes what was written in the error about it: a secret may stand in the wrong place."""

    auth: QuotingKeys = Field(description="the account's key")


class RaisingKeys(Keys):
    @field_validator("key", mode="before")
    @classmethod
    def _is_known(cls, value: object) -> object:
        if not isinstance(value, str):
            raise KeyError("key")
        return value


@fails(_WRONG_KIND, "a wrong setting (key) became KeyError instead of a ConfigurationError")
class FailsAtSettings(AcmeSettings):
    """Raises another exception than one about the setting."""

    auth: RaisingKeys = Field(description="the account's key")


class BareKeys(Keys):
    key: Secret


@fails("test_every_setting_is_described", "the setting BareKeys.key has no description")
class DescribesNothing(AcmeSettings):
    """Does not describe a setting."""

    auth: BareKeys = Field(description="the account's key")
