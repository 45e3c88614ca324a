"""Callbacks: genuine, forged, replayed, duplicated and malformed ones; all of them are hints, none is proof."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from gateway.config import account_settings
from gateway.contracts import Account, IncomingCallback, Notice, Proof, ReadsCallbacks
from gateway.errors import ConfigurationError
from gateway.models import OrderStatus
from gateway.testing.conformance.alone import alone
from gateway.testing.conformance.bench import ACCOUNT, BASE_URL, Bench, Play, adapter_of, plugins_of, table_of
from gateway.testing.conformance.cases import Case, Suite, check
from gateway.testing.conformance.colours import COLOURS, SYNC
from gateway.testing.conformance.faults import Nonconforming, Piercing, fault
from gateway.testing.conformance.forgeries import Place, misleading_headers, near_misses, proof_of, proof_of_another
from gateway.testing.conformance.places import sent_places
from gateway.testing.conformance.subject import CallbackSample
from gateway.testing.sandbox import OutgoingCallback

__all__ = ["CallbacksSuite"]

_AREA = "callbacks"
_OPERATION = "callbacks.receive"
_BODIES = (
    *(b"", b"null", b"[]", b"{", b"{}", b'"text"', b"12", b"true", b"\xff\xfe\x00", b"%PDF-1.4", b"a=1&b=2"),
    *(b'{"order_id": []}', b'{"order_id": {"a": 1}}', b'{"id": 1e999}', b"[" * 5000, b'{"a":' * 5000, b"9" * 50_000),
)


def _receives(suite: Suite) -> bool:
    return bool(table_of(suite.examined()).variants(_OPERATION))


def _coloured(suite: Suite) -> Iterator[Case]:
    for colour in COLOURS if _receives(suite) else ():
        yield Case(area=_AREA, operation=_OPERATION, colour=colour)


def _once(suite: Suite) -> Iterator[Case]:
    if _receives(suite):
        yield Case(area=_AREA, operation=_OPERATION, colour="")


def _with_rules(suite: Suite) -> Iterator[Case]:
    if suite.examined().provider.keys is not None:
        yield from _once(suite)


def _samples(suite: Suite) -> Iterator[Case]:
    for number, sample in enumerate(suite.examined().callbacks if _receives(suite) else (), 1):
        yield Case(area=_AREA, operation=_OPERATION, colour="", what=sample, label=f"sample-{number}")


class CallbacksSuite(Suite):
    """Being told of a change by the provider."""

    turn = 4

    @check(_coloured)
    def test_it_works_and_a_genuine_one_leads_to_the_order(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        order, callback = _paid(bench, play)
        notice = _read(bench, callback)
        if _has_proof(bench) and notice.proof is not Proof.MATCHES:
            fault(
                f"a genuine callback was not taken for one: proof {notice.proof.value} ({notice.reason})",
                expected="matches",
                look_at="read_callback of the adapter: what is signed, and with which of the account's secrets",
            )
        if notice.provider_id not in (None, order.provider_id):
            fault(
                f"a callback about the order {order.provider_id} was read as one about {notice.provider_id}",
                look_at="the provider_id of the Notice",
            )
        _answered(play, callback, 200, "a genuine callback")
        play.gw.callbacks.process()
        seen = play.gw.orders.get(order.reference, refresh=False)
        if seen.status is not OrderStatus.PAID:
            fault(f"after a genuine callback of a paid order it is {seen.status}", expected="paid")

    @check(_coloured)
    def test_a_forged_one_proves_nothing(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        _, callback = _paid(bench, play)
        forged = bench.subject.forge(bench.tapped.inner, callback)
        if _has_proof(bench):
            if forged == callback:
                fault(
                    "the sandbox forges callbacks that are genuine ones",
                    expected="another proof than the genuine one",
                    look_at="forged() of the sandbox, or forge() of the Subject",
                )
            notice = _read(bench, forged)
            if notice.proof is not Proof.DIFFERS:
                fault(
                    f"a forged callback was believed: proof {notice.proof.value}",
                    expected="differs: the signature is not the one that the account's secret makes",
                    look_at="read_callback of the adapter: is the proof compared with the account's secret?",
                )
            bare = replace(callback, headers={}, url=callback.url.partition("?")[0])
            if _read(bench, bare).proof is Proof.MATCHES:
                fault(
                    "a callback without any header was believed",
                    expected="differs: a proof that has to be there is missing",
                    look_at="read_callback of the adapter: what it does when the header is not there",
                )
        unpaid, url = _unpaid(bench, play)
        play.gw.callbacks.receive(
            method=forged.method, url=url, headers=dict(forged.headers), body=forged.body, client="127.0.0.1"
        )
        _stays_unpaid(play, unpaid, "a forged callback that says paid")

    @check(_once)
    def test_a_proof_that_is_nearly_right_is_none(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        other, another = _paid(bench, play)
        _, callback = _paid(bench, play)
        forged = bench.subject.forge(bench.tapped.inner, callback)
        # One adapter reads them all, the genuine ones first: it must not believe what it has seen.
        adapter = adapter_of(bench.subject, bench.settings)
        for genuine in (another, callback):
            _read(bench, genuine, adapter=adapter)
        if _has_proof(bench):
            proof = [place for place in proof_of(callback, forged) if _counts(bench, place, forged, adapter)]
            for what, wrong in (*near_misses(proof), *proof_of_another(proof, another)):
                if _read(bench, wrong, adapter=adapter).proof is Proof.MATCHES:
                    fault(
                        f"a callback was believed although {what}",
                        expected="differs: the whole proof is compared with what the account's secret makes",
                        look_at="read_callback of the adapter: hmac.compare_digest of the two, both complete",
                    )
        named = _read(bench, callback, adapter=adapter).provider_id
        for header, misled in misleading_headers(callback, other.provider_id):
            if _read(bench, misled, adapter=adapter).provider_id != named:
                fault(
                    f"the header {header}, which nobody has signed, changes the order that a callback is about",
                    expected=repr(named),
                    found=repr(other.provider_id),
                    look_at="the provider_id of the Notice: it is taken from where the provider documents it",
                )

    @check(_with_rules)
    def test_an_account_on_a_ring_reads_callbacks(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        _, callback = _paid(bench, play)
        forged = bench.subject.forge(bench.tapped.inner, callback)
        for adapter, has_keys in ((_on_a_ring(bench, empty=True), False), (_on_a_ring(bench), True)):
            failed = ""
            try:
                notice, of_nobody = (_read(bench, one, adapter=adapter) for one in (callback, forged))
            except Nonconforming as found:
                failed = str(found).partition("\n")[0]
            if failed:
                fault(
                    f"an account on a ring of keys: {failed}",
                    expected="a Notice: settings.auth is a RingAuth then, and the keys are those of account.ring()",
                    look_at="read_callback of the adapter",
                )
            if has_keys and _has_proof(bench) and notice.proof is not Proof.MATCHES:
                fault(
                    f"a genuine callback to an account on a ring of keys was not taken for one: proof "
                    f"{notice.proof.value} ({notice.reason})",
                    expected="matches: what proves callbacks may be in any of account.ring(), besides the settings",
                    look_at="read_callback of the adapter",
                )
            if has_keys and _has_proof(bench) and of_nobody.proof is Proof.MATCHES:
                fault("a forged callback to an account on a ring of keys was believed", expected="differs")

    @check(_coloured)
    def test_a_strict_account_rejects_what_proves_nothing(self, bench: Bench, case: Case) -> None:
        bench.start()
        if not _has_proof(bench):
            return
        for strict in (True, False):
            settings = _with_strict(bench, strict)
            if settings is None:
                continue
            says = adapter_of(bench.subject, settings)
            if isinstance(says, ReadsCallbacks) and says.strict_callbacks is not strict:
                fault(
                    f"the account's setting {bench.subject.strict} is {str(strict).lower()}, and strict_callbacks is "
                    f"{says.strict_callbacks!r}",
                    expected=repr(strict),
                    look_at="strict_callbacks of the adapter: it tells what the account's settings say",
                )
            play = bench.open(case.colour, settings, f"strict-{case.colour}-{next(bench.numbers)}.db")
            _, callback = _paid(bench, play)
            forged = bench.subject.forge(bench.tapped.inner, callback)
            how = "strict" if strict else "not strict"
            _answered(play, forged, 404 if strict else 200, f"a forged callback of an account that is {how}")
            _answered(play, callback, 200, f"a genuine callback of an account that is {how}")

    @check(_coloured)
    def test_what_a_body_says_is_read_at_the_provider_first(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        order, callback = _paid(bench, play)
        unpaid, url = _unpaid(bench, play)
        named = callback.body.replace(order.provider_id.encode(), unpaid.provider_id.encode())
        for address, body, what in (
            (url, callback.body, "the callback of another order, which is paid,"),
            (url, named, "a callback that names the order, made by somebody else,"),
            (callback.url, named, "a genuine callback of another order whose body was changed to name the order"),
        ):
            play.gw.callbacks.receive(
                method=callback.method, url=address, headers=dict(callback.headers), body=body, client="127.0.0.1"
            )
            _stays_unpaid(play, unpaid, what)

    @check(_coloured)
    def test_a_strangers_address_is_not_admitted(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        _, callback = _paid(bench, play)
        last = callback.url.partition("?")[0][-1]
        url = callback.url.partition("?")[0][:-1] + ("0" if last != "0" else "1")
        _answered(play, replace(callback, url=url), 404, "a callback at an address that was never given out")

    @check(_coloured)
    def test_replayed_and_duplicated_ones_change_nothing(self, bench: Bench, case: Case) -> None:
        play = bench.play(case.colour)
        order, callback = _paid(bench, play)
        for _ in range(3):
            _answered(play, callback, 200, "a callback that comes several times")
        play.gw.callbacks.process()
        received = play.gw.orders.get(order.reference).received
        _answered(play, callback, 200, "a callback that is replayed")
        play.gw.callbacks.process()
        again = play.gw.orders.get(order.reference).received
        if again != received:
            fault(
                "callbacks that came again changed what the order has received",
                expected=str(received),
                found=str(again),
                look_at="whatever the adapter keeps of callbacks: it keeps nothing",
            )
        paid = play.gw.events.since(types=["order.paid"], subject=f"order {order.reference}")
        if len(paid) != 1:
            fault(f"callbacks that came again made {len(paid)} events order.paid", expected="one")
        if bench.subject.callbacks_expire:
            _expires(bench, callback, bench.subject.callbacks_expire)

    @check(_once)
    def test_a_proof_is_compared_in_constant_time(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        if not _has_proof(bench):
            return
        _, callback = _paid(bench, play)
        adapter = adapter_of(bench.subject, bench.settings)
        called: set[tuple[str, str]] = set()

        def note(frame: FrameType, event: str, what: Any) -> None:
            if event == "call":
                called.add((frame.f_code.co_name, str(frame.f_globals.get("__name__"))))
            elif event == "c_call":
                called.add((str(getattr(what, "__name__", "")), str(getattr(what, "__module__", ""))))

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            notice = _read(bench, callback, adapter=adapter)
        finally:
            sys.setprofile(before)
        own = {type(adapter).__module__.partition(".")[0], "gateway"}
        if notice.proof is Proof.MATCHES and not any(
            name.endswith("compare_digest")
            or (("verify" in name or "decrypt" in name) and module.partition(".")[0] not in own)
            for name, module in called
        ):
            fault(
                "the proof of a callback is compared with ==, which takes the longer the more of it is right: it can "
                "be found out character by character",
                expected="hmac.compare_digest; or the verification of a library, where the provider signs with a key "
                "of its own",
                look_at="read_callback of the adapter",
            )

    @check(_once)
    def test_a_proof_covers_the_bytes_that_came(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        if not _has_proof(bench) or not bench.subject.callback_bytes:
            return
        _, callback = _paid(bench, play)
        adapter = adapter_of(bench.subject, bench.settings)
        data = _json(callback.body)
        if not isinstance(data, dict):
            return
        further = replace(callback, body=json.dumps({**data, "conformance": "1"}).encode())
        if _read(bench, further, adapter=adapter).proof is Proof.MATCHES:
            return  # the proof does not cover the body as a whole
        for body in (
            json.dumps(data, separators=(",", ":")),
            json.dumps(data),
            json.dumps(data, indent=1),
            json.dumps(data, separators=(",", ":"), ensure_ascii=False),
            json.dumps(dict(reversed(data.items()))),
        ):
            again = replace(callback, body=body.encode())
            if again.body != callback.body and _read(bench, again, adapter=adapter).proof is Proof.MATCHES:
                fault(
                    "a callback is believed whose body has the same data in other bytes than the provider has signed",
                    expected="differs: the proof is compared with the body as it came; where it is written anew, "
                    "genuine callbacks are refused as soon as the provider writes them otherwise",
                    look_at="read_callback of the adapter: callback.body, not its JSON written again; where the "
                    "provider documents that it signs the data, callback_bytes = False of the Subject",
                )

    @check(_once)
    def test_malformed_ones_are_read_without_a_failure(self, bench: Bench, case: Case) -> None:
        play = bench.play(SYNC)
        order, callback = _paid(bench, play)
        for body in _BODIES:
            for headers in (dict(callback.headers), {}, dict.fromkeys(callback.headers, "garbage ☕")):
                broken = replace(callback, body=body, headers=headers)
                notice = _read(bench, broken)
                if not headers and notice.proof is Proof.MATCHES and _has_proof(bench):
                    fault(f"a callback of {body[:40]!r} without a proof was believed", expected="differs")
                if notice.provider_id is not None and not isinstance(notice.provider_id, str):
                    fault(
                        f"a callback of {body[:40]!r} names the order {notice.provider_id!r}",
                        expected="a text or None",
                        look_at="the provider_id of the Notice",
                    )
            status = play.gw.callbacks.receive(
                method=callback.method, url=callback.url, headers=dict(callback.headers), body=body, client="127.0.0.1"
            )
            if status not in (200, 404):
                fault(f"a malformed callback of {body[:40]!r} was answered with {status}", expected="200 or 404")
        play.gw.callbacks.process()
        if play.gw.orders.get(order.reference).status is not OrderStatus.PAID:
            fault("malformed callbacks kept a paid order from being seen as paid")

    @check(_samples)
    def test_documented_ones_are_read_as_they_are(self, bench: Bench, case: Case) -> None:
        bench.start()
        sample: CallbackSample = case.what
        adapter: Any = adapter_of(bench.subject, {**bench.settings, **sample.settings})
        incoming = IncomingCallback(
            method=sample.method,
            url=sample.url,
            headers={name.lower(): value for name, value in sample.headers.items()},
            body=sample.body,
            received_at=sample.received_at,
        )
        notice = adapter.read_callback(incoming)
        if notice.proof is not sample.proof:
            fault(
                f"a documented callback was read as one whose proof {notice.proof.value} ({notice.reason})",
                expected=sample.proof.value,
                look_at="read_callback of the adapter: what is signed, in which order, and with which separator",
            )
        if notice.provider_id != sample.provider_id:
            fault(
                f"a documented callback was read as one about the order {notice.provider_id!r}",
                expected=repr(sample.provider_id),
                look_at="the provider_id of the Notice",
            )


_DAYS = (2, 1, 3, 7, 28, 30, 364, 365)
"""Longest last: a time of day that is looked at alone is the same after days, a day of the week after seven."""


def _expires(bench: Bench, callback: OutgoingCallback, after: bool | timedelta) -> None:
    """What was kept for longer than that is not believed, nor is what comes so long before its time."""
    good = after if isinstance(after, timedelta) else timedelta(hours=1)
    for kept in (*map(timedelta, _DAYS), good + timedelta(minutes=1)):
        if kept <= good:
            continue
        if _read(bench, callback, later=kept).proof is Proof.MATCHES:
            fault(
                f"a callback that was kept for {'two days' if kept.days == 2 else kept} is believed",
                expected="differs: its proof covers a time, which is too long ago",
                look_at="read_callback of the adapter: compare the time in the proof with received_at, both ways; "
                "where the provider documents that one is good for longer, callbacks_expire of the Subject says it",
            )
        if _read(bench, callback, later=-kept).proof is Proof.MATCHES:
            fault(
                f"a callback from the future is believed, {kept} ahead",
                expected="differs: it could be kept and sent when its time has come",
                look_at="read_callback of the adapter: compare the time in the proof with received_at, both ways",
            )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


_proving: WeakKeyDictionary[Bench, bool] = WeakKeyDictionary()


def _has_proof(bench: Bench) -> bool:
    """Whether the account can check callbacks: it has secrets for them, or the adapter finds a proof in a genuine one
    with the keys that requests are signed with.
    """
    if bench not in _proving:
        _proving[bench] = bool(bench.settings.get("callback")) or (
            _read(bench, _paid(bench, bench.play(SYNC))[1]).proof is not Proof.ABSENT
        )
    return _proving[bench]


def _on_a_ring(bench: Bench, *, empty: bool = False) -> Any:
    """An adapter whose account has its key, and what it checks callbacks with, in a ring instead of in its settings."""
    provider, settings = bench.subject.provider, dict(bench.settings)
    assert provider.keys is not None
    own = getattr(account_settings(ACCOUNT, settings, plugins_of(provider)), "auth", None)
    kinds = provider.keys.kinds
    ring = [own] if any(isinstance(own, kind.credentials) for kind in kinds if not kind.for_callbacks) else []
    proofs = dict(settings.get("callback", {}))
    for kind in kinds if proofs else ():
        parts = {part.name: _one(proofs[part.name]) for part in kind.parts if part.name in proofs}
        if kind.for_callbacks and parts:
            ring.append(kind.credentials.model_validate({"kind": kind.name, **parts}))
            proofs = {name: value for name, value in proofs.items() if name not in parts}
    settings |= {"auth": {"kind": "ring"}, **({"callback": proofs} if "callback" in settings else {})}
    try:
        checked = account_settings(ACCOUNT, settings, plugins_of(provider))
    except ConfigurationError as error:
        fault(
            "the provider has rules for keys, and its accounts can have no ring",
            expected='auth = { kind = "ring" } taken: RingAuth among the types of the setting',
            found=str(error),
            look_at="the adapter's settings model",
        )
    keys = () if empty else tuple(ring)
    return provider.adapter(Account(ACCOUNT, checked.environment, checked, bench.clock.now, lambda: keys))


def _one(value: Any) -> Any:
    """A setting may hold several while one replaces another."""
    return value[0] if isinstance(value, (list, tuple)) and value else value


def _counts(bench: Bench, place: Place, forged: OutgoingCallback, adapter: Any) -> bool:
    """Whether the account compares this part of the proof: it may not have what some part is made of."""
    return _read(bench, place.put(place.in_other(forged)), adapter=adapter).proof is not Proof.MATCHES


def _with_strict(bench: Bench, strict: bool) -> dict[str, Any] | None:
    """The account's settings with that of strict callbacks on or off; None where the provider's settings have none."""
    path = bench.subject.strict
    if path is None:
        return None
    table, _, name = path.rpartition(".")
    within = {**bench.settings.get(table, {}), name: strict} if table else None
    settings = {**bench.settings, **({table: within} if table else {name: strict})}
    try:
        adapter_of(bench.subject, settings)
    except ConfigurationError as error:
        fault(
            f"callbacks are received, and the account has no setting {path} that makes them strict",
            expected="a setting of the type bool, off by default; its path is `strict` of the Subject, or None there",
            found=str(error),
        )
    return settings


def _paid(bench: Bench, play: Play) -> tuple[Any, OutgoingCallback]:
    """An order that was paid, and the callback that the provider made of it; nobody has delivered it yet."""
    calls = {(call.operation, call.variant): call for call in bench.subject.calls()}
    order = calls["orders.get", ""].prepare(play)
    before = len(bench.emitted)
    play.pay(order.provider_id)
    made = bench.emitted[before:]
    if not made:
        fault(
            "the provider's sandbox made no callback for an order that was paid",
            expected=f"one to the address {BASE_URL}/… that NewOrder.callback_url names",
            look_at="create_order of the adapter: does it hand callback_url to the provider?",
        )
    return order, made[-1]


def _unpaid(bench: Bench, play: Play) -> tuple[Any, str]:
    """An order that nobody has paid, and the address that it is called back at."""
    seen = len(bench.emitted)
    calls = {(call.operation, call.variant): call for call in bench.subject.calls()}
    before = len(bench.tapped.exchanges)
    order = calls["orders.get", ""].prepare(play)
    assert len(bench.emitted) == seen
    made = bench.tapped.exchanges[before:]
    sent = " ".join(one.body.decode("utf-8", "replace") + one.query for one in made)
    sent += "".join(f" {value}" for one in made for value in sent_places(one).values())  # also in a text within
    address = next(_addresses(sent), None)
    if address is None:
        fault(
            "no request that made the order names the address of its callbacks",
            expected=f"{BASE_URL}/… as NewOrder.callback_url has it",
            look_at="create_order of the adapter",
        )
    return order, address


def _addresses(text: str) -> Iterator[str]:
    from urllib.parse import unquote

    plain = unquote(text.replace("\\/", "/"))
    while (start := plain.find(BASE_URL)) >= 0:
        plain = plain[start:]
        end = next((at for at, character in enumerate(plain) if character in "\"'&<> \\"), len(plain))
        yield plain[:end]
        plain = plain[end:]


def _read(bench: Bench, callback: OutgoingCallback, later: timedelta = timedelta(0), *, adapter: Any = None) -> Notice:
    adapter = adapter or adapter_of(bench.subject, bench.settings)
    if not isinstance(adapter, ReadsCallbacks):
        fault(
            "callbacks.receive is declared as supported, and the adapter does not read callbacks",
            expected="read_callback() and strict_callbacks",
        )
    incoming = IncomingCallback(
        method=callback.method,
        url=callback.url,
        headers={name.lower(): value for name, value in callback.headers.items()},
        body=callback.body,
        received_at=bench.clock.now() + later,
    )
    try:
        with alone(_OPERATION):
            notice = adapter.read_callback(incoming)
    except Piercing as found:
        raise found.fault from None
    except Exception as error:
        fault(
            f"read_callback raised {type(error).__name__} for a callback of {callback.body[:40]!r}",
            expected="a Notice, whatever came: a body that cannot be read is one without a number",
            found=str(error)[:200],
            look_at="read_callback of the adapter",
        )
    if not isinstance(notice, Notice):
        fault(f"read_callback returned {type(notice).__name__}", expected="gateway.contracts.Notice")
    return notice


def _answered(play: Play, callback: OutgoingCallback, expected: int, what: str) -> None:
    status = play.gw.callbacks.receive(
        method=callback.method, url=callback.url, headers=dict(callback.headers), body=callback.body, client="127.0.0.1"
    )
    if status != expected:
        fault(f"{what} was answered with {status}", expected=str(expected))


def _stays_unpaid(play: Play, order: Any, what: str) -> None:
    play.gw.callbacks.process()
    for refresh in (False, True):
        seen = play.gw.orders.get(order.reference, refresh=refresh)
        if seen.status is OrderStatus.PAID:
            fault(
                f"{what} was believed: an order that nobody has paid is paid",
                expected="pending: the order is read at the provider before anything is believed",
                look_at="read_callback and get_order of the adapter",
            )
