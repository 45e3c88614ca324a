"""Adapters that show other times than the provider states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from conformance.acme import AcmeAdapter
from conformance.broken.fault import fails
from gateway.exchange import Operation
from gateway.models import ProviderOrder

_STATED = "test_times_are_those_that_the_provider_states"


@fails(_STATED, "orders.get shows another created_at each time it is read")
class ShowsItsOwnClock(AcmeAdapter):
    """Shows the moment at which an order is read as that at which it was made."""

    def get_order(self, provider_id: str) -> Operation[ProviderOrder]:
        read = yield from super().get_order(provider_id)
        return read.model_copy(update={"created_at": datetime.now(UTC)})


@fails(_STATED, "orders.get: created_at is not what the provider states")
class ShowsItsOwnClockInMinutes(AcmeAdapter):
    """Shows the minute in which an order is read as that in which it was made."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        now = self.account.now().replace(minute=0, second=0, microsecond=0)
        return super().order(data).model_copy(update={"created_at": now})


@fails(_STATED, "orders.get: expires_at is not what the provider states")
class CountsTheTimeItself(AcmeAdapter):
    """Shows half an hour after its making as the end of an order, whatever the provider states."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        made = datetime.fromisoformat(data["created"])
        return super().order({**data, "expires": (made + timedelta(minutes=30)).isoformat()})


@fails(_STATED, "orders.create:coin shows no created_at, and the provider states it")
class DropsWhenItWasMade(AcmeAdapter):
    """Does not show when an order was made."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "created": None})


@fails(_STATED, "orders.create:coin shows no expires_at, and the provider states it")
class DropsWhenItEnds(AcmeAdapter):
    """Does not show until when an order can be paid."""

    def order(self, data: dict[str, Any]) -> ProviderOrder:
        return super().order({**data, "expires": None})
