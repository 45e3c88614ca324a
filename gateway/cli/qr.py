"""A QR code of what the payer needs, drawn on a terminal."""

from __future__ import annotations

import io

import segno

from gateway.cli.output import Output, complain
from gateway.models.orders import PaymentInstructions

__all__ = ["show_qr"]


def show_qr(output: Output, pay: PaymentInstructions) -> None:
    """Draw the payment URI, or what stands in for it where there is none. Anywhere but on a terminal: nothing."""
    text = pay.uri or pay.checkout_url or pay.lightning_invoice or pay.address
    if text is None or not output.on_terminal:
        return
    drawn = io.StringIO()
    try:
        segno.make_qr(text).terminal(drawn, compact=True)
    except segno.DataOverflowError:
        complain("this is too long for a QR code", kind="warning")
        return
    # Its blocks are the light modules; the colours keep them light on a light terminal too.
    output.text(drawn.getvalue().rstrip("\n"), style="#ffffff on #000000")
