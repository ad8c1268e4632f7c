# SPDX-License-Identifier: GPL-3.0-or-later
"""What a contract is: which requests the probe makes of a kind of application, and how each answer is judged.

`trivet.probe.contracts` has one module for each kind of application. Everything else in this room knows operations,
kinds of request and orders by the names that the contract gives them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from trivet.probe.errors import ProbeError
from trivet.probe.failures import RequestFailed
from trivet.probe.http import Endpoint, Response
from trivet.probe.orders import Ledger, ListedOrder
from trivet.probe.report import Described

Found = TypeVar("Found")
NoteOrder = Callable[[int, str], None]
"""Told number and key of an order that was acknowledged."""


def _nothing() -> None:
    """A failed read leaves nothing uncertain."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and how to judge its answer.

    `accept` raises RequestFailed for an answer that is wrong; `failed` notes what a request without a
    right answer may have done all the same.
    """

    kind: str
    method: str
    target: str
    accept: Callable[[Response], None]
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failed: Callable[[], None] = _nothing


class Session:
    """What one customer carries from request to request."""

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    @property
    def ready(self) -> bool:
        """Whether the journey's goal may be asked for."""
        return False

    def begin_anew(self) -> None:
        """Leave everything behind, as a new customer."""
        self.cookies = {}

    def take_cookies(self, response: Response) -> None:
        """Keep the cookies of an answer."""
        for cookie in response.cookies:
            name, separator, value = cookie.partition(";")[0].partition("=")
            if separator:
                self.cookies[name.strip()] = value.strip()


@dataclass(frozen=True, slots=True)
class Journey:
    """Two operations of the mix that belong together.

    Args:
        step: Takes a customer one step towards the goal.
        goal: What only a customer who is `ready` can do. Where nobody is, a step is taken, and a later slot of either
            operation makes up for it.
    """

    step: str
    goal: str


class Application(Protocol):
    """An application as one run found it."""

    ledger: Ledger

    @property
    def targets(self) -> int:
        """How many products or pages were found to ask for."""

    def new_session(self) -> Session:
        """A customer who has not been here yet."""

    def exchange(self, operation: str, session: Session, note_order: NoteOrder) -> Exchange:
        """The next request of a customer for an operation of the mix."""

    async def listed(self, endpoint: Endpoint) -> list[ListedOrder]:
        """The orders of this run that a node has.

        Raises:
            RequestFailed: The node could not be asked, or its answer is no list.
        """


@dataclass(frozen=True, slots=True)
class Finding:
    """What a contract needs to find its application.

    Args:
        endpoints: The base URLs; the first that shows the application is enough.
        timeout: Seconds for one of them.
        seed: Makes the order of requests repeatable.
    """

    endpoints: Sequence[Endpoint]
    timeout: float
    seed: int


@dataclass(frozen=True, slots=True)
class Contract:
    """One kind of application.

    Args:
        described: What reports say of it.
        weights: The default mix: the weight of each operation.
        find: Finds the application. Raises ProbeError when no URL shows it.
        journey: The operations that belong together, if there are any.
    """

    described: Described
    weights: Mapping[str, float]
    find: Callable[[Finding], Awaitable[Application]]
    journey: Journey | None = None

    @property
    def name(self) -> str:
        """What `--contract` takes."""
        return self.described.name


async def find_first(finding: Finding, find_at: Callable[[Endpoint], Awaitable[Found]], hint: str) -> Found:
    """What is found at the first URL that shows the application.

    Args:
        finding: The URLs, and how long each may take.
        find_at: Looks at one URL. Raises RequestFailed when the application is not there.
        hint: What the operator can do when no URL shows it.

    Raises:
        ProbeError: No URL shows it.
    """
    problems = []
    for endpoint in finding.endpoints:
        try:
            async with asyncio.timeout(finding.timeout):
                return await find_at(endpoint)
        except TimeoutError:
            problems.append(f"{endpoint.url}: no answer within {finding.timeout:g} s")
        except RequestFailed as error:
            problems.append(f"{endpoint.url}: {error}")
    raise ProbeError(f"no shop to probe: {'; '.join(problems)}. {hint}")
