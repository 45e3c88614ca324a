"""Texts that must not be seen, and the cleaning of everything that is shown or stored.

A `Secret` shows itself nowhere: not in `repr`, `str`, f-strings, tracebacks of our own, pydantic errors or JSON.
`Redactor` takes known secrets, and values under telling names, out of texts and decoded JSON before they reach a
log, an error or the store.
"""

from __future__ import annotations

import hmac
import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gateway.errors import InvalidRequest

__all__ = ["HIDDEN", "CardNumber", "Raw", "Redactor", "Secret", "is_telling", "is_text"]

HIDDEN = "•••"
"""What stands in reports where a secret was."""

# Names of fields and headers whose values are secret whoever sends them. Compared in lower case without '-' and '_'.
_TELLING = frozenset(
    "accesstoken apikey apisecret apitoken authorization cardnumber callbacksecret callbacktoken cvc cvv jwt "
    "logintoken otp pan passwd password privatekey secret secretkey signature token xauthsign".split()
)
# The first digit tells the industry (ISO/IEC 7812-1). Payment cards begin with these; times in milli-, micro- and
# nanoseconds, which are as long, begin with a 1 until 2033.
_DIGITS_OF_A_CARD = re.compile(r"(?<!\d)[2-689](?:[ -]?\d){12,18}(?!\d)")
# An amount in the smallest unit is as long too (one ether in wei has 19 digits); one in ten has a right check digit.
_AMOUNTS = frozenset(
    "allocated amount amounts available balance balances cost due fee fees filled held limit locked paid "
    "pending price quantity received refunded remaining size sum total volume".split()
)
_OF_CARDS = frozenset("account acct card cards cc iin no num number numbers pan".split())
_WORD_OF_A_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NAME_BEFORE = re.compile(r'"([A-Za-z0-9_.-]{1,64})"\s*:\s*"?$|[?&]([A-Za-z0-9_.-]{1,64})=$|^([A-Za-z0-9_.-]{1,64})=$')


def is_text(value: object) -> bool:
    """Whether it is text in UTF-8. What the system gives that is none has surrogates in the place of its bytes."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_telling(name: str) -> bool:
    """Whether a field or header of this name holds a secret."""
    return name.lower().replace("-", "").replace("_", "") in _TELLING


class Secret:
    """A text kept out of sight; `reveal()` is the only way to read it. Raises InvalidRequest for what is no text in
    UTF-8: it could not be signed with or sent.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not is_text(text):
            raise InvalidRequest(
                "a secret has to be text in UTF-8, and this is none", hint="copy it again from where it was shown"
            )
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def encode(self) -> bytes:
        """The revealed text as UTF-8 bytes, for signing and comparing."""
        return self._text.encode()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({HIDDEN!r})"

    def __str__(self) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.encode(), other.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled or copied to disk")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object, info: ValidationInfo) -> Secret:
            if isinstance(value, cls):
                return value
            if isinstance(value, Secret):
                return cls(value.reveal())
            if not isinstance(value, str) or not value:
                # A custom error, because pydantic's own would show the value.
                raise PydanticCustomError(
                    "secret", "expected a text: env:NAME, file:PATH, vault:account/label or a literal"
                )
            resolve = (info.context or {}).get("resolve_secret")
            text = resolve(value) if resolve else value
            if not is_text(text):
                raise PydanticCustomError("secret", "a secret has to be text in UTF-8, and this is none")
            return cls(text)

        return core_schema.with_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
            json_schema_input_schema=core_schema.str_schema(),
        )


class CardNumber(Secret):
    """A card number. Never stored, not even encrypted; `masked` shows the last four digits."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """What may be shown of it: the last four digits, where it is long enough."""
        digits = [character for character in self.reveal() if character.isdigit()]
        return "•••• " + "".join(digits[-4:]) if len(digits) >= 8 else HIDDEN


class Raw(Mapping[str, Any]):
    """A provider's decoded answer, whole. Reading is as of a dict; `repr`, JSON and the store get it without its
    secrets, which include those of the account that was answered.
    """

    __slots__ = ("_data", "_redactor")

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self._data: dict[str, Any] = dict(data or {})
        self._redactor = _NOBODYS

    def hide(self, redactor: Redactor) -> None:
        """Show it from now on without what this one knows as well: a provider may repeat what it was sent."""
        self._redactor = redactor

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Any:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __copy__(self) -> Raw:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Raw:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle is a copy on a disk or in a queue.
        return (Raw, (self.redacted(),))

    def redacted(self) -> dict[str, Any]:
        """The data without its secrets, as JSON."""
        cleaned: dict[str, Any] = self._redactor.data(self._data)
        return cleaned

    def __repr__(self) -> str:
        return f"Raw({self.redacted()!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> Raw:
            if isinstance(value, Raw):
                return value
            if isinstance(value, Mapping):
                return cls(value)
            raise ValueError("expected a mapping")

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda raw: raw.redacted()),
        )


class Redactor:
    """Takes secrets out: those it was given, wherever they stand, and whatever stands under a telling name."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        self._learnt: frozenset[str] = frozenset()
        self.learn(secrets)

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Know further secrets from now on. Texts under four characters are left out: hiding them would hide
        everything.
        """
        texts = {text for secret in secrets if len(text := secret.reveal()) >= 4} - self._learnt
        if not texts:  # as at most of the times that a ring is read again
            return
        found = {written for text in texts for written in _written(text)} | set(self._secrets)
        # Longest first, so that a secret that contains another is hidden whole.
        self._secrets = tuple(sorted(found, key=len, reverse=True))
        self._learnt |= texts  # only now: another thread goes by it

    def text(self, text: str) -> str:
        """The text without its secrets and card numbers."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _DIGITS_OF_A_CARD.sub(_without_card, text)

    def data(self, data: Any) -> Any:
        """A copy of decoded JSON without its secrets."""
        if isinstance(data, Mapping):
            return {
                self.text(key) if isinstance(key, str) else key: HIDDEN
                if is_telling(str(key)) and not isinstance(value, (Mapping, list, type(None)))
                else self._value(str(key), value)
                for key, value in data.items()
            }
        if isinstance(data, (list, tuple)):
            return [self.data(value) for value in data]
        if isinstance(data, Secret):
            return HIDDEN
        if isinstance(data, int) and not isinstance(data, bool):
            return data if self.text(str(data)) == str(data) else HIDDEN
        return self.text(data) if isinstance(data, str) else data

    def _value(self, name: str, value: Any) -> Any:
        """What stands under a name that tells no secret."""
        written = str(value) if isinstance(value, (int, str)) else ""
        if written.isdecimal() and _is_amount(name) and not any(secret in written for secret in self._secrets):
            return value
        return self.data(value)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers without their secrets."""
        return {name: HIDDEN if is_telling(name) else self.text(value) for name, value in headers.items()}


_NOBODYS = Redactor()


def _written(text: str) -> set[str]:
    """A secret as it stands in texts, in JSON and in addresses."""
    written = {text, html.escape(text), html.escape(text, quote=False)}
    for quoted in (quote(text), quote(text, safe=""), quote_plus(text)):
        written |= {quoted, re.sub(r"%[0-9A-F]{2}", lambda code: code.group().lower(), quoted)}
    for as_json in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        written |= {as_json, as_json.replace("/", "\\/")}
        # Where it may stand in a page, some escape more than others, and in upper case or in lower.
        for escaped in ("&<>", "&<>'", "&<>'+", "&<>'+/"):
            for form in ("\\u{:04x}", "\\u{:04X}"):
                codes = {ord(character): form.format(ord(character)) for character in escaped}
                written |= {as_json.translate(codes), as_json.replace('\\"', "\\u0022").translate(codes)}
    return written


def _without_card(found: re.Match[str]) -> str:
    """The digits, unless they are a card's number."""
    digits = found.group()
    if not _is_card(digits):
        return digits
    named = _NAME_BEFORE.search(found.string, max(0, found.start() - 80), found.start()) if digits.isdecimal() else None
    return digits if named is not None and _is_amount(next(filter(None, named.groups()))) else HIDDEN


def _is_amount(name: str) -> bool:
    """Whether a field of this name holds an amount, and nothing of a card."""
    words = {word.lower() for word in _WORD_OF_A_NAME.findall(name)}
    return bool(words & _AMOUNTS) and not words & _OF_CARDS


def _is_card(text: str) -> bool:
    """Whether the digits pass the Luhn check (ISO/IEC 7812-1), so that order numbers of the same length stay
    readable.
    """
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit if index % 2 == 0 else sum(divmod(digit * 2, 10)) for index, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0
