# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging answers: what every contract expects of a status and of JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from trivet.probe.failures import FailureKind, RequestFailed
from trivet.probe.http import Response

Value = TypeVar("Value", dict[str, Any], list[Any], str, int)

_KINDS = {3: FailureKind.STATUS_3XX, 4: FailureKind.STATUS_4XX}


def check_ok(response: Response) -> Response:
    """The response itself.

    Raises:
        RequestFailed: Its status is not 2xx.
    """
    if 200 <= response.status < 300:
        return response
    kind = _KINDS.get(response.status // 100, FailureKind.STATUS_5XX)
    raise RequestFailed(kind, f"status {response.status}: {excerpt(response)}")


def json_of(response: Response, expected: type[Value]) -> Value:
    """The JSON value of a response.

    Raises:
        RequestFailed: Its status is not 2xx, or its body is no JSON of the expected type.
    """
    check_ok(response)
    try:
        value = json.loads(response.body)
    except ValueError:
        value = None
    if not isinstance(value, expected) or isinstance(value, bool):
        raise RequestFailed(FailureKind.BAD_BODY, f"not the JSON that was asked for: {excerpt(response)}")
    return value


def text_of(response: Response) -> str:
    """The text of a page.

    Raises:
        RequestFailed: Its status is not 2xx.
    """
    return check_ok(response).body.decode("utf-8", "replace")


def excerpt(response: Response) -> str:
    """The beginning of a body, for a message."""
    return repr(response.body[:120].decode("utf-8", "replace"))
