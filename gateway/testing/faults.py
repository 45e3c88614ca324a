"""What can go wrong between a merchant and a provider, as data: faults of the next calls and of the next callbacks.

    CallFault                                   CallbackFault
    ├── Status     another status               ├── Duplicated  the same one several times
    ├── Delay      the answer comes late        ├── Delayed     it comes late
    ├── Drop       the connection breaks        ├── Reordered   several, the last one first
    ├── Truncated  the answer is cut off        ├── Forged      one without the right proof
    ├── Foreign    somebody else's page         └── Suppressed  none at all
    └── Empty      no body

Each strikes the next `times` calls (or callbacks) that it matches. `executed` says whether the provider has carried the
call out by then; a client cannot tell from what it sees, and that is the point.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

__all__ = [
    "CallFault",
    "CallbackFault",
    "Delay",
    "Delayed",
    "Drop",
    "Duplicated",
    "Empty",
    "Fault",
    "FaultQueue",
    "Foreign",
    "Forged",
    "Reordered",
    "Status",
    "Suppressed",
    "Truncated",
    "read_call_fault",
    "read_callback_fault",
]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = {"content-length", "transfer-encoding", "connection"}
_WITHOUT_BODY = {204, 205, 304}

FOREIGN_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>"
    "<body><h1>Checking your browser</h1></body></html>\n"
)


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, content in value.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a header")
        if name.lower() in _FRAMING:
            raise ValueError(f"{name} is set by the server itself")
        if not content.isprintable() or not content.isascii():
            raise ValueError(f"the value of {name} must be printable ASCII")
    return value


def _prefix(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected the beginning of a path, such as /api/order")
    return value


Headers = Annotated[dict[str, str], AfterValidator(_headers)]
StatusCode = Annotated[int, Field(ge=200, le=599)]
Seconds = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]


class Fault(BaseModel):
    """The base of all faults; they never change, and unknown or ill-typed fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: str
    """Which fault it is, in JSON; set by the class."""
    times: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="how many calls or callbacks it strikes"
    )


class CallFault(Fault):
    """A fault of the calls that a client makes."""

    method: Annotated[str, Field(min_length=1)] | None = Field(default=None, description="only this method")
    path: Annotated[str, AfterValidator(_prefix)] | None = Field(
        default=None, description="only paths that begin so; the provider's own, without its name in front"
    )

    def matches(self, method: str, path: str) -> bool:
        """Whether it strikes this call."""
        return (self.method is None or self.method.upper() == method.upper()) and path.startswith(self.path or "/")


class _Canned(CallFault):
    """An answer that does not come from the provider's application."""

    status: StatusCode = 200
    """The HTTP status, 200 to 599."""
    headers: Headers = Field(default_factory=dict)
    """Header names and their values, printable ASCII."""
    body: str = ""
    executed: bool = False
    """Whether the call is carried out all the same."""

    @model_validator(mode="after")
    def _check(self) -> _Canned:
        if self.body and self.status in _WITHOUT_BODY:
            raise ValueError(f"an answer with status {self.status} has no body")
        return self


class Status(_Canned):
    """This status, with headers such as Retry-After and a body, instead of the provider's answer. Takes `headers`,
    `body` and `executed` too: whether the call is carried out all the same.
    """

    kind: Literal["status"] = "status"
    status: StatusCode
    """The HTTP status, 200 to 599."""


class Foreign(_Canned):
    """A page of somebody in between (a captive portal, a bot check), by default in HTML with status 200. Takes `status`
    and `executed` too, as Status does.
    """

    kind: Literal["foreign"] = "foreign"
    headers: Headers = Field(default_factory=lambda: {"Content-Type": "text/html; charset=utf-8"})
    body: str = FOREIGN_PAGE
    """A page that says that it checks the browser, if none is given."""


class Empty(CallFault):
    """An answer without a body."""

    kind: Literal["empty"] = "empty"
    status: StatusCode = 200
    """The HTTP status, 200 to 599."""
    executed: bool = False
    """Whether the call is carried out all the same."""


class Delay(CallFault):
    """The genuine answer comes later. The call is carried out also when the client has gone away meanwhile, as
    providers do.
    """

    kind: Literal["delay"] = "delay"
    seconds: Seconds
    """Above 0 and up to 600, a fraction too."""
    executed: bool = False
    """Whether the call is carried out before the pause, else after it."""


class Drop(CallFault):
    """The connection is broken off without an answer."""

    kind: Literal["drop"] = "drop"
    executed: bool
    """Whether the call is carried out before."""


class Truncated(CallFault):
    """The call is carried out, and its answer breaks off: the Content-Length promises more than is sent."""

    kind: Literal["truncated"] = "truncated"
    keep: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="how many bytes of the body are sent; half of them by default"
    )


class CallbackFault(Fault):
    """A fault of the callbacks that the provider makes."""

    order: str | None = Field(default=None, description="only callbacks about this order")

    def matches(self, order: str) -> bool:
        """Whether it strikes the callbacks of this order."""
        return self.order is None or self.order == order


class Duplicated(CallbackFault):
    """The callback is made several times."""

    kind: Literal["duplicated"] = "duplicated"
    copies: Annotated[int, Field(ge=2, le=1000)] = 2
    """How many times in all, 2 to 1,000."""


class Delayed(CallbackFault):
    """The callback is made later; others overtake it."""

    kind: Literal["delayed"] = "delayed"
    seconds: Seconds
    """Above 0 and up to 600, a fraction too."""


class Reordered(CallbackFault):
    """The next callbacks are held, and made in reverse when the last of them has come."""

    kind: Literal["reordered"] = "reordered"
    times: Annotated[int, Field(ge=2, le=10_000)] = 2
    """How many, 2 to 10,000."""


class Forged(CallbackFault):
    """A stranger's callback is made in place of the genuine one."""

    kind: Literal["forged"] = "forged"
    genuine: bool = False
    """Whether the genuine one is made too, just after it."""


class Suppressed(CallbackFault):
    """The callback is never made."""

    kind: Literal["suppressed"] = "suppressed"


_CALL: TypeAdapter[CallFault] = TypeAdapter(
    Annotated[Status | Delay | Drop | Truncated | Foreign | Empty, Field(discriminator="kind")]
)
_CALLBACK: TypeAdapter[CallbackFault] = TypeAdapter(
    Annotated[Duplicated | Delayed | Reordered | Forged | Suppressed, Field(discriminator="kind")]
)


def read_call_fault(json: bytes) -> CallFault:
    """A fault out of a JSON object that names its `kind`. Raises pydantic's ValidationError."""
    return _CALL.validate_json(json)


def read_callback_fault(json: bytes) -> CallbackFault:
    """A fault out of a JSON object that names its `kind`. Raises pydantic's ValidationError."""
    return _CALLBACK.validate_json(json)


F = TypeVar("F", bound=Fault)


class FaultQueue(Generic[F]):
    """Faults that wait for what they strike, oldest first; one call takes one of them. Safe for threads."""

    def __init__(self, accepts: type[F]) -> None:
        self._accepts = accepts
        self._lock = threading.Lock()
        self._waiting: list[tuple[F, int]] = []

    def add(self, *faults: F) -> None:
        """Let these strike, after what waits already. Raises TypeError for one of another kind."""
        for fault in faults:
            if not isinstance(fault, self._accepts):
                raise TypeError(f"{type(fault).__name__} is not a {self._accepts.__name__}")
        with self._lock:
            self._waiting += [(fault, fault.times) for fault in faults]

    def take(self, matches: Callable[[F], bool]) -> tuple[F, int] | None:
        """The oldest fault that matches, and how many times more it will strike; None when there is none."""
        with self._lock:
            for index, (fault, times) in enumerate(self._waiting):
                if matches(fault):
                    self._waiting[index : index + 1] = [(fault, times - 1)] if times > 1 else []
                    return fault, times - 1
            return None

    def pending(self) -> list[F]:
        """What has not struck yet; `times` counts what is left."""
        with self._lock:
            return [fault.model_copy(update={"times": times}) for fault, times in self._waiting]

    def clear(self) -> None:
        """Let nothing strike any more."""
        with self._lock:
            self._waiting.clear()
