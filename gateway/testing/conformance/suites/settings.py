"""Settings: what is missing, misspelt or of the wrong kind is named with its path, and no value is shown."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from gateway.config import account_settings
from gateway.contracts import AccountSettings, Setting
from gateway.errors import ConfigurationError
from gateway.testing.conformance.bench import ACCOUNT, Bench, plugins_of, settings_of
from gateway.testing.conformance.cases import Case, Suite, check
from gateway.testing.conformance.faults import fault

__all__ = ["SettingsSuite"]

_AREA = "settings"
_CANARY = "conformance-canary-7d1f"
# The gateway's own, the same for every provider.
_COMMON = frozenset(AccountSettings.model_fields) - {"base_url"}

Path = tuple[str, ...]


def _once(suite: Suite) -> Iterator[Case]:
    yield Case(area=_AREA, colour="")


def _settings(suite: Suite) -> Iterator[Case]:
    subject = suite.examined()
    for path in _places(settings_of(subject, "http://127.0.0.1:9")):
        yield Case(area=_AREA, colour="", what=path, label=".".join(path))


def _places(table: Mapping[str, Any], here: Path = ()) -> Iterator[Path]:
    for name, value in table.items():
        if here or name not in _COMMON:
            yield (*here, name)
            if isinstance(value, Mapping):
                yield from _places(value, (*here, name))


class SettingsSuite(Suite):
    """What an account's section of the configuration may say."""

    turn = 1

    @check(_once)
    def test_every_setting_is_described(self, bench: Bench, case: Case) -> None:
        seen: set[type[BaseModel]] = set()
        for name in _undescribed(bench.subject.provider.settings, seen):
            fault(
                f"the setting {name} has no description",
                expected="Field(description=…): `docs/settings.md` and editors show it",
                look_at=f"{bench.subject.provider.settings.__name__} and the tables in it",
            )

    @check(_once)
    def test_an_unknown_setting_is_named(self, bench: Bench, case: Case) -> None:
        bench.start()
        _refused(bench, {**bench.settings, "no_such_setting": _CANARY}, "no_such_setting")

    @check(_settings)
    def test_what_is_misspelt_is_named(self, bench: Bench, case: Case) -> None:
        bench.start()
        path: Path = case.what
        table = _changed(bench.settings, path, _REMOVED)
        where = table
        for part in path[:-1]:
            where = where[part]
        where[f"{path[-1]}_x"] = _CANARY
        _refused(bench, table, path[-1])

    @check(_settings)
    def test_what_is_of_the_wrong_kind_is_named(self, bench: Bench, case: Case) -> None:
        bench.start()
        path: Path = case.what
        is_table = isinstance(_at(bench.settings, path), Mapping)
        wrong: Any = _CANARY if is_table else {_CANARY: _CANARY}
        _refused(bench, _changed(bench.settings, path, wrong), path[-1])

    @check(_settings)
    def test_what_is_missing_is_named_or_has_a_default(self, bench: Bench, case: Case) -> None:
        bench.start()
        path: Path = case.what
        table = _changed(bench.settings, path, _REMOVED)
        try:
            account_settings(ACCOUNT, table, plugins_of(bench.subject.provider))
        except ConfigurationError as error:
            _names(error, ".".join(path), path[-1], bench)


_REMOVED = object()


def _undescribed(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        if not field.description:
            yield f"{model.__name__}.{name}"
        for kind in _kinds(field.annotation):
            yield from _undescribed(kind, seen)


def _kinds(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Setting):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _kinds(argument)


def _at(table: Any, path: Path) -> Any:
    for part in path:
        table = table[part]
    return table


def _changed(table: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = copy.deepcopy(dict(table))
    where = changed
    for part in path[:-1]:
        where = where[part]
    if value is _REMOVED:
        del where[path[-1]]
    else:
        where[path[-1]] = value
    return changed


def _refused(bench: Bench, table: Mapping[str, Any], name: str) -> None:
    try:
        account_settings(ACCOUNT, table, plugins_of(bench.subject.provider))
    except ConfigurationError as error:
        _names(error, name, name, bench)
        return
    except Exception as error:
        fault(
            f"a wrong setting ({name}) became {type(error).__name__} instead of a ConfigurationError",
            found=str(error)[:200],
            look_at="validators of the settings model: they raise ValueError",
        )
    fault(
        f"a wrong setting was taken: {name}",
        expected=f"ConfigurationError naming accounts.{ACCOUNT}…{name}",
        look_at="the settings model: it is a gateway.contracts.Setting, which refuses unknown names",
    )


def _names(error: ConfigurationError, path: str, name: str, bench: Bench) -> None:
    said = str(error)
    if f"accounts.{ACCOUNT}" not in said or name not in said:
        fault(
            f"the error about the setting {path} does not name it",
            expected=f"accounts.{ACCOUNT}.{path} in it",
            found=said[:300],
        )
    from gateway.testing.conformance.secrets import secret_texts

    values = [("what was written", _CANARY), *secret_texts(bench.subject, bench.settings)]
    for what, text in values:
        if text in said:
            fault(
                f"the error about the setting {path} shows a value ({what})",
                expected="the path and the reason only: a secret may stand in the wrong place",
                look_at="messages of ValueError in the validators of the settings model",
            )
