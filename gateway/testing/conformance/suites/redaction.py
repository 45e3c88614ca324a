"""Secrets stay secret: in logs at DEBUG, what is printed, errors, tracebacks, reprs, JSON, addresses and the store's
files; as they are, backwards, in hex, in Base64 and percent-encoded.

The canaries are the account's own secrets, and what answers reveal: card numbers, issued keys.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.accounts import secrets_in
from gateway.errors import GatewayError
from gateway.exchange import Request, Signing
from gateway.secrets import Redactor
from gateway.testing import faults
from gateway.testing.conformance import scanning
from gateway.testing.conformance.bench import Bench, Play
from gateway.testing.conformance.calls import Call
from gateway.testing.conformance.cases import Case, Suite, check, rows
from gateway.testing.conformance.colours import COLOURS, SYNC
from gateway.testing.conformance.disguises import elsewhere, readable_in
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.secrets import secret_texts
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.tap import Exchange, leaves, replaced, wire_data

__all__ = ["RedactionSuite"]

_AREA = "redaction"
_CARD = re.compile("[3-6][0-9]{12,18}")
_SHORTEST = 8  # a CVV or a code stands somewhere in any text

Canaries = list[tuple[str, str]]


def _once(suite: Suite) -> Iterator[Case]:
    yield Case(area=_AREA, colour="")


def _coloured(suite: Suite) -> Iterator[Case]:
    for colour in COLOURS:
        yield Case(area=_AREA, colour=colour)


def _rows(suite: Suite) -> Iterator[Case]:
    for case in _all_rows(suite.examined()):
        yield Case(area=_AREA, operation=case.operation, variant=case.variant, call=case.call, colour="")


def _all_rows(subject: Subject) -> Iterator[Case]:
    from gateway.capabilities import OPERATIONS
    from gateway.testing.conformance.cases import area_of

    class Everything(Suite):
        areas = frozenset(map(area_of, OPERATIONS))

        def examined(self) -> Subject:
            return subject

    yield from rows(Everything())


@contextlib.contextmanager
def everything_printed() -> Iterator[io.StringIO]:
    """All that is written to `sys.stdout` and `sys.stderr`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


@contextlib.contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger of this process says, down to DEBUG."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


class RedactionSuite(Suite):
    """No secret is seen anywhere."""

    turn = 6

    @check(_rows)
    def test_a_call_shows_no_secret(self, bench: Bench, case: Case) -> None:
        play, call = bench.play(SYNC), case.call
        assert call is not None
        prepared = play.prepared(call)
        play.watch.forget()
        before = len(bench.tapped.exchanges)
        with everything_logged() as said, everything_printed() as printed:
            result = call.make(play, prepared)
        own = play.watch.runs[-1] if play.watch.runs else None
        revealed: Canaries = []
        if own is not None:
            items = getattr(own.result, "items", (own.result,))
            revealed = [
                ("a secret that the answer reveals", one.reveal()) for item in items for one in secrets_in(item)
            ]
            if revealed and not own.requests[-1].quiet:
                fault(
                    f"{call.name} is answered with secrets, and its request is not quiet: {own.requests[-1]}",
                    expected="Request(…, quiet=True), so that the answer is left out of every report",
                )
        canaries = _canaries(bench) + [(what, text) for what, text in revealed if len(text) >= _SHORTEST]
        canaries += _card_numbers(call, bench.tapped.exchanges[before:])
        _not_in(said.getvalue(), canaries, f"logs at DEBUG during {call.name}")
        _not_in(printed.getvalue(), canaries, f"what {call.name} prints")
        _not_in(scanning.shown(result), canaries, f"the result of {call.name} (repr, str, JSON)")
        if own is not None:
            _not_in(scanning.shown(own.result), canaries, f"the adapter's own result of {call.name} (repr, str, JSON)")
            _not_in(repr(own.requests), canaries, f"the repr of the requests of {call.name}")
        _not_in(repr(play.watch.records), canaries, f"what observers are told of {call.name}")
        if not bench.subject.key_in_address:
            addresses = " ".join(f"{one.path}?{one.query}" for one in bench.tapped.exchanges[before:])
            _not_in(addresses, canaries, f"the address that {call.name} calls, which proxies write into their logs")
        for exchange in bench.tapped.exchanges[before:]:
            _goes_out_where_it_belongs(bench, call, exchange)

    @check(_rows)
    def test_an_answer_that_repeats_secrets_does_not_reveal_them(self, bench: Bench, case: Case) -> None:
        call = case.call
        assert call is not None
        canaries = _canaries(bench)
        said_by_provider = " ".join(text for _, text in canaries)
        plain = {"message": f"you sent {said_by_provider}", "error": said_by_provider, "seen": said_by_provider}
        answers = [(400, plain), (500, plain), *_failures_saying(bench.subject, call, said_by_provider)]
        for status, echo in answers:
            play = bench.play(SYNC)
            prepared = play.prepared(call)
            answer = faults.Status(
                status=status, times=20, body=json.dumps(echo), headers={"Content-Type": "application/json"}
            )
            bench.strike(play, call.operation, answer)
            with everything_logged() as said, everything_printed() as printed:
                told = _told(play, call, prepared)
            bench.server.faults(bench.name).clear()
            _not_in(told, canaries, f"the error of {call.name} (its text, traceback or data) after HTTP {status}")
            _not_in(said.getvalue(), canaries, f"logs at DEBUG during {call.name} after HTTP {status}")
            _not_in(printed.getvalue(), canaries, f"what {call.name} prints after HTTP {status}")
            _not_in(repr(play.gw.journal.list()), canaries, f"the journal after {call.name} and HTTP {status}")

    @check(_once)
    def test_nothing_shows_its_secrets(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        adapter = play.watch.made
        assert adapter is not None
        request = Request("POST", "/conformance", json={"amount": "1"}, write=True)
        for row in _all_rows(bench.subject):
            if row.operation in ("keys.verify", "markets.list", "wallets.list") and row.call is not None:
                row.call.make(play, play.prepared(row.call))
                break
        signed = adapter.auth.sign(request, Signing(bench.clock.now(), 7))
        for what, thing in (
            ("the adapter", adapter),
            ("the adapter's auth", adapter.auth),
            ("the settings", adapter.settings),
            ("the adapter's account", adapter.account),
            ("a signed request", signed),
            ("the provider", bench.subject.provider),
            ("the gateway", play.raw),
        ):
            _not_in(f"{thing!r}\n{thing}", _canaries(bench), f"the repr of {what}")
        _not_in(adapter.settings.model_dump_json(), _canaries(bench), "the settings as JSON")

    @check(_coloured)
    def test_no_secret_is_in_the_store(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        canaries = _canaries(bench)
        for row in _all_rows(bench.subject):
            assert row.call is not None
            prepared = play.prepared(row.call)
            play.watch.forget()
            before = len(bench.tapped.exchanges)
            _told(play, row.call, prepared)
            canaries += _card_numbers(row.call, bench.tapped.exchanges[before:])
            for run in play.watch.runs:
                for item in getattr(run.result, "items", (run.result,)):
                    canaries += [
                        ("a secret that an answer revealed", one.reveal())
                        for one in secrets_in(item)
                        if len(one.reveal()) >= _SHORTEST
                    ]
        kept = b"\n".join(
            file.read_bytes() for file in sorted(bench.folder.glob(f"{case.colour}.db*")) if file.is_file()
        )
        assert kept, "the store has no file"
        stored = kept.decode("latin-1")
        for what, text in canaries:
            if found := readable_in(stored, text):
                fault(
                    f"the store's files hold a secret: {' '.join((what, found[0])).strip()}",
                    expected="nothing secret: results keep it as Secret, and answers as Raw",
                    look_at="fields of results that hold it as a plain text",
                )


def _failures_saying(subject: Subject, call: Call, text: str) -> Iterator[tuple[int, Any]]:
    """One documented failure, of this operation where there is one, whose texts repeat what was sent."""
    own = [failure for failure in subject.failures if failure.operation == call.operation]
    for failure in [*own, *subject.failures][:1]:
        if not isinstance(failure.body, str):
            echo = failure.body
            for path, value in leaves(echo):
                if isinstance(value, str) and value != failure.code:
                    echo = replaced(echo, path, text)
            yield failure.status, echo


def _canaries(bench: Bench) -> Canaries:
    bench.start()
    return secret_texts(bench.subject, bench.settings)


def _card_numbers(call: Call, exchanges: Iterable[Exchange]) -> Canaries:
    """What looks like a card's number in the answers of calls about cards, whether the adapter calls it a secret or
    not.
    """
    if not call.operation.startswith("cards."):
        return []
    hides = Redactor().text
    texts = [value for exchange in exchanges for _, value in leaves(wire_data(exchange.answer))]
    return [
        ("the number of a card", text)
        for text in texts
        if isinstance(text, str) and _CARD.fullmatch(text) and hides(text) != text
    ]


def _not_in(text: str, canaries: Canaries, where: str) -> None:
    for what, canary in canaries:
        if found := readable_in(text, canary):
            form, seen = found
            at = text.index(seen)
            around = text[max(0, at - 60) : at] + "«here»" + text[at + len(seen) : at + len(seen) + 40]
            fault(
                f"a secret is shown: {' '.join((what, form)).strip()} stands in {where}",
                expected="gateway.secrets.Secret in settings and results; `reveal()` only where it is sent",
                found=" ".join(around.split()),
                look_at="__repr__, dataclasses and f-strings of the adapter, and log calls",
            )


def _goes_out_where_it_belongs(bench: Bench, call: Call, exchange: Exchange) -> None:
    for path, place, belongs in elsewhere(bench.subject, bench.settings, _canaries(bench), exchange):
        if not belongs:
            fault(
                f"the secret {path} only signs, and goes out in {place} of {call.name}",
                expected="nowhere on the way: no check value sends it; whoever has it can sign",
                look_at="sign() of the adapter's auth, and the requests of the adapter; or a SignatureVector that "
                "leaves out where it is sent",
            )
        fault(
            f"the secret {path} goes out in {place} of {call.name}, where it does not belong",
            expected=f"only {', '.join(sorted(belongs))}, as the check values have it",
            look_at="sign() of the adapter's auth, and the requests of the adapter; or a SignatureVector that leaves "
            "out where it is sent",
        )


def _told(play: Play, call: Call, prepared: object) -> str:
    try:
        return scanning.shown(call.make(play, prepared))
    except GatewayError as error:
        return scanning.everything_said(error)
