"""What must be seen nowhere: the texts of an account that are secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.accounts import secrets_in
from gateway.config import account_settings
from gateway.testing.conformance.bench import ACCOUNT, Bench, plugins_of
from gateway.testing.conformance.scanning import texts_of
from gateway.testing.conformance.subject import Subject
from gateway.testing.conformance.unsaid import never_public

if TYPE_CHECKING:
    from gateway.contracts import Auth

__all__ = ["secret_texts", "secrets_known"]

_TABLES = ("auth", "callback")


def secret_texts(subject: Subject, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every text of the tables `auth` and `callback` with its path, but for `kind` and what the subject calls
    public. A part of the credentials that is secret stays one, whatever the subject calls it.
    """
    found = []
    public = subject.public - never_public(subject, settings) if subject.public else subject.public
    for table in _TABLES:
        for path, text in texts_of(settings.get(table, {}), table):
            if path not in public and not path.endswith(".kind") and len(text) >= 8:
                found.append((path, text))
    return found


def secrets_known(bench: Bench, auth: Auth) -> set[str]:
    """What the gateway hides from every report."""
    checked = account_settings(ACCOUNT, bench.settings, plugins_of(bench.subject.provider))
    return {secret.reveal() for secret in (*secrets_in(checked), *auth.secrets())}
