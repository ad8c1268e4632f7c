# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service says in which ways it is broken on purpose: ``faults.py`` of its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trivet.chaos.scenario import Act, Aim, Goal, Ground, Scenario, Where

SERVICES, DATA = "services", "data"
"""Groups of scenarios that the services have a share in."""
FROZEN_SECONDS = 20.0
"""Until then every verdict has seen it: before that, a healthy one says nothing."""
STOPPED_SECONDS = 20.0
NO_FAILURE = Goal(failed=0)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A program of a service, as systemd knows it: killed, frozen, stopped, disabled.

    :param name: as scenarios are called after it.
    :param units: patterns of its unit, of which the first that the node has is meant.
    :param goal: of a kill or a stop; a process that hangs has no goal beside the orders.
    :param whole: whether all processes of the unit are its own, and are frozen with it.
    :param limit: seconds that it may take until the verdict is healthy.
    :param optional: whether a lab may be without it.
    """

    name: str
    title: str
    units: str
    where: Where = Where.QUIET
    goal: Goal = field(default_factory=Goal)
    whole: bool = True
    limit: float = 120.0
    optional: bool = False


def _none() -> Iterator[Scenario]:
    yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The ways in which a service is broken.

    :param daemons: its units.
    :param processes: the same for what has no unit.
    :param damages: state of its own that contradicts itself.
    """

    daemons: tuple[Daemon, ...] = ()
    processes: Callable[[], Iterator[Scenario]] = _none
    damages: Callable[[], Iterator[Scenario]] = _none


def script(command: str) -> Act:
    """A shell script on the victim."""

    def act(ground: Ground, aim: Aim) -> None:
        ground.on(aim.victim, command)

    return act
