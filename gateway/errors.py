"""Every error of the gateway, and what each says became of the request.

    GatewayError
    ├── ConfigurationError      a setting is missing, malformed or unsafe
    ├── PluginError             a plugin could not be loaded, or claims what is not its own
    ├── UnsupportedOperation    the provider has no such call (or only by hand); refused before any network I/O
    ├── UnverifiedOperation     nobody has been seen making this call; allowed only by `allow_inferred`
    ├── InvalidRequest          the request is wrong, found here or by the provider (also a ValueError)
    ├── AuthenticationFailed    the provider does not accept the key, signature or clock
    ├── PermissionDenied        the key is genuine but may not do this
    ├── LimitExceeded           the merchant's own brakes stopped it: amount, day, destination, frozen
    ├── NotFound                no such order, withdrawal, … here or at the provider
    ├── Conflict                the provider or a concurrent call is in the way
    │   └── IdempotencyConflict the reference was already used for a different request
    ├── InsufficientFunds       the account cannot pay for it
    ├── RateLimited             too many requests, and no time left to wait; see `retry_after`
    ├── ProviderUnavailable     not reachable, or answering with server errors
    ├── OutcomeUnknown          a write left and its result was not learned; it may have happened
    ├── MalformedResponse       an answer that is not what the provider's documentation describes
    ├── CallbackRejected        a callback that was not admitted
    ├── VaultError              a stored secret could not be read or written
    └── StoreError              the gateway's own database refused or failed

`outcome` is about the provider, not about Python: `not_sent` means that no byte of the request can have been acted on,
`rejected` that the provider said no or that the call only reads, so nothing was changed, and `unknown` that it may have
been carried out. Only `unknown` needs a person or a later reading of the provider.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, Self

__all__ = [
    "AuthenticationFailed",
    "CallbackRejected",
    "ConfigurationError",
    "Conflict",
    "GatewayError",
    "IdempotencyConflict",
    "InsufficientFunds",
    "InvalidRequest",
    "LimitExceeded",
    "MalformedResponse",
    "NotFound",
    "Outcome",
    "OutcomeUnknown",
    "PermissionDenied",
    "PluginError",
    "ProviderUnavailable",
    "RateLimited",
    "StoreError",
    "UnsupportedOperation",
    "UnverifiedOperation",
    "VaultError",
]


class Outcome(StrEnum):
    """What became of a request that failed."""

    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class GatewayError(Exception):
    """The root of the tree. Its text names the account, the operation and the reference, and ends with what to do.

    `retryable` says that the very same call may be made again without changing anything; for writes that is only ever
    true when nothing was done.
    """

    default_outcome: ClassVar[Outcome] = Outcome.NOT_SENT
    default_retryable: ClassVar[bool] = False
    default_hint: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome | None = None,
        retryable: bool | None = None,
        account: str | None = None,
        provider: str | None = None,
        operation: str | None = None,
        reference: str | None = None,
        provider_code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.outcome = outcome if outcome is not None else self.default_outcome
        self.retryable = retryable if retryable is not None else self.default_retryable
        self.account = account
        self.provider = provider
        self.operation = operation
        self.reference = reference
        self.provider_code = provider_code
        self.hint = hint if hint is not None else self.default_hint

    def about(
        self,
        *,
        account: str | None = None,
        provider: str | None = None,
        operation: str | None = None,
        reference: str | None = None,
    ) -> Self:
        """Fill in what the place that raised could not know; what is already there stays. Returns the same error."""
        self.account = self.account or account
        self.provider = self.provider or provider
        self.operation = self.operation or operation
        self.reference = self.reference or reference
        return self

    def __str__(self) -> str:
        place = f"{self.account} ({self.provider})" if self.account and self.provider else self.account or self.provider
        head = " ".join(part for part in (place, self.operation, self.reference) if part)
        text = f"{head}: {self.message}" if head else self.message
        return f"{text} — {self.hint}" if self.hint else text

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-able data, for `--json`, the journal and `from_dict`."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "outcome": self.outcome.value,
            "retryable": self.retryable,
            "account": self.account,
            "provider": self.provider,
            "operation": self.operation,
            "reference": self.reference,
            "provider_code": self.provider_code,
            "hint": self.hint,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> GatewayError:
        """The recorded error again, as the same class. A class that this version does not know becomes GatewayError."""
        kinds: dict[str, type[GatewayError]] = {
            name: value
            for name, value in globals().items()
            if isinstance(value, type) and issubclass(value, GatewayError)
        }
        kind = kinds.get(str(data.get("error")), GatewayError)
        error = kind(
            str(data.get("message", "")),
            outcome=Outcome(data["outcome"]) if data.get("outcome") else None,
            retryable=data.get("retryable"),
            account=data.get("account"),
            provider=data.get("provider"),
            operation=data.get("operation"),
            reference=data.get("reference"),
            provider_code=data.get("provider_code"),
            hint=data.get("hint"),
        )
        if isinstance(error, RateLimited):
            after = data.get("retry_after")
            error.retry_after = None if after is None else float(after)
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions (multiprocessing needs it).
        return (GatewayError.from_dict, (self.to_dict(),))


class ConfigurationError(GatewayError):
    """A setting is missing, malformed or unsafe; the message carries its path, never a secret's value."""


class PluginError(GatewayError):
    """A plugin could not be loaded, or claims a name that another one has; the message names its distribution."""


class UnsupportedOperation(GatewayError):
    """The provider offers no such call, or only by hand. The hint says what to do instead."""


class UnverifiedOperation(GatewayError):
    """The call is graded I (inferred): nobody has been seen making it. `allow_inferred` of the account switches it
    on.
    """


class InvalidRequest(GatewayError, ValueError):
    """The request is wrong: found before sending (`not_sent`) or refused by the provider (`rejected`)."""


class AuthenticationFailed(GatewayError):
    """The provider does not accept the key, the signature or the clock. Nothing was done."""

    default_outcome = Outcome.REJECTED
    default_hint = "check the account's key and this machine's clock"


class PermissionDenied(GatewayError):
    """The key is genuine but may not do this. Nothing was done."""

    default_outcome = Outcome.REJECTED


class LimitExceeded(GatewayError):
    """The merchant's own payout brakes stopped it before anything was sent."""


class NotFound(GatewayError):
    """No such thing, here (`not_sent`) or at the provider (`rejected`)."""


class Conflict(GatewayError):
    """The provider refuses because of the present state (`rejected`), or a concurrent twin of this call is running."""


class IdempotencyConflict(Conflict):
    """The reference was already used for a different request; nothing was sent."""


class InsufficientFunds(GatewayError):
    """The account cannot pay for it. Nothing was done."""

    default_outcome = Outcome.REJECTED


class RateLimited(GatewayError):
    """Too many requests and no time left to wait before the deadline. `retry_after` is in seconds, where known."""

    default_retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.retry_after = retry_after

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "retry_after": self.retry_after}


class ProviderUnavailable(GatewayError):
    """The provider cannot be reached or answers with server errors; nothing was changed."""

    default_retryable = True


class OutcomeUnknown(GatewayError):
    """A write left and its result was not learned. It may have been carried out; it is never repeated on its own.

    The cause (time-out, reset, server error, unreadable answer) is attached as `__cause__`.
    """

    default_outcome = Outcome.UNKNOWN


class MalformedResponse(GatewayError):
    """The answer to a read is not what the documentation describes; the message shows its status and redacted head."""

    default_outcome = Outcome.REJECTED


class CallbackRejected(GatewayError):
    """A callback that was not admitted."""


class VaultError(GatewayError):
    """A stored secret could not be read or written; nothing was overwritten. With the outcome UNKNOWN it was written,
    and the disk did not confirm it.
    """


class StoreError(GatewayError):
    """The gateway's own database refused or failed."""
