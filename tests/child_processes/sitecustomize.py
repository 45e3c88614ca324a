"""Python runs this first in every child process of the tests (conftest.py puts this folder on their path)."""

from __future__ import annotations

import loopback_only

loopback_only.install()
