"""`gateway request`: any call of a provider's API, the way out for what is not modelled."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli.options import exact_json, pairs
from gateway.cli.output import named
from gateway.cli.session import (
    AccountName,
    AsJson,
    ConfigFile,
    Deadline,
    Yes,
    chosen,
    example,
    misuse,
    only_account,
    session,
)
from gateway.exchange import Malformed, encode_json

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    app.command(
        "request",
        epilog=example(
            "gateway request GET /api/v2/order/ --account shop --query page=1 --query size=5",
            """gateway request POST /api/order/pay-url --account shop --json-body '{"order_id": "cart-1001"}'""",
        ),
    )(request)


def request(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="GET, POST and so on; all but GET and HEAD is a write.")],
    path: Annotated[str, typer.Argument(help="From the account's base_url on, without a query.")],
    account: AccountName = None,
    query: Annotated[
        list[str] | None, typer.Option("--query", metavar="KEY=VALUE", help="A part of the query; repeatable.")
    ] = None,
    json_body: Annotated[str | None, typer.Option("--json-body", metavar="JSON", help="What is sent.")] = None,
    yes: Yes = False,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Make any call of a provider's API with the account's key. A write asks first, unless --yes.

    Limited and redacted as every call, but not in the journal: nothing keeps a write from being made twice. Shows the
    status and the body; an answer that the provider means as an error is one here too.
    """
    here = session(context, config, as_json)
    wanted = pairs(query or [], "--query", "page=1")
    try:
        body = exact_json(json_body) if json_body is not None else None
    except (ValueError, RecursionError) as error:
        misuse(f"--json-body is no JSON: {error}", hint="""such as --json-body '{"id": 1}'""")
    verb = method.upper()
    with here.gateway() as gateway:
        name = only_account(gateway, account)
        handle = gateway.account(name)
        if verb not in ("GET", "HEAD"):
            here.confirm(f"Send {verb} {path} to {chosen(gateway, name)}? It is not in the journal.", yes=yes)
        answer = handle.request(verb, path, query=wanted, json=body, deadline=deadline)
        if verb not in ("GET", "HEAD"):
            here.done(f"{verb} {path} was carried out (status {answer.status}); look at the provider", None)
        redactor = handle._account.redactor
    try:
        data: Any = redactor.data(answer.json())
    except Malformed:
        data = redactor.text(answer.content.decode("utf-8", "replace"))
    result = {"status": answer.status, "body": data}
    if not as_json and isinstance(data, (dict, list)):
        result["body"] = encode_json(data).decode()
    here.output.one(result, named(result), dict)
