"""The reference says of every field of a model or contract what its name and type do not; the others are named here.

A new field gets a docstring of its own, or, where there is nothing to say, a place in one of these lists.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from enum import Enum

import pytest

# What these are is told by the type, wherever they stand.
TOLD = {
    "account", "environment", "exceptions", "fees", "kind", "name", "provider", "raw", "side", "state", "status",
}  # fmt: skip

LEFT = {
    "gateway.models": """
        ApiKey.label ApiKey.origin
        Card.provider_id CardTransaction.amount CardTransaction.provider_id
        Choice.verdict CryptoAddress.address Currency.asset
        Customer.first_name Customer.last_name ProviderCustomer.first_name ProviderCustomer.last_name
        ProviderCustomer.provider_id
        Delivery.event Delivery.handler Fee.amount Finding.subject GuideStep.text
        KeyAudit.at KeyGuide.action Market.base Market.quote NotCompared.reason OneTimeCode.code
        Order.description Order.metadata Page.items ProviderOrder.pay PublicTrade.happened_at
        Reconciliation.began_at Reconciliation.ended_at Reconciliation.not_compared Rotation.new
        Ticker.close Ticker.high Ticker.last Ticker.low Ticker.open
        Transaction.amount Transaction.provider_id Wallet.asset Wallet.total Withdrawal.to WithdrawalRequest.to
    """,
    "gateway.contracts": """
        GuideRequest.action IncomingCallback.method KeyKind.parts KeyRules.kinds Notice.proof
        RateLimit.requests RateLimit.seconds
    """,
}


def undescribed(module: str) -> Iterator[str]:
    """`Class.field` of what the module makes public and no docstring, nor a description, says anything of."""
    public = importlib.import_module(module)
    for name in public.__all__:
        kind = getattr(public, name)
        if inspect.isclass(kind) and not issubclass(kind, Enum) and kind.__module__.startswith(module):
            yield from (f"{name}.{field}" for field in _silent(kind) if field not in TOLD)


def _silent(kind: type) -> Iterator[str]:
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(found, ast.ClassDef)
    for node, following in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            field, said = node.target.id, _is_text(following) or "description=" in ast.unparse(node)
        elif isinstance(node, ast.FunctionDef) and any("property" in ast.unparse(one) for one in node.decorator_list):
            field, said = node.name, ast.get_docstring(node) is not None
        else:
            continue
        if not said and not field.startswith("_"):
            yield field


def _is_text(node: ast.stmt | None) -> bool:
    """Whether it is the docstring of the field before it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@pytest.mark.parametrize("module", LEFT)
def test_every_field_that_its_name_does_not_explain_is_described(module: str) -> None:
    found = set(undescribed(module))
    left = set(LEFT[module].split())
    assert not found - left, "say what the field is, in a docstring under it"
    assert not left - found, "described by now, or gone: take it out of the list"


def test_a_field_without_a_word_is_found() -> None:
    class Sample:
        described: int
        """In metres."""
        silent: int
        _private: int

        @property
        def unexplained(self) -> int:
            return 1

    assert list(_silent(Sample)) == ["silent", "unexplained"]
