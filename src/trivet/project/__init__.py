# SPDX-License-Identifier: GPL-3.0-or-later
"""A project: the four files of a repository that runs on Magento Commerce Cloud, read unchanged and checked.

Pure: nothing is asked and nothing is written. :func:`check` reads a folder and tells every error at once, each with
its file, line and key. The rules come from the platform's documentation, as each module says.
"""

from __future__ import annotations

from trivet.project.check import Project, check
from trivet.project.findings import Finding, Report

__all__ = ["Finding", "Project", "Report", "check"]
