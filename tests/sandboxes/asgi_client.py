"""A client that calls an ASGI application in this process, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp

from gateway.exchange import decode_json, encode_json


class AsgiClient:
    """`headers` go with every request; `json` is encoded as the gateway does it: Decimals as plain numbers."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        self.headers = dict(headers or {})

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        if json is not None:
            options["content"] = encode_json(json)
            options["headers"] = {"Content-Type": "application/json", **(options.get("headers") or {})}
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        options["headers"] = {**self.headers, **(options.get("headers") or {})}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.invalid") as client:
                return await client.request(method, path, **options)

        return anyio.run(send)


def decoded(response: httpx.Response) -> Any:
    """The body, with numbers as int or Decimal."""
    return decode_json(response.content)
