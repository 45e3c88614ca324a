"""Operations carried out by hand, without engine or network: requests are seen, answers are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from gateway.contracts import Adapter
from gateway.exchange import Operation, Request, Response, Signing, decode_json, encode_json

T = TypeVar("T")

NOW = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
NUMBER = 1_700_000_000_000_000  # microseconds since 1970, and the first request's number in every cassette
CASSETTES = Path(__file__).parent.parent.parent / "cassettes"


def answer(data: Any, status: int = 200) -> Response:
    """An answer with this JSON; a text is taken as it is."""
    content = data.encode() if isinstance(data, str) else encode_json(data)
    return Response(status, {"content-type": "application/json"}, content)


def html(status: int) -> Response:
    return Response(status, {"content-type": "text/html"}, b"<!DOCTYPE html><title>404</title><h1>Not Found</h1>")


def carry_out(adapter: Adapter[Any], operation: Operation[T], *answers: Response) -> tuple[T, list[Request]]:
    """The result and the requests, when they are answered so. A failure is thrown in as the engine throws it in."""
    requests: list[Request] = []
    left = list(answers)
    try:
        request = next(operation)
        while True:
            requests.append(request)
            assert left, f"one answer too few: {request!r}"
            response = left.pop(0)
            failure = adapter.read_failure(response)
            if failure is not None:
                request = operation.throw(failure.kind(failure.message, provider_code=failure.code))
            else:
                assert request.parse is not None
                request = operation.send(request.parse(response))
    except StopIteration as end:
        assert left == [], "not everything was asked for"
        return end.value, requests


@dataclass(frozen=True)
class Interaction:
    """One request and its answer out of a cassette."""

    method: str
    target: str
    json: Any
    response: Response


def cassette(provider: str, name: str, base_url: str) -> list[Interaction]:
    path = CASSETTES / provider / "documented" / f"{name}.yaml"
    found = []
    for interaction in yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]:
        asked, told = interaction["request"], interaction["response"]
        assert asked["uri"].startswith(base_url)
        parts = urlsplit(asked["uri"].removeprefix(base_url))
        found.append(
            Interaction(
                asked["method"],
                f"{parts.path}?{parts.query}" if parts.query else parts.path,
                decode_json(asked["body"].encode()) if asked["body"] else None,
                Response(
                    told["status"]["code"],
                    {header.lower(): values[0] for header, values in told["headers"].items()},
                    told["body"]["string"].encode(),
                ),
            )
        )
    return found


def replay(adapter: Adapter[Any], operation: Operation[T], interactions: Sequence[Interaction]) -> T:
    """The result, when the requests are those of the cassette and are answered with its answers."""
    result, requests = carry_out(adapter, operation, *(interaction.response for interaction in interactions))
    sent = [
        (request.method, request.target(), _sent(adapter, request, NUMBER + index))
        for index, request in enumerate(requests)
    ]
    assert sent == [(interaction.method, interaction.target, interaction.json) for interaction in interactions]
    return result


def _sent(adapter: Adapter[Any], request: Request, number: int) -> Any:
    body = adapter.auth.sign(request, Signing(NOW, number)).body
    return decode_json(body) if body is not None else None
