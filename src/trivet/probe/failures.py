# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a shop can fail its customer, and the exception that carries one of them."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """What went wrong, as the customer would have seen it."""

    CONNECT_REFUSED = "connect-refused"
    CONNECT_TIMEOUT = "connect-timeout"
    CONNECT_FAILED = "connect-failed"
    """No route, a TLS handshake that fails, no file descriptor: anything else while connecting."""
    TIMEOUT = "timeout"
    RESET = "reset"
    CLOSED_EARLY = "closed-early"
    STATUS_3XX = "status-3xx"
    """The shop's JSON answers never redirect; a redirect here means that something else answered."""
    STATUS_4XX = "status-4xx"
    STATUS_5XX = "status-5xx"
    BAD_BODY = "bad-body"
    SESSION_LOST = "session-lost"
    ORDER_LOST = "order-lost"
    ORDER_DUPLICATE = "order-duplicate"


class RequestFailed(Exception):
    """One request failed; never retried, always counted."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
