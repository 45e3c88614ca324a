"""Two who change one ring at the same time."""

from __future__ import annotations

import pytest

from gateway.errors import Conflict
from ring.ringed import Place, failures, new

NOWHERE = "http://127.0.0.1:1"


def test_somebody_in_another_process(colour: str, place: Place) -> None:
    with place.gateway(colour, NOWHERE) as gw, place.gateway("sync", NOWHERE) as other:
        token = other.core.database().enter_lane("ring shop", 0)
        with pytest.raises(Conflict, match="somebody else is changing the keys of shop, for longer than") as caught:
            gw.keys.add(new("key1"), account="shop", check=False, deadline=0.05)
        assert (caught.value.retryable, caught.value.account, caught.value.hint) == (True, "shop", "repeat the call")
        assert "ring shop" not in str(caught.value)
        assert (place.kept(), place.rows()) == ({}, {})
        assert failures(gw.keys.audit()) == [("add failed", "key1", {"error": "Conflict"})]
        other.core.database().leave_lane(token)
        gw.keys.add(new("key1"), account="shop", check=False, deadline=5)
        assert list(place.rows()) == ["key1"]
