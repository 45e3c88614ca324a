"""Users, deposits, cards, and every movement of money between them. No HTTP here.

Money lies in a user's wallet or on one of the user's cards. A deposit fills the wallet; issuing and topping up a card
move money from the wallet to the card; spending takes it from the card. Nothing flows back to the wallet.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from gateway.money import plain
from gateway.testing.sandbox import NotInSandbox, SandboxError

__all__ = ["Books", "Card", "CardTransaction", "Deposit", "Fees", "Refused", "User"]

# The statuses are the documentation's words (grade D).
WAITING, CONFIRMED, FAILED, EXPIRED = "waiting", "confirmed", "failed", "expired"
CARD_STATUSES = ("active", "frozen", "blocked", "expired")
TRANSACTION_STATUSES = ("pending", "completed", "declined", "failed")

_CENT = Decimal("0.01")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Refused(Exception):
    """The provider says no: an HTTP status and the text of the error envelope."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


@dataclass(frozen=True, slots=True)
class Fees:
    """The vendor's rates. 5 %, 5 % and 19 are values of its samples (grade P), 3 % is stated (D).

    That fees are rounded to cents, half up, is not documented.
    """

    deposit_percent: Decimal = Decimal(5)
    card_percent: Decimal = Decimal(5)
    card_issue: Decimal = Decimal(19)
    topup_percent: Decimal = Decimal(3)

    @staticmethod
    def share(amount: Decimal, percent: Decimal) -> Decimal:
        return (amount * percent / 100).quantize(_CENT, ROUND_HALF_UP)


@dataclass(slots=True)
class Deposit:
    """A deposit of `amount` USD; `net` reaches the wallet when it is confirmed. `seen`: paid, and not confirmed yet."""

    id: str
    user: str
    amount: Decimal
    currency: str
    address: str
    platform_percent: Decimal
    platform_fee: Decimal
    merchant_percent: Decimal
    merchant_fee: Decimal
    created_at: datetime
    expires_at: datetime
    status: str = WAITING
    seen: bool = False

    @property
    def collected(self) -> Decimal:
        return self.platform_fee + self.merchant_fee

    @property
    def net(self) -> Decimal:
        return self.amount - self.collected


@dataclass(slots=True)
class CardTransaction:
    id: str
    card: str
    amount: Decimal
    status: str
    created_at: datetime
    currency: str = "USD"


@dataclass(slots=True)
class Card:
    id: str
    user: str
    name: str
    number: str = field(repr=False)
    cvv: str = field(repr=False)
    expiry: str
    balance: Decimal
    service_fee: Decimal
    issue_fee: Decimal
    status: str = "active"
    transactions: list[CardTransaction] = field(default_factory=list)


@dataclass(slots=True)
class User:
    id: str
    first_name: str
    last_name: str
    created_at: datetime
    available: Decimal = Decimal(0)


class Books:
    """All records, oldest first, and the list of movements that the balances are the sums of."""

    def __init__(self, fees: Fees, opening: Decimal, lifetime: timedelta) -> None:
        self.fees = fees
        self._opening = opening
        self._lifetime = lifetime
        self.users: dict[str, User] = {}
        self.deposits: dict[str, Deposit] = {}
        self.cards: dict[str, Card] = {}
        self.movements: list[dict[str, str]] = []

    def _move(
        self,
        kind: str,
        user: User,
        now: datetime,
        *,
        wallet: Decimal = Decimal(0),
        card: Card | None = None,
        on_card: Decimal = Decimal(0),
        fees: Decimal = Decimal(0),
        about: str = "",
    ) -> None:
        """The only place where a balance changes. `fees` is what was kept on the way."""
        user.available += wallet
        if card is not None:
            card.balance += on_card
        self.movements.append(
            {
                "kind": kind,
                "user": user.id,
                "wallet": plain(wallet),
                "card": plain(on_card),
                "fees": plain(fees),
                "about": about,
                "at": now.isoformat(),
            }
        )

    # Users

    def add_user(self, first_name: str, last_name: str, now: datetime) -> User:
        user = User(secrets.token_hex(12), first_name, last_name, now)  # 24 hex digits in the sample (D)
        self.users[user.id] = user
        if self._opening:
            self._move("opening", user, now, wallet=self._opening)
        return user

    def credit(self, user: User, amount: Decimal, now: datetime) -> None:
        self._move("credit", user, now, wallet=amount)

    def pending(self, user: User) -> Decimal:
        """What awaits confirmation (D). Taken as: the net amount of deposits that are paid and not confirmed."""
        waiting = (d for d in self.deposits.values() if d.user == user.id and d.status == WAITING and d.seen)
        return sum((deposit.net for deposit in waiting), Decimal(0))

    def in_cards(self, user: User) -> Decimal:
        """What was moved to cards (D). Taken as: what the cards hold now; whether spending counts is not documented."""
        return sum((card.balance for card in self.cards.values() if card.user == user.id), Decimal(0))

    # Deposits

    def add_deposit(self, user: User, amount: Decimal, currency: str, markup: Decimal, now: datetime) -> Deposit:
        number = f"dep_{secrets.token_hex(8)}"
        deposit = Deposit(
            id=number,
            user=user.id,
            amount=amount,
            currency=currency,
            address=_address(number),
            platform_percent=self.fees.deposit_percent,
            platform_fee=self.fees.share(amount, self.fees.deposit_percent),
            merchant_percent=markup,
            merchant_fee=self.fees.share(amount, markup),
            created_at=now,
            expires_at=now + self._lifetime,
        )
        self.deposits[number] = deposit
        return deposit

    def sweep(self, now: datetime) -> None:
        """Expire what is due. A payment that was seen in time is waited for; not documented."""
        for deposit in self.deposits.values():
            if deposit.status == WAITING and not deposit.seen and now >= deposit.expires_at:
                deposit.status = EXPIRED

    def waiting_deposit(self, number: str) -> Deposit:
        """A deposit that can still become something else. Raises SandboxError."""
        deposit = self.deposits.get(number)
        if deposit is None:
            raise NotInSandbox(f"no deposit {number!r}")
        if deposit.status != WAITING:
            raise SandboxError(f"deposit {number} is {deposit.status}, which is final")
        return deposit

    def confirm(self, deposit: Deposit, now: datetime) -> None:
        deposit.status = CONFIRMED
        user = self.users[deposit.user]
        self._move("deposit", user, now, wallet=deposit.net, fees=deposit.collected, about=deposit.id)

    # Cards

    def issue_card(self, user: User, name: str, initial: Decimal, now: datetime) -> Card:
        """Debit = initial balance + service fee + issue fee (D). Raises Refused."""
        service = self.fees.share(initial, self.fees.card_percent)
        debit = initial + service + self.fees.card_issue
        _require(user, debit)
        card = Card(
            id=f"card_{secrets.token_hex(8)}",
            user=user.id,
            name=name,
            number=_card_number(),
            cvv=f"{secrets.randbelow(1000):03d}",
            expiry=f"{now.month:02d}/{(now.year + 3) % 100:02d}",
            balance=Decimal(0),
            service_fee=service,
            issue_fee=self.fees.card_issue,
        )
        self.cards[card.id] = card
        self._move("card", user, now, wallet=-debit, card=card, on_card=initial, fees=debit - initial, about=card.id)
        return card

    def top_up(self, user: User, card: Card, amount: Decimal, now: datetime) -> Decimal:
        """Debit = amount + service fee (D); returns the fee. Raises Refused."""
        if card.status != "active":  # that only an active card takes money is not documented
            raise Refused(409, f"Card is {card.status}")
        fee = self.fees.share(amount, self.fees.topup_percent)
        _require(user, amount + fee)
        self._move("topup", user, now, wallet=-(amount + fee), card=card, on_card=amount, fees=fee, about=card.id)
        return fee

    def spend(self, card: Card, amount: Decimal, status: str | None, now: datetime) -> CardTransaction:
        covered = card.status == "active" and amount <= card.balance
        status = status or ("completed" if covered else "declined")
        if status not in TRANSACTION_STATUSES:
            raise SandboxError(f"a card transaction is one of {', '.join(TRANSACTION_STATUSES)}, not {status!r}")
        takes = status in ("completed", "pending")
        if takes and not covered:
            raise SandboxError(f"card {card.id} is {card.status} and holds {plain(card.balance)} USD")
        transaction = CardTransaction(f"txn_{secrets.token_hex(8)}", card.id, amount, status, now)
        card.transactions.append(transaction)
        if takes:
            self._move("spending", self.users[card.user], now, card=card, on_card=-amount, about=transaction.id)
        return transaction

    def settle(self, number: str, status: str, now: datetime) -> None:
        """End a pending card transaction; what did not happen goes back to the card."""
        for card in self.cards.values():
            for transaction in card.transactions:
                if transaction.id != number:
                    continue
                if transaction.status != "pending":
                    raise SandboxError(f"transaction {number} is {transaction.status}, not pending")
                if status not in ("completed", "declined", "failed"):
                    raise SandboxError(f"a pending transaction becomes completed, declined or failed, not {status!r}")
                transaction.status = status
                if status != "completed":
                    user = self.users[card.user]
                    self._move("return", user, now, card=card, on_card=transaction.amount, about=number)
                return
        raise SandboxError(f"no card transaction {number!r}")


def _require(user: User, debit: Decimal) -> None:
    if debit > user.available:
        raise Refused(409, "Insufficient balance")


def _address(seed: str) -> str:
    """32 bytes in base 58, a shape that Solana has; the network is not documented. Nobody holds its key."""
    number = int.from_bytes(hashlib.sha256(b"sandbox:" + seed.encode()).digest()) | 1 << 255
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return digits


def _card_number() -> str:
    """Sixteen digits with a right check digit, beginning as the well-known test numbers do; spaces in fours (P)."""
    digits = f"40000000{secrets.randbelow(10**7):07d}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::2])
    check = -(doubled + sum(int(digit) for digit in digits[1::2])) % 10
    number = f"{digits}{check}"
    return " ".join(number[start : start + 4] for start in range(0, 16, 4))
