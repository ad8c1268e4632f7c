# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python API: the verbs of the command line on a loaded environment.

>>> from trivet.api import Environment
>>> Environment.load("inventories/production").upscale("24")  # doctest: +SKIP
"""

from __future__ import annotations

from trivet.ansible import PlaybookEvent, load_environment
from trivet.api.agents import pause, resume
from trivet.api.builds import build_release, clear_build_cache, prepare_for_builds
from trivet.api.clean import clean, left_behind
from trivet.api.converge import converge
from trivet.api.environment import Environment
from trivet.api.events import events
from trivet.api.exclusive import run_exclusively
from trivet.api.measure import measured, reported
from trivet.api.recover import plan as plan_recovery
from trivet.api.recover import recover
from trivet.api.runs import run_details, runs
from trivet.build import BuildSettings, Release, Tree, tree_of_directory
from trivet.chaos import run_chaos
from trivet.project import Finding as ProjectFinding
from trivet.project import Project
from trivet.project import check as check_project
from trivet.report import trivet_version

__all__ = [
    "BuildSettings",
    "Environment",
    "PlaybookEvent",
    "Project",
    "ProjectFinding",
    "Release",
    "Tree",
    "build_release",
    "check_project",
    "clean",
    "clear_build_cache",
    "converge",
    "events",
    "left_behind",
    "load_environment",
    "measured",
    "pause",
    "plan_recovery",
    "prepare_for_builds",
    "recover",
    "reported",
    "resume",
    "run_chaos",
    "run_details",
    "run_exclusively",
    "runs",
    "tree_of_directory",
    "trivet_version",
]
