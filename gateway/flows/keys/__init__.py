"""The keys of an account's ring: what is kept of them, and what is done with them here and at the provider."""

from __future__ import annotations

from gateway.flows.keys.adding import add, issue, ready, rotate
from gateway.flows.keys.changing import activate, delete, delete_all, edit, retire, revoke
from gateway.flows.keys.reading import audit, get, guide, listed, reveal, verify

__all__ = [
    "activate",
    "add",
    "audit",
    "delete",
    "delete_all",
    "edit",
    "get",
    "guide",
    "issue",
    "listed",
    "ready",
    "retire",
    "reveal",
    "revoke",
    "rotate",
    "verify",
]
