"""Models to stored JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.errors import InvalidRequest, StoreError
from gateway.models.base import what_is_wrong

__all__ = ["dump", "restore", "without_floats"]

M = TypeVar("M", bound=BaseModel)


def dump(model: BaseModel) -> dict[str, Any]:
    """The model as it is stored. Secrets are hidden by their types, and in `raw` by their names."""
    data: dict[str, Any] = without_floats(model.model_dump(mode="json"))
    return data


def without_floats(data: Any) -> Any:
    """A float that an adapter left in a raw answer becomes its text: it must not keep a result from being recorded."""
    if isinstance(data, float):
        return repr(data)
    if isinstance(data, Mapping):
        return {key: without_floats(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [without_floats(value) for value in data]
    return data


def restore(model: type[M], data: Mapping[str, Any], what: str) -> M:
    """The model that was stored. Raises StoreError when this version, or its plugins, cannot read it."""
    try:
        return model.model_validate(data)
    except (ValidationError, InvalidRequest) as error:
        reason = what_is_wrong(error) if isinstance(error, ValidationError) else error.message
        raise StoreError(
            f"{what} is recorded in a form that cannot be read here: {reason}",
            hint="load the plugins, and use the version, that recorded it",
        ) from None
