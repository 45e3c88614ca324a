"""Texts that must not be seen: `Secret`, `CardNumber`, `Raw`, and the `Redactor` that cleans what is shown."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from gateway.errors import InvalidRequest
from gateway.models import Card, CardStatus, OneTimeCode
from gateway.secrets import HIDDEN, CardNumber, Raw, Redactor, Secret, is_telling

CANARY = "canary-5f2e9b"
CARD = "4111111111111111"


@dataclass
class Holder:
    secret: Secret


class Model(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    secret: Secret
    number: CardNumber | None = None


@pytest.mark.parametrize("kind", [Secret, CardNumber])
class TestSecret:
    def test_it_is_read_by_reveal_only(self, kind: type[Secret]) -> None:
        secret = kind(CANARY)
        assert secret.reveal() == CANARY
        assert secret.encode() == CANARY.encode()
        shown = [
            repr(secret),
            str(secret),
            f"{secret} {secret!r} {secret!s:>20}",
            "%s %r" % (secret, secret),  # noqa: UP031 - this way too
            repr([secret, {"key": secret}]),
            repr(Holder(secret)),
            repr(Model(secret=secret)),
            str(Model(secret=secret)),
            json.dumps({"key": secret}, default=str),
        ]
        assert not any(CANARY in text for text in shown)
        assert all(HIDDEN in text for text in shown[:3])

    @pytest.mark.parametrize("broken", [f"{CANARY}\udcff", "\ud83d", b"bytes", None])
    def test_what_is_no_text_is_refused_without_it(self, kind: type[Secret], broken: Any) -> None:
        with pytest.raises(InvalidRequest, match="text in UTF-8") as caught:
            kind(broken)
        error = caught.value
        assert error.__context__ is None
        assert error.__cause__ is None
        assert CANARY not in "".join(traceback.format_exception(error)) + repr(vars(error))

    def test_what_is_no_text_is_refused_in_a_model_too(self, kind: type[Secret]) -> None:
        with pytest.raises(ValidationError, match="text in UTF-8") as caught:
            TypeAdapter(kind).validate_python(f"{CANARY}\udcff")
        assert caught.value.errors()[0]["type"] == "secret"

    def test_json_and_dumps_hide_it(self, kind: type[Secret]) -> None:
        assert CANARY not in Model(secret=kind(CANARY)).model_dump_json()
        assert Model(secret=kind(CANARY)).model_dump() == {"secret": HIDDEN, "number": None}
        assert TypeAdapter(dict[str, Secret]).dump_json({"a": kind(CANARY)}) == f'{{"a":"{HIDDEN}"}}'.encode()
        with pytest.raises(TypeError) as caught:
            json.dumps(kind(CANARY))
        assert CANARY not in str(caught.value)

    def test_it_is_not_pickled(self, kind: type[Secret]) -> None:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled"):
                pickle.dumps({"key": kind(CANARY)}, protocol)

    def test_copies_are_itself(self, kind: type[Secret]) -> None:
        secret = kind(CANARY)
        assert copy.copy(secret) is secret
        assert copy.deepcopy([secret])[0] is secret

    def test_it_equals_the_same_text_and_nothing_else(self, kind: type[Secret]) -> None:
        assert kind("pässword") == kind("pässword")
        assert hash(kind(CANARY)) == hash(kind(CANARY))
        assert kind(CANARY) != kind("other")
        assert kind(CANARY) != CANARY
        assert kind(CANARY)
        assert not kind("")

    def test_a_traceback_of_what_holds_it_shows_nothing(self, kind: type[Secret]) -> None:
        secret = kind(CANARY)
        try:
            raise ValueError(f"cannot use {secret}", secret)
        except ValueError:
            assert CANARY not in traceback.format_exc()


@pytest.mark.parametrize("value", ["", None, 5, [CANARY], {"a": CANARY}, CANARY.encode()])
def test_a_model_refuses_what_is_no_text_without_showing_it(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Secret).validate_python(value)
    assert CANARY not in str(caught.value.errors(include_input=False))
    with pytest.raises(ValidationError) as caught:
        Model(secret=value)
    assert CANARY not in str(caught.value)


def test_a_model_takes_texts_and_secrets_and_resolves_references() -> None:
    assert Model(secret=CANARY).secret.reveal() == CANARY  # type: ignore[arg-type]
    made = Model(secret=Secret(CANARY), number=Secret(CARD))  # type: ignore[arg-type]
    assert isinstance(made.number, CardNumber)
    resolved = Model.model_validate({"secret": "env:X"}, context={"resolve_secret": lambda text: text + CANARY})
    assert resolved.secret.reveal() == "env:X" + CANARY
    assert Model.model_json_schema()["properties"]["secret"]["type"] == "string"


def test_a_card_number_shows_its_last_four_digits_as_masked_only() -> None:
    assert CardNumber("4111 1111 1111 1234").masked == "•••• 1234"
    assert CardNumber("1234567").masked == HIDDEN
    assert "1234" not in str(CardNumber("4111111111111234"))


def test_a_card_model_shows_no_secret_in_any_way() -> None:
    card = Card(
        provider_id="c1",
        status=CardStatus.ACTIVE,
        number=CardNumber(CARD),
        cvv=Secret("987-cvv"),
        raw=Raw({"cardNumber": CARD, "cvv": "987-cvv", "nested": [{"otp": CANARY}], "fine": "yes"}),
    )
    code = OneTimeCode(code=Secret(CANARY), card="c1", raw=Raw({"otp": CANARY}))
    for shown in (repr(card), str(card), card.model_dump_json(), repr(card.raw), repr(code), code.model_dump_json()):
        assert not [secret for secret in (CARD, "987-cvv", CANARY) if secret in shown]
    assert card.number is not None
    assert card.number.reveal() == CARD
    assert card.raw["nested"] == [{"otp": CANARY}]


class TestRaw:
    DATA: ClassVar[dict[str, Any]] = {
        "id": "1",
        "apiKey": CANARY,
        "inner": {"Card-Number": CARD, "note": f"paid with {CARD}"},
        "none": None,
    }

    def test_it_reads_as_a_dict(self) -> None:
        raw = Raw(self.DATA)
        assert dict(raw) == self.DATA == raw
        assert (len(raw), raw["apiKey"], list(raw)) == (4, CANARY, list(self.DATA))
        assert Raw() == {}

    def test_it_shows_itself_redacted(self) -> None:
        raw = Raw(self.DATA)
        clean = {"id": "1", "apiKey": HIDDEN, "inner": {"Card-Number": HIDDEN, "note": f"paid with {HIDDEN}"}}
        assert raw.redacted() == {**clean, "none": None}
        for shown in (repr(raw), str(raw), f"{raw}", TypeAdapter(Raw).dump_json(raw).decode()):
            assert CANARY not in shown
            assert CARD not in shown
        assert raw["apiKey"] == CANARY

    def test_pickled_it_leaves_its_secrets_behind(self) -> None:
        pickled = pickle.dumps(Raw(self.DATA))
        assert CANARY.encode() not in pickled
        assert CARD.encode() not in pickled
        assert pickle.loads(pickled)["id"] == "1"

    def test_copied_it_keeps_everything(self) -> None:
        raw = Raw(self.DATA)
        assert copy.copy(raw) == raw == copy.deepcopy(raw)
        card = Card(provider_id="1", status=CardStatus.ACTIVE, number=CardNumber(CARD), raw=raw)
        assert card.model_copy(deep=True).raw["apiKey"] == CANARY

    def test_a_model_takes_mappings_only(self) -> None:
        assert TypeAdapter(Raw).validate_python({"a": 1}) == {"a": 1}
        with pytest.raises(ValidationError):
            TypeAdapter(Raw).validate_python([1])


class TestRedactor:
    def test_known_secrets_go_wherever_they_stand(self) -> None:
        redactor = Redactor([Secret(CANARY)])
        assert redactor.text(f"a{CANARY}b {CANARY}") == f"a{HIDDEN}b {HIDDEN}"
        assert redactor.data({"list": [CANARY, (CANARY, 5)], "a": Secret("x")}) == {
            "list": [HIDDEN, [HIDDEN, 5]],
            "a": HIDDEN,
        }
        assert redactor.headers({"X-Trace": CANARY, "Authorization": "Basic abc", "Accept": "x"}) == {
            "X-Trace": HIDDEN,
            "Authorization": HIDDEN,
            "Accept": "x",
        }

    def test_a_secret_that_contains_another_is_hidden_whole(self) -> None:
        assert Redactor([Secret("abcd"), Secret("abcd-efgh")]).text("abcd-efgh abcd") == f"{HIDDEN} {HIDDEN}"

    def test_later_secrets_are_learned_and_earlier_ones_kept(self) -> None:
        redactor = Redactor([Secret("first-one")])
        redactor.learn([Secret("second-one")])
        assert redactor.text("first-one second-one") == f"{HIDDEN} {HIDDEN}"

    def test_very_short_texts_are_left_out(self) -> None:
        assert Redactor([Secret("abc"), Secret("")]).text("abcabc") == "abcabc"

    @pytest.mark.parametrize("text", ['quo"ted\\back', "sla/sh ünï", "tab\tand\nline", "<a&b>"])
    def test_a_secret_is_found_as_json_and_percent_encoding_write_it(self, text: str) -> None:
        from urllib.parse import quote, quote_plus

        redactor = Redactor([Secret(text)])
        for written in (
            text,
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            json.dumps(text)[1:-1].replace("/", "\\/"),
            quote(text),
            quote(text, safe=""),
            quote_plus(text),
        ):
            assert redactor.text(f"x {written} y") == f"x {HIDDEN} y", written

    @pytest.mark.parametrize(
        ("text", "written"),
        [
            ("<a&b>\"c'd", "&lt;a&amp;b&gt;&quot;c&#x27;d"),
            ("<a&b>\"c'd", "&lt;a&amp;b&gt;\"c'd"),
            ("a/b+c=d&e", "a%2fb%2bc%3dd%26e"),
            ("a/b+c d", "a/b%2bc%20d"),
            ("sla/sh ünï", "sla%2fsh+%c3%bcn%c3%af"),
            ("<a&b>+c/d'e", "\\u003ca\\u0026b\\u003e\\u002bc\\u002fd\\u0027e"),
            ("ü<b>", "\\u00fc\\u003cb\\u003e"),
            ("ü<b>", "ü\\u003cb\\u003e"),
        ],
    )
    def test_a_secret_is_found_as_pages_and_other_encoders_write_it(self, text: str, written: str) -> None:
        assert Redactor([Secret(text)]).text(f"x {written} y") == f"x {HIDDEN} y"
        assert written in Redactor([Secret("another-one")]).text(f"x {written} y")

    @pytest.mark.parametrize(
        "name", ["token", "API-Key", "api_secret", "X-Auth-Sign", "cardNumber", "CVV", "password", "Authorization"]
    )
    def test_telling_names_tell(self, name: str) -> None:
        assert is_telling(name)
        assert Redactor().data({name: "anything"}) == {name: HIDDEN}
        assert Redactor().data({name: 12345}) == {name: HIDDEN}
        assert Redactor().data({name: None}) == {name: None}
        assert Redactor().data({name: {"symbol": "USDT"}}) == {name: {"symbol": "USDT"}}

    @pytest.mark.parametrize("name", ["id", "amount", "tokens", "keys", "customer"])
    def test_other_names_do_not(self, name: str) -> None:
        assert not is_telling(name)
        assert Redactor().data({name: "x"}) == {name: "x"}

    @pytest.mark.parametrize(
        "text",
        [CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "6011000990139424", "5555555555554444"],
    )
    def test_card_numbers_go_however_they_are_written(self, text: str) -> None:
        assert Redactor().text(f"number {text}.") == f"number {HIDDEN}."
        assert Redactor().data({"note": text}) == {"note": HIDDEN}
        assert Redactor().data([int(text.replace(" ", "").replace("-", ""))]) == [HIDDEN]

    @pytest.mark.parametrize("text", ["4111111111111112", "123456789012", "1" * 20, "2024-01-02 03:04:05"])
    def test_other_numbers_stay(self, text: str) -> None:
        assert Redactor().text(text) == text

    @pytest.mark.parametrize("unit", [1, 1_000, 1_000_000], ids=["milli", "micro", "nano"])
    def test_no_time_is_taken_for_a_card(self, unit: int) -> None:
        times = [1_795_259_037_000 * unit + each for each in range(1_000)]
        assert Redactor().data(times) == times
        body = json.dumps({"created": times, "at": list(map(str, times))})
        assert Redactor().text(body) == body

    @pytest.mark.parametrize("name", ["amount", "available", "totalPaid", "network_fee", "receivedAmount", "FEE"])
    def test_an_amount_in_the_smallest_unit_is_not_taken_for_a_card(self, name: str) -> None:
        for data in ({name: CARD}, {name: int(CARD)}, [{"deep": {name: CARD}}]):
            assert Redactor().data(data) == data
            assert Redactor().text(json.dumps(data)) == json.dumps(data)
            assert Redactor().text(json.dumps(data, separators=(",", ":"))) == json.dumps(data, separators=(",", ":"))
        for form in (f"{name}={CARD}", f"a=b&{name}={CARD}&c=d", f"/x?{name}={CARD}"):
            assert Redactor().text(form) == form
        assert Redactor().data({name: f"paid with {CARD}"}) == {name: f"paid with {HIDDEN}"}
        assert Redactor().data({name: "4111 1111 1111 1111"}) == {name: HIDDEN}
        assert Redactor([Secret(CARD)]).data({name: CARD}) == {name: HIDDEN}, "a known secret goes wherever it stands"
        assert Redactor([Secret(CARD)]).data({name: int(CARD)}) == {name: HIDDEN}

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "number",
                "value",
                "note",
                "id",
                "pans",
                "cards",
                "credit_card",
                "creditCard",
                "debitCard",
                "creditCardNo",
            ),
            *("credit", "card_balance", "paid_number", "paidPan", "balanceNo", "credit_card_no"),
        ],
    )
    def test_under_other_names_it_is_a_card(self, name: str) -> None:
        assert Redactor().data({name: CARD}) == {name: HIDDEN}
        assert Redactor().text(json.dumps({name: CARD})) == json.dumps({name: HIDDEN}, ensure_ascii=False)
        assert Redactor().text(json.dumps({"amount": "5", name: CARD})).count(HIDDEN) == 1

    @given(st.from_regex(r"[2-689][0-9]{14}", fullmatch=True))
    def test_exactly_one_check_digit_makes_a_card(self, digits: str) -> None:
        hidden = [digit for digit in "0123456789" if Redactor().text(digits + digit) == HIDDEN]
        assert len(hidden) == 1

    def test_booleans_and_small_numbers_are_untouched(self) -> None:
        data = {"a": True, "b": 5, "c": 1.5, "d": None, "e": 1700000000000}
        assert Redactor().data(data) == data
