"""Writes docs/diagrams/: drawings that can be read on a light page and on a dark one, with their text in words.

Every text stands on a shape of its own colour, and lines have a colour that is seen on both. The moves of an order are
listed here as they are drawn; a test compares them with what the models allow. With --check it only compares.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "diagrams"

# What a shape stands for: its colour and that of its text.
COLOURS = {
    "yours": ("#1f4e79", "#ffffff"),
    "gateway": ("#0b5d44", "#ffffff"),
    "store": ("#4a4468", "#ffffff"),
    "provider": ("#7a3e00", "#ffffff"),
    "doubt": ("#9b1c31", "#ffffff"),
    "label": ("#e6e9ef", "#1c1f26"),
}
LINE = "#7d8590"
PAGES = ("#ffffff", "#1e2129")
"""The backgrounds of the site, light and dark."""
LETTER = 7.3
"""The width of a letter, generously: fonts differ."""

Point = tuple[int, int]


@dataclass
class Drawing:
    title: str
    words: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(self, x: int, y: int, width: int, text: str, kind: str, *, bold: bool = False) -> None:
        """A box from its upper left corner; each line of the text on a line of its own."""
        fill, colour = COLOURS[kind]
        lines = text.split("\n")
        height = 22 + 18 * len(lines)
        assert all(len(line) * LETTER <= width - 8 for line in lines), f"{text!r} is wider than {width}"
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}"/>')
        weight = ' font-weight="bold"' if bold else ""
        for number, line in enumerate(lines):
            place = f'x="{x + width // 2}" y="{y + 25 + 18 * number}"'
            self.parts.append(f'<text {place} fill="{colour}"{weight}>{escape(line)}</text>')

    def frame(self, x: int, y: int, width: int, height: int) -> None:
        shape = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="10"'
        self.parts.append(f'<rect {shape} fill="none" stroke="{LINE}" stroke-dasharray="5 4"/>')

    def label(self, x: int, y: int, text: str) -> None:
        """Words on a line, about their middle."""
        fill, colour = COLOURS["label"]
        width = int(len(text) * LETTER * 0.92) + 12
        self.parts.append(
            f'<rect x="{x - width // 2}" y="{y - 11}" width="{width}" height="22" rx="11" fill="{fill}"/>'
            f'<text x="{x}" y="{y + 4}" fill="{colour}" font-size="12">{escape(text)}</text>'
        )

    def arrow(self, *points: Point, both: bool = False, dashed: bool = False) -> None:
        path = "M" + " L".join(f"{x} {y}" for x, y in points)
        marks = ' marker-end="url(#head)"' + (' marker-start="url(#head)"' if both else "")
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="2"{dash}{marks}/>')

    def svg(self) -> str:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-labelledby="title words" font-family="sans-serif" font-size="13" '
            'text-anchor="middle">'
        )
        marker = (
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10 z" fill="{LINE}"/></marker></defs>'
        )
        about = [f'<title id="title">{escape(self.title)}</title>', f'<desc id="words">{escape(self.words)}</desc>']
        return "\n".join([head, *about, marker, *self.parts, "</svg>"]) + "\n"


def request_life() -> Drawing:
    drawing = Drawing(
        "Life of a write",
        "A call is checked by the journal and the adapter; the intent is committed; the request is marked as sent and "
        "goes to the provider; what comes back is recorded as done, rejected or unknown. Before the mark, "
        "nothing was sent.",
        900,
        380,
    )
    top = 40
    drawing.box(20, top, 140, "your call\nwith a reference", "yours")
    drawing.box(200, top, 150, "journal\nreference new?", "store")
    drawing.box(390, top, 150, "adapter\nrequest sound?", "gateway")
    drawing.box(580, top, 150, "intent committed\nlimits checked", "store")
    drawing.box(770, top, 110, "key, rate\nand number", "gateway")
    for left, right in ((160, 200), (350, 390), (540, 580), (730, 770)):
        drawing.arrow((left, top + 29), (right, top + 29))
    drawing.box(755, 160, 130, "marked as sent", "store", bold=True)
    drawing.arrow((825, 98), (825, 160))
    drawing.box(580, 160, 130, "the provider", "provider")
    drawing.arrow((755, 180), (710, 180))
    drawing.arrow((275, 98), (275, 180), (90, 180), (90, 98))
    drawing.label(180, 180, "known: its recorded end")
    drawing.arrow((465, 98), (465, 150), (465, 180))
    drawing.label(465, 192, "not_sent: nothing left")
    drawing.box(390, 260, 150, "done\nthe answer fits", "gateway", bold=True)
    drawing.box(560, 260, 160, "rejected\nnothing was done", "gateway", bold=True)
    drawing.box(740, 260, 145, "unknown\nnever sent again", "doubt", bold=True)
    drawing.arrow((605, 200), (605, 230), (465, 230), (465, 260))
    drawing.arrow((640, 200), (640, 260))
    drawing.arrow((675, 200), (675, 230), (812, 230), (812, 260))
    drawing.label(640, 352, "recorded in one transaction with what it means for the order or payout")
    drawing.arrow((465, 318), (465, 341))
    drawing.arrow((640, 318), (640, 341))
    drawing.arrow((812, 318), (812, 341))
    return drawing


# The moves of one attempt, in the way they are drawn: from any of these to any of those.
OPEN = ("creating", "pending", "processing", "unrecognised")
ENDS = ("underpaid", "expired", "paid", "refunded", "failed", "cancelled")
MOVES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (OPEN, ENDS),
    (("creating",), ("pending", "processing", "unrecognised")),
    (("pending",), ("processing", "unrecognised")),
    (("processing",), ("unrecognised",)),
    (("unrecognised",), ("pending", "processing")),
    (("underpaid",), ("paid", "expired", "refunded")),
    (("expired",), ("paid", "underpaid")),
    (("paid",), ("refunded",)),
]


def order_states() -> Drawing:
    drawing = Drawing(
        "States of an attempt",
        "; ".join(f"from {' or '.join(before)} to {', '.join(after)}" for before, after in MOVES) + ".",
        900,
        350,
    )
    drawing.frame(15, 30, 345, 300)
    drawing.label(187, 30, "open")
    drawing.frame(460, 30, 425, 300)
    drawing.label(672, 30, "closed; money may still move")
    drawing.arrow((360, 180), (460, 180))
    drawing.box(50, 60, 110, "creating", "yours")
    drawing.box(50, 150, 110, "pending", "yours")
    drawing.box(50, 240, 110, "processing", "yours")
    drawing.box(225, 150, 115, "unrecognised", "doubt")
    drawing.arrow((105, 100), (105, 150))
    drawing.arrow((105, 190), (105, 240))
    drawing.arrow((50, 80), (30, 80), (30, 260), (50, 260))
    drawing.arrow((160, 80), (282, 80), (282, 150))
    drawing.arrow((160, 170), (225, 170), both=True)
    drawing.arrow((160, 260), (282, 260), (282, 190), both=True)
    drawing.box(485, 90, 110, "underpaid", "store")
    drawing.box(485, 200, 110, "expired", "store")
    drawing.box(640, 145, 90, "paid", "gateway", bold=True)
    drawing.box(770, 145, 100, "refunded", "gateway")
    drawing.box(640, 265, 90, "failed", "provider")
    drawing.box(770, 265, 100, "cancelled", "provider")
    drawing.arrow((540, 130), (540, 200), both=True)
    drawing.arrow((595, 120), (640, 155))
    drawing.arrow((595, 215), (640, 180))
    drawing.arrow((730, 165), (770, 165))
    drawing.arrow((595, 100), (820, 100), (820, 145))
    return drawing


def callback_path() -> Drawing:
    drawing = Drawing(
        "Path of a callback",
        "The provider calls your application. The token of the address and the provider's proof are checked, the "
        "callback is committed to the inbox, and answered with 200. A worker reads the order at the "
        "provider, compares it, and "
        "commits the move together with its event, which your handlers are called with.",
        900,
        330,
    )
    drawing.box(20, 60, 110, "provider", "provider")
    drawing.frame(170, 25, 500, 110)
    drawing.label(420, 25, "your web application")
    drawing.box(190, 51, 130, "token of the\naddress", "gateway")
    drawing.box(355, 51, 130, "the provider's\nproof", "gateway")
    drawing.box(520, 51, 130, "inbox\ncommitted", "store", bold=True)
    drawing.arrow((130, 80), (190, 80))
    drawing.arrow((320, 80), (355, 80))
    drawing.arrow((485, 80), (520, 80))
    drawing.arrow((585, 109), (585, 155), (75, 155), (75, 100))
    drawing.label(330, 155, "200, after the commit")
    drawing.frame(170, 200, 700, 110)
    drawing.label(520, 200, "a worker")
    drawing.box(190, 226, 150, "read the order\nat the provider", "gateway")
    drawing.box(375, 226, 140, "price, coin and\nnumber agree?", "gateway")
    drawing.box(550, 226, 140, "order and event\nin one commit", "store", bold=True)
    drawing.box(730, 226, 125, "your handlers\nat least once", "yours")
    drawing.arrow((650, 80), (780, 80), (780, 175), (265, 175), (265, 226))
    drawing.label(780, 130, "one at a time for an order")
    drawing.arrow((340, 255), (375, 255))
    drawing.arrow((515, 255), (550, 255))
    drawing.arrow((690, 255), (730, 255))
    drawing.arrow((190, 255), (45, 255), (45, 100), dashed=True)
    return drawing


DRAWINGS = {"request-life": request_life, "order-states": order_states, "callback-path": callback_path}


def generated() -> dict[Path, str]:
    return {TARGET / f"{name}.svg": draw().svg() for name, draw in DRAWINGS.items()}


def main() -> int:
    made = generated()
    if "--check" in sys.argv[1:]:
        return int(any(not path.exists() or path.read_text(encoding="utf-8") != text for path, text in made.items()))
    TARGET.mkdir(exist_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
