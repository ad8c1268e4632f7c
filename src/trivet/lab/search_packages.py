# SPDX-License-Identifier: GPL-3.0-or-later
"""The search engine's package for the lab, which cannot reach the vendor's repository: built from Maven Central."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from trivet.grid.machine import CACHE_DIRECTORY, with_services_off
from trivet.grid.shell import run
from trivet.paths import collection_root

# Program -> Debian package that brings it.
BUILD_TOOLS = {"mvn": "maven", "javac": "default-jdk-headless", "dpkg-scanpackages": "dpkg-dev"}
SEARCH_DIRECTORY = CACHE_DIRECTORY / "search"


def ensure_search_package(progress: Callable[[str], None], engine: str = "opensearch") -> Path:
    """Have the engine's package in the local repository directory; quick when it is there.

    Raises:
        GridError: When it cannot be built.
    """
    script = collection_root() / "packaging" / "search" / "build"
    missing = [package for tool, package in BUILD_TOOLS.items() if shutil.which(tool) is None]
    if missing:
        progress("installing " + ", ".join(missing))
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
        run(["apt-get", "update", "-q"], timeout=300, environment=environment)
        with_services_off(lambda: run(command, timeout=900, environment=environment))
    progress(f"building the package of {engine} from Maven Central, unless it is there")
    run([sys.executable, str(script), "--output", str(SEARCH_DIRECTORY), "--engine", engine], timeout=1500)
    return SEARCH_DIRECTORY
