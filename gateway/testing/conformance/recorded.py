"""Cassettes in place of a sandbox: for whoever has recorded a provider's answers and has no stand-in for it.

A recording keeps no state. It proves how answers are read, signed for and failed at; what has to happen in between (an
order that is paid, a list that grows) only a sandbox shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from gateway.errors import ConfigurationError
from gateway.testing.sandbox import Payment, Sandbox, SandboxError, SandboxOrder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["RecordedSandbox"]

_NOT_HERE = "a recording keeps no orders: nothing can be done to them"


class RecordedSandbox(Sandbox):
    """Answers as the cassettes do (vcr's YAML), over and over: by method and path, and of several such by the query.

    `base_url` is the address that they were recorded at, `settings` those of the account. A call that no cassette has
    is answered with 404. Needs PyYAML.
    """

    name = "recorded"

    def __init__(self, name: str, cassettes: Iterable[Path], *, base_url: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.name = name  # type: ignore[misc]
        self._settings = dict(settings)
        self._answers: dict[tuple[str, str], list[tuple[dict[str, str], int, bytes]]] = {}
        for path in cassettes:
            for method, target, status, body in _interactions(path, urlsplit(base_url).path.rstrip("/")):
                parts = urlsplit(target)
                known = self._answers.setdefault((method, parts.path), [])
                known.append((dict(parse_qsl(parts.query)), status, body))

    @property
    def app(self) -> ASGIApp:
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        found = self._answers.get((scope["method"], scope["path"]), [])
        query = dict(parse_qsl(scope["query_string"].decode()))
        exact = [one for one in found if one[0] == query]
        _, status, body = ([*exact, *found] or [({}, 404, b"")])[0]
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def account(self, base_url: str) -> dict[str, Any]:
        return {"provider": self.name, "environment": "sandbox", "base_url": base_url, **self._settings}

    def orders(self) -> list[SandboxOrder]:
        return []

    def pay(self, order: str, how: Payment = Payment.EXACT) -> None:
        raise SandboxError(_NOT_HERE)

    def expire(self, order: str) -> None:
        raise SandboxError(_NOT_HERE)

    def fail(self, order: str) -> None:
        raise SandboxError(_NOT_HERE)

    def ledger(self) -> dict[str, Any]:
        return {}


def _interactions(path: Path, prefix: str) -> Iterable[tuple[str, str, int, bytes]]:
    try:
        yaml: Any = import_module("yaml")  # not a dependency, and without types
    except ModuleNotFoundError:
        raise ConfigurationError("cassettes need the package PyYAML", hint="pip install pyyaml") from None
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        for one in data["interactions"]:
            request, response = one["request"], one["response"]
            address = urlsplit(request["uri"])
            target = address.path.removeprefix(prefix) + (f"?{address.query}" if address.query else "")
            body = response["body"]["string"]
            content = body if isinstance(body, bytes) else str(body).encode()
            yield request["method"], target, int(response["status"]["code"]), content
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} is no cassette: {type(error).__name__}: {error}") from None
