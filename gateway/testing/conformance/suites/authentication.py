"""Keys and signatures: check values, what signing may change, and keys that are not accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from gateway.contracts import LoginAuth, NoAuth
from gateway.errors import GatewayError
from gateway.exchange import Request, Signing
from gateway.testing.conformance.bench import Bench, adapter_of, supported
from gateway.testing.conformance.cases import Case, Suite, check
from gateway.testing.conformance.colours import COLOURS
from gateway.testing.conformance.disguises import readable_in
from gateway.testing.conformance.faults import fault
from gateway.testing.conformance.scanning import texts_of
from gateway.testing.conformance.secrets import secret_texts, secrets_known
from gateway.testing.conformance.subject import SignatureVector
from gateway.testing.conformance.suites.accounts import AccountsSuite
from gateway.testing.conformance.tap import leaves, replaced

__all__ = ["AuthenticationSuite"]

_AREA = "authentication"


def _once(suite: Suite) -> Iterator[Case]:
    yield Case(area=_AREA, colour="")


def _vectors(suite: Suite) -> Iterator[Case]:
    for number, vector in enumerate(suite.examined().signatures, 1):
        yield Case(area=_AREA, colour="", what=vector, label=f"check-value-{number}")


def _refusable(suite: Suite) -> Iterator[Case]:
    subject = suite.examined()
    if subject.refused_auth is None:
        return
    operations = {row.operation for row in supported(subject)}
    for operation in ("keys.verify", "wallets.list", "orders.list", "trades.open"):
        if operation in operations:
            for colour in COLOURS:
                yield Case(area=_AREA, colour=colour, what=operation, label=f"refused-key-{operation}")
            return


class AuthenticationSuite(AccountsSuite):
    """How requests are authenticated."""

    turn = 2

    @check(_once)
    def test_there_are_check_values(self, bench: Bench, case: Case) -> None:
        bench.start()
        if isinstance(adapter_of(bench.subject, bench.settings).auth, NoAuth) or bench.subject.signatures:
            return
        fault(
            "requests are authenticated, and no check value says how",
            expected="at least one SignatureVector in `signatures` of the Subject: a request and its headers",
            look_at="the provider's documentation; where it gives no example, compute one by hand from its recipe",
        )

    @check(_vectors)
    def test_the_check_values_hold(self, bench: Bench, case: Case) -> None:
        bench.start()
        vector: SignatureVector = case.what
        settings = dict(bench.settings)
        if vector.auth is not None:
            settings["auth"] = dict(vector.auth)
        auth = adapter_of(bench.subject, settings).auth
        before = repr(vector.request)
        signed = auth.sign(vector.request, Signing(vector.now, vector.number))
        found = {name.lower(): value for name, value in signed.headers.items()}
        for name, value in vector.headers.items():
            if found.get(name.lower()) != value:
                fault(
                    f"the header {name} of {vector.request} is not the one of the check value"
                    + (f" ({vector.source})" if vector.source else ""),
                    expected=value,
                    found=str(found.get(name.lower())),
                    look_at="sign() of the adapter's auth: what is joined, in which order, and with which separator",
                )
        if vector.body is not None and signed.body != vector.body:
            fault(
                f"the body of {vector.request} is not the one of the check value",
                expected=repr(vector.body),
                found=repr(signed.body),
            )
        if repr(vector.request) != before:
            fault("signing changed the request that it was given", expected="a new Request: dataclasses.replace")

    @check(_once)
    def test_signing_changes_nothing_else(self, bench: Bench, case: Case) -> None:
        bench.start()
        auth = _ready(bench)
        for request in (
            Request("GET", "/conformance", query=(("page", "1"),)),
            Request("POST", "/conformance", json={"amount": "1"}, write=True),
        ):
            moment = bench.clock.now()
            first = auth.sign(request, Signing(moment, 7))
            for name in ("method", "path", "write", "signed", "quiet"):
                if getattr(first, name) != getattr(request, name):
                    fault(f"signing changed the {name} of {request}", expected=repr(getattr(request, name)))
            if first != auth.sign(request, Signing(moment, 7)):
                fault(
                    f"signing {request} twice at one moment gives two results",
                    expected="a pure function of the request and the Signing: its moment and its number",
                    look_at="sign() of the adapter's auth: clocks and random numbers of its own",
                )
            if request.json is not None and first.body is None:
                fault(f"{request} was signed without its body", expected="sign() starts with request.encoded()")
            auth.sign(request, Signing(moment + timedelta(seconds=1), 8))

    @check(_once)
    def test_a_signature_covers_the_path_of_the_address(self, bench: Bench, case: Case) -> None:
        bench.start()
        if not bench.subject.signs_base_path:
            return
        address = str(bench.settings["base_url"])
        below = _path_of_its_own(bench)
        if not below:
            return
        auth, moment = _ready(bench), Signing(bench.clock.now(), 7)
        here, there = (auth.sign(Request("GET", path), moment) for path in ("/conformance-a", "/conformance-b"))
        if here.headers == there.headers and here.body == there.body:
            return  # it does not cover the path
        other = adapter_of(bench.subject, {**bench.settings, "base_url": address + "/other"}).auth
        if isinstance(other, LoginAuth) and other.login_needed():
            return  # a key that a login obtains is sent as it is
        elsewhere = other.sign(Request("GET", "/conformance-a"), moment)
        if elsewhere.headers == here.headers and elsewhere.body == here.body:
            fault(
                f"the signature covers the path of a request, and leaves out that of base_url ({below}): the provider "
                f"sees {below}/orders where /orders was signed",
                expected="urlsplit(settings.base_url).path + request.target() in what is signed; or a base_url without "
                "a path, and paths with the version",
                look_at="sign() of the adapter's auth; where the provider documents that it signs what comes after "
                f"{below}, signs_base_path = False of the Subject",
            )

    @check(_once)
    def test_what_identifies_a_key_does_not_reveal_it(self, bench: Bench, case: Case) -> None:
        bench.start()
        auth = _ready(bench)
        for path, text in secret_texts(bench.subject, bench.settings):
            if found := readable_in(auth.key_id, text):
                fault(
                    f"auth.key_id holds the secret {' '.join((path, found[0])).strip()}",
                    expected="a fingerprint of the key, such as part of a hash",
                )

    @check(_once)
    def test_every_key_has_a_name_of_its_own(self, bench: Bench, case: Case) -> None:
        bench.start()
        names = [adapter_of(bench.subject, bench.settings).auth.key_id for _ in range(2)]
        if names[0] != names[1]:
            fault(
                "auth.key_id of one key is another one each time",
                expected="the same name whenever the account is opened: the limit of calls is kept under it",
                found=" and ".join(names),
            )
        others = [vector.auth for vector in bench.subject.signatures if vector.auth is not None]
        own = _texts(bench.settings.get("auth"))
        for table in (*others, bench.subject.refused_auth):
            if table is None or own & _texts(table):
                continue  # one key with another secret may well have one name
            if adapter_of(bench.subject, {**bench.settings, "auth": dict(table)}).auth.key_id == names[0]:
                fault(
                    "two keys have one auth.key_id",
                    expected="a name of its own for each, such as part of a hash: limits are kept for each key",
                )

    @check(_once)
    def test_many_keys_have_many_names(self, bench: Bench, case: Case) -> None:
        bench.start()
        if isinstance(adapter_of(bench.subject, bench.settings).auth, NoAuth):
            return
        names: dict[str, int] = {}
        for number, auth in enumerate(_further_keys(bench)):
            name = adapter_of(bench.subject, {**bench.settings, "auth": auth}).auth.key_id
            if name in names:
                fault(
                    f"of {number + 1} keys two have one auth.key_id ({name!r}), so that they share a limit of calls",
                    expected="a name of its own for each: 16 hex digits of a hash, say",
                    look_at="key_id of the adapter's auth",
                )
            names[name] = number
        if not names and not _others(bench):
            fault(
                "no other key could be made from the account's, so that nothing shows whether two have two names",
                expected="credentials of another key: `refused_auth` of the Subject, or `auth` of a check value",
            )

    @check(_once)
    def test_one_login_serves_many_calls(self, bench: Bench, case: Case) -> None:
        auth = _ready(bench)
        if not hasattr(auth, "login_due"):
            return
        if not isinstance(auth, LoginAuth):
            fault(
                "the auth logs in, but not as the engine asks it to: no login would ever be made",
                expected="all of gateway.contracts.LoginAuth",
                found="no " + ", ".join(sorted(name for name in _LOGIN if not hasattr(auth, name))),
            )
        if auth.login_due():
            fault(
                "a login is due right after one: every call would begin with it",
                expected="login_due() is False until the key expires soon or is refused",
                look_at="login() of the adapter's auth: it remembers the key that it obtains",
            )
        if auth.login_needed():
            fault(
                "a login is needed right after one, while none is due",
                expected="login_needed() is True only while login_due() is",
                look_at="login_needed() of the adapter's auth",
            )

    @check(_once)
    def test_every_secret_that_leaves_is_known_as_one(self, bench: Bench, case: Case) -> None:
        bench.start()
        auth = _ready(bench)
        known = secrets_known(bench, auth)
        signed = auth.sign(
            Request("POST", "/conformance", json={"amount": "1"}, write=True), Signing(bench.clock.now(), 7)
        )
        sent = " ".join(signed.headers.values()) + (signed.body or b"").decode("utf-8", "replace") + signed.target()
        for path, text in secret_texts(bench.subject, bench.settings):
            if text in sent and text not in known:
                fault(
                    f"the secret {path} goes out with requests, and nothing hides it from reports",
                    expected="a setting of the type gateway.secrets.Secret, and the secret in auth.secrets()",
                    look_at="the adapter's settings model",
                )

    @check(_refusable)
    def test_a_key_that_is_not_accepted_is_told_as_that(self, bench: Bench, case: Case) -> None:
        bench.play(case.colour)
        settings = {**bench.settings, "auth": dict(bench.subject.refused_auth or {})}
        play = bench.open(case.colour, settings, f"refused-{case.colour}-{next(bench.numbers)}.db")
        calls = {call.operation: call for call in bench.subject.calls()}
        call = calls[case.what]
        try:
            call.make(play, None)
        except GatewayError as error:
            if type(error) is bench.subject.refused_as:
                return
            fault(
                f"{case.what} with a key that the provider does not accept became another error",
                expected=bench.subject.refused_as.__name__,
                found=f"{type(error).__name__}: {error}",
                look_at="read_failure of the adapter",
            )
        fault(
            f"{case.what} works with a key that the provider does not accept",
            expected=bench.subject.refused_as.__name__,
            look_at="whether the call is signed at all, and whether the answer is looked at",
        )


_LOGIN = {name for name in vars(LoginAuth) if not name.startswith("_")}


_KEYS = 1500
"""So many names of four hex digits are most likely not all different."""


def _others(bench: Bench) -> list[Any]:
    """Credentials of other keys that the subject has."""
    tables = (*(vector.auth for vector in bench.subject.signatures), bench.subject.refused_auth)
    own = _texts(bench.settings.get("auth"))
    return [table for table in tables if table is not None and not own & _texts(table)]


def _further_keys(bench: Bench) -> Iterator[dict[str, Any]]:
    """Many keys like the account's own, each text of which differs in its letters and digits; of those that have a form
    in which nothing else would be taken, none.
    """
    own: dict[str, Any] = dict(bench.settings.get("auth", {}))

    def is_taken(table: dict[str, Any]) -> bool:
        try:
            adapter_of(bench.subject, {**bench.settings, "auth": table})
        except GatewayError:
            return False
        return True

    texts = [path for path, value in leaves(own) if isinstance(value, str) and path[-1] != "kind"]
    changing = [path for path in texts if is_taken(replaced(own, path, _varied(_at(own, path), 12345)))]
    seen: set[tuple[Any, str]] = set()
    for number in range(1, _KEYS + 1) if changing else ():
        table = own
        for path in changing:
            text = _varied(_at(own, path), number)
            if (path, text) in seen:
                return  # so short a text has no more of its form, and a key may well be named by it alone
            seen.add((path, text))
            table = replaced(table, path, text)
        yield table


def _at(table: Any, path: tuple[str | int, ...]) -> str:
    for part in path:
        table = table[part]
    return str(table)


def _varied(text: str, number: int) -> str:
    """Another text of the same form: its digits and letters are moved on, from the end, as in counting."""
    made, left = list(text), number
    for at in range(len(made) - 1, -1, -1):
        for alphabet in ("0123456789", "abcdef", "ABCDEF", "ghijklmnopqrstuvwxyz", "GHIJKLMNOPQRSTUVWXYZ"):
            if left and made[at] in alphabet:
                place = alphabet.index(made[at]) + left
                made[at], left = alphabet[place % len(alphabet)], left // len(alphabet)
                break
    return "".join(made)


def _path_of_its_own(bench: Bench) -> str:
    """The path of the provider's address: as the settings have it, or as the account has it in the sandbox."""
    default = bench.subject.provider.settings.model_fields["base_url"].default
    path = urlsplit(default).path.rstrip("/") if isinstance(default, str) else ""
    return path or bench.path_of(Request("GET", "")).rstrip("/")


def _texts(table: Any) -> set[str]:
    return {text for path, text in texts_of(table) if path != "kind"}


def _ready(bench: Bench) -> Any:
    """The auth of an account that has made a call: one that logs in has its key then."""
    play = bench.play()
    made = play.watch.made
    assert made is not None
    due = getattr(made.auth, "login_due", None)
    if due is not None and due():
        calls = {call.operation: call for call in bench.subject.calls()}
        for row in supported(bench.subject):
            call = calls.get(row.operation)
            if call is not None and not call.is_write:
                call.make(play, call.prepare(play))
                break
    return made.auth
