# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a release of an application: once for a tree, in a throw-away unprivileged container.

A release is one archive with a manifest. Its name tells all that went into it: the tree, the settings of the build, the
runtime and the builder. So a tree that was built is not built again, and a build that fails changes nothing.
"""

from __future__ import annotations

from trivet.build.build import build, release_name
from trivet.build.cache import clear_cache
from trivet.build.settings import BuildSettings, PackageSource
from trivet.build.store import Release, Store
from trivet.build.tree import Tree, tree_of_commit, tree_of_directory
from trivet.errors import BuildError

__all__ = [
    "BuildError",
    "BuildSettings",
    "PackageSource",
    "Release",
    "Store",
    "Tree",
    "build",
    "clear_cache",
    "release_name",
    "tree_of_commit",
    "tree_of_directory",
]
