"""What an answer, or the lack of one, means. The rules are those of docs/architecture.md.

A write is repeated only when it is certain that nothing was done. Everything that leaves that open is OutcomeUnknown.
"""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pydantic import ValidationError

from gateway.engine.http import TransportFailure
from gateway.errors import (
    AuthenticationFailed,
    Conflict,
    GatewayError,
    InvalidRequest,
    MalformedResponse,
    NotFound,
    Outcome,
    OutcomeUnknown,
    PermissionDenied,
    ProviderUnavailable,
    RateLimited,
)
from gateway.exchange import Failure, Malformed, Request, Response
from gateway.models.base import what_is_wrong
from gateway.secrets import HIDDEN, Redactor, is_telling

__all__ = ["Verdict", "cause", "judge_answer", "judge_failure", "shown", "slip"]

# A write that is answered so was refused: nothing was done. Other statuses need the provider's own error envelope
# as well.
_REFUSALS: dict[int, type[GatewayError]] = {
    400: InvalidRequest,
    401: AuthenticationFailed,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
}
# Statuses that say by themselves that a write was not carried out.
_TELLING = frozenset({*_REFUSALS, 429, 503})
# Somebody gave up waiting (408 and 499 come from proxies), may deal with it later (425), or the answer is elsewhere: a
# write may have been carried out, whatever the body says. Redirects (3xx) likewise.
_OPEN = frozenset({408, 425, 499})
_SETTLE = (
    "it may have been carried out: look at the provider, then `gateway journal settle` it as done or failed; "
    "do not send it again under another reference before"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`error` None: the answer was good and `value` is what the operation asked for. `again`: it may be repeated.

    `after` is how long the provider asked to wait (seconds).
    """

    value: Any = None
    error: GatewayError | None = None
    again: bool = False
    after: float | None = None


_ENDS = ("; nothing was sent", "; nothing was done", "; it was a read, nothing was changed")


def cause(error: GatewayError) -> str:
    """What happened, without what it was to the request: for a call that failed because this one did."""
    message = error.message
    for end in _ENDS:
        message = message.removesuffix(end)
    return message


def judge_failure(request: Request, failure: TransportFailure) -> Verdict:
    """No complete answer came."""
    if not failure.sent:
        error: GatewayError = ProviderUnavailable(
            f"{failure}; nothing was sent",
            outcome=Outcome.NOT_SENT,
            retryable=not failure.lasting,
            hint=failure.hint,
        )
        return Verdict(error=error, again=not failure.lasting)
    if request.write:
        return Verdict(error=_unknown(str(failure), failure))
    error = ProviderUnavailable(
        f"{failure}; it was a read, nothing was changed", outcome=Outcome.REJECTED, retryable=not failure.lasting
    )
    return Verdict(error=error, again=not failure.lasting)


def judge_answer(
    request: Request,
    response: Response,
    failure: Failure | None,
    redactor: Redactor,
    now: datetime,
    *,
    pays_out: bool = False,
) -> Verdict:
    """An answer came. `failure` is what the adapter recognised in it as the provider's own error; `pays_out`: the
    operation is one that takes money out, so that a refusal must be certain.
    """
    status = response.status
    if response.is_success and failure is None:
        return _parsed(request, response, redactor)
    said = redactor.text(failure.message)[:300] if failure else shown(request, response, redactor)
    code = redactor.text(failure.code) if failure and failure.code else None
    if request.write and (300 <= status < 400 or status in _OPEN):
        return Verdict(error=_unknown(f"the answer was HTTP {status}: {said}", None, code))
    if request.write and pays_out and failure is not None and not failure.recognised and status not in _TELLING:
        what = f"the answer was an error that is not known (HTTP {status}: {said})"
        return Verdict(error=_unknown(what, None, code))
    # Its own words that it is in trouble are as good as a server error, whatever the HTTP status says.
    in_trouble = status >= 500 or (failure is not None and issubclass(failure.kind, ProviderUnavailable))
    if status == 429 or (failure is not None and failure.kind is RateLimited and not in_trouble):
        after = _retry_after(response, now)
        return Verdict(
            error=RateLimited(
                f"too many requests (HTTP {status}: {said}); nothing was done",
                outcome=Outcome.REJECTED,
                provider_code=code,
                retry_after=after,
                hint="repeat the call later",
            ),
            again=True,
            after=after,
        )
    if status == 503:
        error: GatewayError = ProviderUnavailable(
            f"unavailable (HTTP 503: {said}); nothing was done", outcome=Outcome.REJECTED, provider_code=code
        )
        return Verdict(error=error, again=True, after=_retry_after(response, now))
    # A server error may come after the work was done, whatever its body says.
    if not in_trouble and (failure is not None or status in _REFUSALS):
        kind = failure.kind if failure else _REFUSALS[status]
        return Verdict(
            error=kind(
                f"refused (HTTP {status}: {said}); nothing was done",
                outcome=Outcome.REJECTED,
                retryable=False,
                provider_code=code,
                **({"hint": failure.hint} if failure and failure.hint else {}),
            )
        )
    if request.write:
        return Verdict(error=_unknown(f"the answer was HTTP {status}: {said}", None, code))
    if in_trouble or status == 408:
        error = ProviderUnavailable(
            f"server error (HTTP {status}: {said}); it was a read, nothing was changed",
            outcome=Outcome.REJECTED,
            provider_code=code,
        )
        return Verdict(error=error, again=True)
    # Redirects are not followed, and other statuses are nothing that an API answers with.
    return Verdict(
        error=MalformedResponse(
            f"unexpected answer to a read (HTTP {status}: {said})", hint="check the account's base_url"
        )
    )


def _parsed(request: Request, response: Response, redactor: Redactor) -> Verdict:
    if request.parse is None:
        return Verdict(value=response)
    try:
        return Verdict(value=request.parse(response))
    except ValidationError as error:
        wrong = what_is_wrong(error)
    except (Malformed, InvalidRequest) as error:
        wrong = str(error)
    except Exception as error:
        wrong = slip(error)
    found = f"HTTP {response.status}, {redactor.text(wrong)}; found {shown(request, response, redactor)}"
    if request.write:
        return Verdict(error=_unknown(f"the answer is not as documented ({found})", None))
    return Verdict(
        error=MalformedResponse(
            f"the answer is not as documented ({found}); it was a read, nothing was changed",
            hint="compare it with the provider's documentation; field names may be settings of the account",
        ),
        again=True,
    )


def slip(error: Exception) -> str:
    """An exception that an adapter did not mean to raise: what and where, not its text, which may quote the answer."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"the adapter failed at it with {type(error).__name__} in {os.path.basename(place.filename)}:{place.lineno}"


def _unknown(what: str, cause: BaseException | None, code: str | None = None) -> OutcomeUnknown:
    error = OutcomeUnknown(f"{what}, after the request had left", hint=_SETTLE, provider_code=code)
    error.__cause__ = cause
    return error


_FIELD = re.compile(r'"([^"\\]{1,64})"\s*:\s*("(?:[^"\\]|\\.)*"?|[^\s,}\]"{\[]+)')


def shown(request: Request, response: Response, redactor: Redactor) -> str:
    """The head of an answer for a report: one line, short, without secrets; only its size where the answer itself
    is secret.
    """
    if request.quiet:
        return f"{len(response.content)} bytes, not shown"
    # Cleaned before it is cut: half a secret would not be found any more.
    head = response.content[:65536].decode("utf-8", "replace")
    head = _FIELD.sub(lambda match: f'"{match[1]}":"{HIDDEN}"' if is_telling(match[1]) else match[0], head)
    head = " ".join(redactor.text(head).split())
    return (head[:197] + "…" if len(head) > 200 else head) or "an empty body"


def _retry_after(response: Response, now: datetime) -> float | None:
    """Seconds to wait, from delay-seconds or an HTTP date (RFC 9110, 10.2.3); None when absent or unreadable."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), 86400))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, min((moment - now).total_seconds(), 86400.0))
