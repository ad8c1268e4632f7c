# SPDX-License-Identifier: GPL-3.0-or-later
"""What a push wants to move, and what it means here. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from trivet.errors import InputError
from trivet.push.settings import Project

BRANCH, TAG = "refs/heads/", "refs/tags/"
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")


@dataclass(frozen=True, slots=True)
class Ref:
    """A line of what Git gives to ``pre-receive`` (githooks(5)): zeros stand for what is not there."""

    old: str
    new: str
    name: str

    @property
    def deleted(self) -> bool:
        """Whether it goes."""
        return not self.new.strip("0")

    @property
    def created(self) -> bool:
        """Whether it was not there before."""
        return not self.old.strip("0")


@dataclass(frozen=True, slots=True)
class Push:
    """A branch on its way to an environment.

    :param old: the commit that it was at; empty for a new branch.
    :param new: the commit that is to go live.
    """

    branch: str
    environment: str
    old: str
    new: str


def refs_of(lines: Iterable[str]) -> tuple[Ref, ...]:
    """Read the lines of a hook.

    :raises InputError: one is none of Git's.
    """
    found = []
    for line in lines:
        parts = line.rstrip("\n").split(" ")
        if len(parts) != 3 or not (_ID.fullmatch(parts[0]) and _ID.fullmatch(parts[1]) and _NAME.fullmatch(parts[2])):
            raise InputError(f"{line.rstrip()!r} is no line of a hook of Git")
        found.append(Ref(*parts))
    return tuple(found)


def push_of(refs: Iterable[Ref], project: Project) -> Push | None:
    """The environment that a push is for; None when it moves tags alone.

    Git takes or refuses the refs of a push together, so that one of two environments could be live when the other fails
    and both branches stay: a push is for one.

    :raises InputError: a branch goes nowhere, or is to be deleted, or there are two.
    """
    pushes = [push for ref in refs if (push := _push(ref, project)) is not None]
    if len(pushes) > 1:
        names = " and ".join(push.branch for push in pushes)
        raise InputError(f"{names} go to environments of their own: push one after the other")
    return pushes[0] if pushes else None


def _push(ref: Ref, project: Project) -> Push | None:
    if ref.name.startswith(TAG):
        return None
    branch = ref.name.removeprefix(BRANCH)
    environment = project.branches.get(branch) if ref.name.startswith(BRANCH) else None
    if environment is not None and ref.deleted:
        raise InputError(f"{branch} is the branch of {environment}, which serves: it cannot be deleted")
    if environment is None and ref.deleted:
        return None
    if environment is None:
        raise InputError(f"{branch} goes to no environment; {mapping(project)}")
    return Push(branch, environment, "" if ref.created else ref.old, ref.new)


def mapping(project: Project) -> str:
    """Which branch goes where, in words."""
    return ", ".join(f"{branch} goes to {environment}" for branch, environment in project.branches.items())
