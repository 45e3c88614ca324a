"""Payment URIs: what a QR code or a link carries so that the payer's wallet opens with everything filled in.

BIP 21 and BIP 321 for Bitcoin, `lightning:` for invoices (BOLT 11), ERC-681 for Ether, BNB and their tokens, and
Solana Pay. Tron has no standard, and a bare symbol has no network: there is no URI for these.
"""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

from gateway.addresses import check_address
from gateway.assets import Asset
from gateway.errors import InvalidRequest
from gateway.lightning import decode_invoice
from gateway.money import exact, plain

__all__ = ["payment_uri"]

_BITCOIN = "bip122:000000000019d6689c085ae165831e93"  # CAIP-2; other chains of this namespace have schemes of their own
_TOKEN_NAMESPACES = ("erc20", "bep20")


def payment_uri(
    asset: Asset | str,
    address: str | None,
    amount: Decimal | None,
    *,
    label: str | None = None,
    message: str | None = None,
    lightning_invoice: str | None = None,
) -> str | None:
    """The URI that asks a wallet for exactly this payment, or None where there is none.

    None, too, rather than a URI that would mislead: when the address or the invoice is missing or not valid, when the
    amount is not positive, and when the asset cannot express it. `amount=None` leaves it to the payer. An invoice
    carries its own amount, which is not compared here. ERC-681 and `lightning:` have neither `label` nor `message`.

    Raises InvalidRequest only for an amount that is no exact number and for an unknown asset code, so that a provider's
    odd answer never fails an order that exists.
    """
    asset = Asset.of(asset)
    number = None if amount is None else _written(exact(amount))
    if number == "":
        return None
    invoice = _invoice(lightning_invoice)
    if asset.network == "lightning":
        return f"lightning:{invoice}" if invoice else None
    chain, _, token = (asset.caip19 or "").partition("/")
    space, _, chain_id = chain.partition(":")
    kind, _, token = token.partition(":")
    if chain == _BITCOIN and kind == "slip44":
        if not address and invoice:
            return f"lightning:{invoice}"
        if not _valid(address, "bitcoin") or not _fits(number, asset):
            return None
        return f"bitcoin:{address}" + _query(amount=number, label=label, message=message, lightning=invoice)
    if space == "eip155" and _valid(address, "ethereum"):
        return _ethereum(chain_id, kind, token, str(address), number, asset)
    if space == "solana" and kind in ("slip44", "token") and _valid(address, "solana") and _fits(number, asset):
        mint = token if kind == "token" else None
        return f"solana:{address}" + _query(amount=number, spl_token=mint, label=label, message=message)
    return None


def _ethereum(chain_id: str, kind: str, token: str, address: str, number: str | None, asset: Asset) -> str | None:
    """ERC-681. Amounts are whole numbers of the smallest unit, so the asset's decimals must be known."""
    units = None
    if number is not None:
        if asset.decimals is None or not _fits(number, asset):
            return None
        whole, _, fraction = number.partition(".")
        units = str(int(whole + fraction.ljust(asset.decimals, "0")))
    if kind == "slip44":
        return f"ethereum:{address}@{chain_id}" + _query(value=units)
    if kind in _TOKEN_NAMESPACES:
        return f"ethereum:{token}@{chain_id}/transfer" + _query(address=address, uint256=units)
    return None


def _written(amount: Decimal) -> str:
    """The amount in plain notation without trailing zeros; empty when it is not positive."""
    if amount <= 0:
        return ""
    text = plain(amount)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fits(number: str | None, asset: Asset) -> bool:
    return number is None or asset.decimals is None or len(number.partition(".")[2]) <= asset.decimals


def _valid(address: str | None, network: str) -> bool:
    try:
        check_address(address or "", network, environment="sandbox")
    except InvalidRequest:
        return False
    return True


def _invoice(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return decode_invoice(text).text
    except InvalidRequest:
        return None


def _query(**parameters: str | None) -> str:
    given = [
        f"{key.replace('_', '-')}={quote(value, safe='')}" for key, value in parameters.items() if value is not None
    ]
    return "?" + "&".join(given) if given else ""
