# SPDX-License-Identifier: GPL-3.0-or-later
"""The caches that survive builds: a folder for each application of a project, which one build at a time writes.

Projects share none: what one project's hook writes, another's would install.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.build.locks import locked
from trivet.build.settings import BuildSettings


@contextmanager
def cache_of(settings: BuildSettings, application: str, waiting: Callable[[], None]) -> Iterator[Path]:
    """The folder of an application, for this build alone.

    Args:
        settings: Of the build.
        application: Its name.
        waiting: Is called once when another build has it.
    """
    folder = settings.cache / settings.project / application
    with locked(folder.with_suffix(".lock"), waiting):
        # A builder's root writes there as this machine's: nobody else gets in.
        settings.cache.chmod(0o700)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def clear_cache(cache: Path, project: str, application: str | None) -> tuple[str, ...]:
    """Empty the caches of a project; one that a build uses is waited for.

    Args:
        cache: Folder of all caches.
        project: Name of the project.
        application: One of its applications; every one when None.

    Returns:
        Names of the applications whose caches were emptied.
    """
    cleared = []
    for folder in sorted(path for path in (cache / project).glob(application or "*") if path.is_dir()):
        with locked(folder.with_suffix(".lock")):
            shutil.rmtree(folder)
        cleared.append(folder.name)
    return tuple(cleared)
