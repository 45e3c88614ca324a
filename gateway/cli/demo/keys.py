"""The story `keys`: the least powerful key that can do the work, keys that share it, and one that takes another's
place while work goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from operator import lt
from typing import Any

from gateway import Gateway, Money, OrderRequest, TradeRequest
from gateway.cli.demo.rings import ELSEWHERE, HERE, Rings, rings
from gateway.cli.demo.script import Script
from gateway.cli.demo.stage import CARDS, KIOSK, SHOP, TREASURY, Stage
from gateway.errors import Conflict, GatewayError, InvalidRequest, PermissionDenied
from gateway.models import ApiKey, CustomerRequest, KeyAudit, NewKey, Permission
from gateway.secrets import Secret

__all__ = ["tell"]

ADA = "ada"
CUSTOMER = "c-42"
A_DAY = 24 * 3600
# Emirex's keys as its page shows them: public key, secret.
READ = ("demo-public-read", "demo-secret-of-the-key-that-reads")
TRADE = ("demo-public-trade", "demo-secret-of-the-key-that-trades")
PAYOUT = ("demo-public-payout", "demo-secret-of-the-key-that-withdraws")
OLD_KIOSK, NEW_KIOSK = "demo-kiosk-key-one", "demo-kiosk-key-two"
AUREX = ("aurex-sandbox-key-one", "aurex-sandbox-key-two")
CALLS, EVERY = 110, 0.5
AT_ONCE = 50
TILLS, MOST_ORDERS = 3, 400
PATIENCE = 20.0


def tell(script: Script, stage: Stage) -> None:
    with rings(stage) as at:
        for public, secret, permissions, addresses in (
            (*READ, ["read"], None),
            (*TRADE, ["read", "trade"], None),
            (*PAYOUT, ["read", "withdraw"], [HERE]),
        ):
            at.sandboxes[TREASURY].add_key(public, secret, permissions=permissions, trusted_ips=addresses)
        _vault(script, at)
        with at.open(ELSEWHERE) as gateway:
            _read_only(script, at, gateway)
            _more_keys(script, at, gateway)
            _confined(script, at, gateway)
        with at.open(HERE) as gateway:
            _least_power(script, at, gateway)
            _one_alone(script, at, gateway)
            _two_share(script, at, gateway)
            _refused(script, at, gateway)
            _issued(script, at, gateway)
            _renewed(script, at, gateway)
            _rotation(script, at, gateway)
            _revealed(script, at, gateway)
            _ring(script, at, gateway)
            _on_disk(script, at, gateway)
            _audit(script, gateway)


def _emirex(
    label: str, key: tuple[str, str], may: Iterable[Permission], networks: Iterable[str] | None = None
) -> NewKey:
    return NewKey(
        label=label,
        parts={"public_key": Secret(key[0]), "secret": Secret(key[1])},
        permissions=frozenset(may),
        networks=None if networks is None else tuple(networks),
    )


def _trade(reference: str) -> TradeRequest:
    return TradeRequest(reference=reference, market="BTC/USDC", side="buy", kind="limit", volume="0.01", rate="100")


def _vault(script: Script, at: Rings) -> None:
    with script.step("a vault", expect="a file that only its owner reads, with nothing in it") as step:
        vault = type(at.vault()).create(at.vault_file, at.master_key)
        step.check("who may read it", oct(at.vault_file.stat().st_mode & 0o777), "0o600")
        step.check("secrets in it", vault.check(), 0)
        step.got = "made: 0 secrets, for its owner alone"


# Emirex: permissions and addresses


def _read_only(script: Script, at: Rings, gateway: Gateway) -> None:
    provider = at.provider(TREASURY)
    with script.step(
        "a key that may only read",
        account=TREASURY,
        provider=provider,
        operation="keys.verify",
        expect="it is read with once, and kept after that",
    ) as step:
        gateway.keys.add(_emirex("Read1", READ, {Permission.READ}), account=TREASURY, by=ADA)
        step.check("calls that the provider saw of it", at.sandboxes[TREASURY].calls_of(READ[0]), 1)
        step.check("the ring", [key.label for key in gateway.keys.list(account=TREASURY)], ["Read1"])
        step.got = "Read1: tried, then kept"
    with script.step(
        "a trade with it",
        account=TREASURY,
        provider=provider,
        operation="trades.create",
        expect="refused here: nothing is sent, nothing is recorded",
    ) as step:
        before = at.requests(TREASURY)
        error = step.raises(PermissionDenied, lambda: gateway.trades.create(_trade("trade-1"), account=TREASURY))
        step.check("outcome", error.outcome, "not_sent")
        step.check("requests that the provider saw", at.requests(TREASURY) - before, 0)
        step.check("entries of the journal", list(gateway.journal.show("trade-1")), [])
        step.got = error.message


def _more_keys(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step(
        "a label against the rule",
        account=TREASURY,
        provider=at.provider(TREASURY),
        expect="the provider's rule for labels is checked before anything is sent",
    ) as step:
        before = at.requests(TREASURY)
        error = step.raises(
            InvalidRequest,
            lambda: gateway.keys.add(_emirex("payouts", PAYOUT, {Permission.WITHDRAW}), account=TREASURY, by=ADA),
        )
        step.check("requests that the provider saw", at.requests(TREASURY) - before, 0)
        step.check("secrets in the vault", at.vault().check(), 1)
        step.got = error.message


def _ask_to_withdraw(gateway: Gateway) -> object:
    """No call of Emirex that withdraws is known, so its balances are read with what may withdraw."""
    return gateway.account(TREASURY).request(
        "POST", "/private/balances", json={}, write=False, permissions=["withdraw"]
    )


def _confined(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step(
        "a key for one address",
        account=TREASURY,
        provider=at.provider(TREASURY),
        operation="request",
        expect="from another address it is not used: nothing is sent, and the error names the address",
    ) as step:
        payout = _emirex("Payout1", PAYOUT, {Permission.READ, Permission.WITHDRAW}, [HERE])
        before = at.requests(TREASURY)
        # It cannot be tried from here, so it is kept untried until the gateway is where it is admitted.
        untried = step.raises(PermissionDenied, lambda: gateway.keys.add(payout, account=TREASURY, by=ADA))
        gateway.keys.add(payout, account=TREASURY, check=False, by=ADA)
        error = step.raises(PermissionDenied, lambda: _ask_to_withdraw(gateway))
        step.check("requests that the provider saw", at.requests(TREASURY) - before, 0)
        step.holds("the error names the address", ELSEWHERE in error.message and HERE in error.message, error.message)
        step.log.append(f"not tried from here: {untried.message}")
        step.got = error.message


def _least_power(script: Script, at: Rings, gateway: Gateway) -> None:
    provider, sandbox = at.provider(TREASURY), at.sandboxes[TREASURY]
    gateway.keys.add(_emirex("Trade1", TRADE, {Permission.READ, Permission.TRADE}), account=TREASURY, by=ADA)
    gateway.keys.verify(label="Payout1", account=TREASURY, by=ADA)

    def used(call: Callable[[], object]) -> list[str]:
        before = {label: sandbox.calls_of(key[0]) for label, key in keys.items()}
        call()
        return [label for label, key in keys.items() if sandbox.calls_of(key[0]) > before[label]]

    keys = {"Read1": READ, "Trade1": TRADE, "Payout1": PAYOUT}
    with script.step(
        "the least powerful key",
        account=TREASURY,
        provider=provider,
        operation="trades.create",
        expect="from its address, what needs it goes out with it; reads and trades do not",
    ) as step:
        step.check("reading", used(lambda: list(gateway.wallets.list(account=TREASURY))), ["Read1"])
        step.check("trading", used(lambda: gateway.trades.create(_trade("trade-1"), account=TREASURY)), ["Trade1"])
        step.check("what needs withdraw", used(lambda: _ask_to_withdraw(gateway)), ["Payout1"])
        step.got = "read: Read1, trade: Trade1, withdraw: Payout1 (asked for balances: no call is known that withdraws)"


# Aurex: a rate limit for each key


def _calls(at: Rings, gateway: Gateway) -> tuple[float, set[int | None]]:
    """One call every half second; how long that took, and what the provider answered."""
    started, before = at.clock.monotonic(), at.requests(CARDS)
    for _ in range(CALLS):
        list(gateway.wallets.list(account=CARDS, customer=CUSTOMER, deadline=120))
        at.clock.advance(EVERY)
    return at.clock.monotonic() - started, at.statuses(CARDS, before)


def _one_alone(script: Script, at: Rings, gateway: Gateway) -> None:
    gateway.keys.add(NewKey(label="one", parts={"api_key": Secret(AUREX[0])}), account=CARDS, by=ADA)
    gateway.customers.create(CustomerRequest(reference=CUSTOMER, first_name="Ada", last_name="Example"), account=CARDS)
    at.clock.advance(60)
    with script.step(
        f"{CALLS} calls, one key",
        account=CARDS,
        provider=at.provider(CARDS),
        operation="wallets.list",
        expect="60 a minute are allowed: after 60 calls it waits for the minute to be over",
    ) as step:
        took, statuses = _calls(at, gateway)
        step.check("answers", statuses, {200})
        step.holds("it waited", took > CALLS * EVERY, f"{took} s")
        step.got = f"{took:g} s on the virtual clock, of them {took - CALLS * EVERY:g} s waiting; no call too many"


def _two_share(script: Script, at: Rings, gateway: Gateway) -> None:
    sandbox = at.sandboxes[CARDS]
    gateway.keys.add(NewKey(label="two", parts={"api_key": Secret(AUREX[1])}), account=CARDS, by=ADA)
    at.clock.advance(60)
    with script.step(
        f"{CALLS} calls, two keys",
        account=CARDS,
        provider=at.provider(CARDS),
        operation="wallets.list",
        expect="all within one minute, without waiting; no key has more than 60 of them",
    ) as step:
        before = [sandbox.calls_of(key) for key in AUREX]
        took, statuses = _calls(at, gateway)
        each = [sandbox.calls_of(key) - already for key, already in zip(AUREX, before, strict=True)]
        step.check("answers", statuses, {200})
        step.check("seconds", took, CALLS * EVERY)
        step.holds("within a minute", took < 60, f"{took} s")
        step.check("calls that the provider counted", sum(each), CALLS)
        step.holds("no key has more than 60", max(each) <= 60, each)
        step.got = f"{took:g} s on the virtual clock; the provider counted {each[0]} and {each[1]}"


def _refused(script: Script, at: Rings, gateway: Gateway) -> None:
    at.clock.advance(60)
    with script.step(
        "a key that is refused",
        account=CARDS,
        provider=at.provider(CARDS),
        operation="wallets.list",
        expect="401 means that nothing was done: it is set aside, and the call goes out with the other one",
    ) as step:
        at.sandboxes[CARDS].revoke_key(AUREX[0])
        before = at.requests(CARDS)
        for _ in range(4):
            list(gateway.wallets.list(account=CARDS, customer=CUSTOMER))
        statuses = [request.status for request in at.server.requests[at.provider(CARDS)][before:]]
        step.check("answers, refused ones once", sorted(filter(None, statuses)), [200, 200, 200, 200, 401])
        aside = [key.label for key in gateway.keys.list(account=CARDS) if key.refused_at is not None]
        step.check("set aside", aside, ["one"])
        step.got = "4 calls made, one of them twice; one is set aside"


# Aurpay: a token, and one key for another


def _issued(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step(
        "a token is issued",
        account=SHOP,
        provider=at.provider(SHOP),
        operation="keys.issue",
        expect="one login; the token stays in memory, what it was obtained with is in the vault",
    ) as step:
        login = type(at.sandboxes[SHOP])(auth="login").account("http://127.0.0.1")["auth"]
        parts = {name: value for name, value in login.items() if name != "kind"}
        issued = gateway.keys.issue(account=SHOP, label="till", parts=parts, by=ADA)
        expires_at = step.present("when it expires", issued.expires_at)
        step.check("it lasts", expires_at - at.clock.now(), timedelta(seconds=A_DAY))
        list(gateway.currencies.list(account=SHOP))
        step.check("logins that the provider saw", at.logins(SHOP), 1)
        step.check("what it was obtained with", at.vault().get(SHOP, "till").reveal(), parts["password"])
        step.holds("the token is not on the disk", issued.secret.reveal().encode() not in at.on_disk())
        step.got = f"till, until {expires_at:%Y-%m-%d %H:%M} UTC"


def _renewed(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step(
        "the token expires",
        account=SHOP,
        provider=at.provider(SHOP),
        operation="currencies.list",
        expect=f"{AT_ONCE} calls at once: one login, and every call is answered",
    ) as step:
        at.clock.advance(A_DAY)
        logins, before = at.logins(SHOP), at.requests(SHOP)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lists = list(pool.map(lambda _: len(list(gateway.currencies.list(account=SHOP))), range(AT_ONCE)))
        step.check("lists that are empty", lists.count(0), 0)
        step.check("logins that the provider saw", at.logins(SHOP) - logins, 1)
        step.check("requests that the provider saw", at.requests(SHOP) - before, AT_ONCE + 1)
        step.got = f"{AT_ONCE} calls answered, 1 login"


class _Tills:
    """Threads that make orders, one after the other, until they are told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self._ended = [0] * TILLS
        self.made: list[str] = []
        self.failed: list[GatewayError] = []

    def _work(self, till: int) -> None:
        for number in range(MOST_ORDERS):
            if self._stop.is_set():
                return
            request = OrderRequest(reference=f"till-{till}-{number}", price=Money("5.00", "USD"), pay_with="USDT@tron")
            try:
                # The clock jumps by a minute while they work, which is not to end their time.
                order = self._gateway.orders.create(request, account=KIOSK, deadline=180)
            except GatewayError as error:
                self.failed.append(error)
            else:
                self.made.append(order.reference)
            self._ended[till] += 1

    @contextmanager
    def working(self) -> Iterator[None]:
        with ThreadPoolExecutor(TILLS) as pool:
            for till in range(TILLS):
                pool.submit(self._work, till)
            try:
                yield
            finally:
                self._stop.set()

    def go_on(self) -> None:
        """Until every thread has ended the call that it is at, and one more."""
        enough, until = [ended + 2 for ended in self._ended], time.monotonic() + PATIENCE
        while any(map(lt, self._ended, enough)) and time.monotonic() < until:
            time.sleep(0.005)


def _rotation(script: Script, at: Rings, gateway: Gateway) -> None:
    provider, sandbox = at.provider(KIOSK), at.sandboxes[KIOSK]
    sandbox.add_api_key(OLD_KIOSK)
    sandbox.add_api_key(NEW_KIOSK)
    old = NewKey(label="kiosk-1", kind="api-key", parts={"api_key": Secret(OLD_KIOSK)})
    new = NewKey(label="kiosk-2", parts={"api_key": Secret(NEW_KIOSK)})
    gateway.keys.add(old, account=KIOSK, by=ADA)
    tills, before, orders = _Tills(gateway), at.requests(KIOSK), len(sandbox.orders())
    with script.step(
        "one key for another",
        account=KIOSK,
        provider=provider,
        operation="orders.create",
        expect="orders are made all the time; the old key is revoked once no call can use it, and no call fails",
    ) as step:
        with tills.working():
            tills.go_on()
            rotation = gateway.keys.rotate("kiosk-1", new, account=KIOSK, by=ADA)
            step.check("the old one", (rotation.old.label, rotation.old.state), ("kiosk-1", "retiring"))
            too_soon = step.raises(Conflict, lambda: gateway.keys.revoke("kiosk-1", account=KIOSK, by=ADA, ended=True))
            tills.go_on()
            at.clock.advance(60)  # calls of other processes have ended by then
            sandbox.end_key(OLD_KIOSK)
            tills.go_on()
            gateway.keys.revoke("kiosk-1", account=KIOSK, by=ADA, ended=True)
            tills.go_on()
        step.check("calls that failed", [str(error) for error in tills.failed], [])
        # One more, because the new key was tried before it was kept.
        step.check("requests that the provider saw", at.requests(KIOSK) - before, len(tills.made) + 1)
        step.check("orders at the provider", len(sandbox.orders()) - orders, len(tills.made))
        step.holds("orders were made", len(tills.made) >= 4 * 2 * TILLS, len(tills.made))
        step.check("the old key", gateway.keys.get("kiosk-1", account=KIOSK).state, "revoked")
        step.holds("its secret is erased", (KIOSK, "kiosk-1") not in at.vault().names())
        step.log.append(f"too soon: {too_soon.message}")
        step.got = f"{len(tills.made)} orders by {TILLS} threads, none failed; kiosk-1 is revoked, kiosk-2 works"


# What can be seen of it


def _revealed(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step(
        "a secret is read back",
        account=TREASURY,
        provider=at.provider(TREASURY),
        operation="keys.reveal",
        expect="it is the one that was kept, and the audit says who read it",
    ) as step:
        parts = gateway.keys.reveal("Trade1", account=TREASURY, reason="moving to another host", by=ADA)
        step.check("the secret", parts["secret"].reveal() == TRADE[1], True)
        last = gateway.keys.audit(account=TREASURY, limit=1)[0]
        step.check("the audit", (last.actor, last.action, last.label), (ADA, "revealed", "Trade1"))
        step.got = f"{last.actor} {last.action} {last.label}: {last.detail['why']}"


def _ring(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step("the rings", expect="every key, its state and what it may do; no secret") as step:
        keys = gateway.keys.list()
        states = {f"{key.account}/{key.label}": str(key.state) for key in keys}
        expected = dict.fromkeys(
            ("treasury/Read1", "treasury/Payout1", "treasury/Trade1", "cards/one", "cards/two", "shop/till"), "active"
        )
        step.check("the keys", states, {**expected, "kiosk/kiosk-1": "revoked", "kiosk/kiosk-2": "active"})
        step.table = [_key_row(key) for key in keys]
        step.got = f"{len(keys)} keys in {len({key.account for key in keys})} rings"


def _key_row(key: ApiKey) -> dict[str, str]:
    return {
        "account": key.account,
        "label": key.label,
        "kind": key.kind,
        "may": ", ".join(sorted(key.permissions)),
        "from": ", ".join(key.networks) if key.networks is not None else "anywhere",
        "state": key.state if key.refused_at is None else f"{key.state}, set aside",
        "expires": f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at is not None else "",
    }


def _on_disk(script: Script, at: Rings, gateway: Gateway) -> None:
    with script.step(
        "vault and store", expect="everything in the vault opens; no secret is readable on the disk"
    ) as step:
        vault = at.vault()
        kept = {f"{account}/{label}": secret for (account, label), secret in vault.get_many().items()}
        expected = {f"{key.account}/{key.label}" for key in gateway.keys.list() if key.state != "revoked"}
        step.check("secrets in the vault", set(kept), expected)
        step.check("secrets that open", vault.check(), len(kept))
        written = at.on_disk()
        ended = [OLD_KIOSK]
        readable = [name for name, secret in kept.items() if secret.reveal().encode() in written]
        step.check("secrets readable on the disk", readable, [])
        step.check("ended ones", [key for key in ended if key.encode() in written], [])
        step.holds("what was read is what was written", b"kiosk-2" in written)
        step.got = f"{len(kept)} secrets open with the master key; none of them is in {len(written)} bytes of files"


def _audit(script: Script, gateway: Gateway) -> None:
    with script.step("what was done with keys", expect="who, when and what, in order; never a secret") as step:
        rows = list(reversed(gateway.keys.audit(limit=1000)))
        done = [f"{row.action} {row.label}" for row in rows]
        step.check("what was done", done, _DONE)
        step.check("done by nobody", [row.action for row in rows if row.actor != ADA], ["set aside"])
        step.table = [_audit_row(row) for row in rows]
        step.got = f"{len(rows)} entries"


_DONE = [
    "added Read1",
    "add failed Payout1",
    "added Payout1",
    "added Trade1",
    "verified Payout1",
    "added one",
    "added two",
    "set aside one",
    "issued till",
    "added kiosk-1",
    "retired kiosk-1",
    "added kiosk-2",
    "revoked kiosk-1",
    "revealed Trade1",
]


def _audit_row(row: KeyAudit) -> dict[str, str]:
    return {
        "when": f"{row.at:%Y-%m-%d %H:%M:%S}",
        "who": row.actor,
        "what": row.action,
        "key": f"{row.account}/{row.label}",
        "more": _told(row.detail),
    }


def _told(detail: Mapping[str, Any]) -> str:
    shown = {name: detail[name] for name in ("permissions", "why", "replaced_by") if name in detail}
    return "; ".join(
        f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in shown.items()
    )
