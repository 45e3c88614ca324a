"""Finding a merchant's gateway by `package.module:name`, with the handlers that the module registers."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import traceback
from typing import Any

from gateway.aio import AsyncGateway
from gateway.api import Gateway
from gateway.errors import ConfigurationError

__all__ = ["find_app"]

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_EXAMPLE = "such as shop.payments:gw for `gw` in shop/payments.py"


def find_app(path: str) -> Gateway | AsyncGateway:
    """The gateway that `path` names, or that the function which it names makes; modules of the current folder count.

    Raises ConfigurationError, with what is wrong and where.
    """
    if not _PATH.fullmatch(path):
        raise ConfigurationError(f"{path!r} does not name a gateway in a module", hint=f"write MODULE:NAME, {_EXAMPLE}")
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = _attribute(_imported(module), module, name)
    if not isinstance(found, Gateway | AsyncGateway) and callable(found) and not inspect.isclass(found):
        found = _made(found, path)
    if not isinstance(found, Gateway | AsyncGateway):
        raise ConfigurationError(
            f"{path} is no Gateway or AsyncGateway, nor a function that makes one: it is {_kind(found)}",
            hint=f"name the gateway, {_EXAMPLE}",
        )
    return found


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"there is no module {error.name!r}, neither in {os.getcwd()} nor installed",
                hint="start the worker in the folder of your application, or correct --app",
            ) from None
        raise _failed(f"{module} cannot be imported", error) from None
    except (Exception, SystemExit) as error:
        raise _failed(f"{module} cannot be imported", error) from None


def _attribute(found: Any, module: str, name: str) -> Any:
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = sorted(key for key, value in vars(sys.modules[module]).items() if isinstance(value, _KINDS))
            raise ConfigurationError(
                f"{module} has no {name!r}",
                hint="its gateways: " + (", ".join(names) or "none at the top of the module"),
            ) from None
    return found


def _made(function: Any, path: str) -> Any:
    try:
        made = function()
    except (Exception, SystemExit) as error:
        raise _failed(f"{path}() failed", error) from None
    if inspect.iscoroutine(made):
        made.close()
        raise ConfigurationError(
            f"{path} is an async function", hint="make the gateway in a plain one: nothing is awaited in making it"
        )
    return made


def _failed(what: str, error: BaseException) -> ConfigurationError:
    """With the last line of the merchant's own code, and no local variable."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    frames = [frame for frame in own if frame.filename != __file__]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({error.filename}, line {error.lineno})"
    text = str(error).strip().splitlines()
    told = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    return ConfigurationError(f"{what}: {told}{place}", hint="it has to be importable before a worker can use it")


def _kind(found: Any) -> str:
    return f"the class {found.__name__}" if inspect.isclass(found) else f"of type {type(found).__name__}"


_KINDS = (Gateway, AsyncGateway)
