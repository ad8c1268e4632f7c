# SPDX-License-Identifier: GPL-3.0-or-later
"""Builders: throw-away containers, unprivileged, each with an id map of its own and no service in it.

A builder has a place of :data:`PLACES`, which is a lock that its process holds. An instance in a place whose lock is
free is left over from a build that was killed, and goes when the next one begins.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from trivet.build import network
from trivet.build.locks import locked, taken
from trivet.build.log import Lines
from trivet.build.recipe import USER_ID
from trivet.build.variables import AUTHORITIES, CACHE
from trivet.errors import BuildError
from trivet.grid import machine
from trivet.grid.image import Recipe, ensure_image
from trivet.grid.machine import POOL
from trivet.grid.shell import attempt, run

Progress = Callable[[str], None]

NAME = "trivet-build"
LABEL = "user.trivet.build"
RUN = Path("/run/trivet-build")
PLACES = 8
"""How many builds of this machine run at once; more wait."""
WAIT_SECONDS = 1.0
PACKAGES = ("ca-certificates", "git", "zstd", *network.PACKAGES)
"""Debian packages that a build needs on this machine beside those of a grid."""
PROCESSES = 4096
INSIDE = "/run/trivet"
"""Folder of a builder for what a build hands to it, outside of the application."""


class Builder:
    """A running builder.

    Args:
        name: Of the instance.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def execute(
        self,
        command: Iterable[str],
        *,
        out: Callable[[str], None],
        err: Callable[[str], None],
        seconds: float,
        user: int = USER_ID,
    ) -> int:
        """Run a command in /app and tell what it says while it says it.

        Args:
            command: Program and arguments.
            out: Takes each line of standard output.
            err: Takes each line of standard error.
            seconds: After which it is killed.
            user: As whom it runs.

        Returns:
            Its exit code.

        Raises:
            BuildError: It took too long.
        """
        with self._started(command, user, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            lines = {process.stdout.fileno(): Lines(out), process.stderr.fileno(): Lines(err)}
            if not _told(lines, time.monotonic() + seconds):
                raise BuildError(f"it did not end within {seconds:.0f} s, and was killed. Aborted build.")
            return process.wait()

    def ask(self, command: Iterable[str], *, user: int = USER_ID) -> str:
        """What a command answers that must succeed.

        Raises:
            GridError: It failed.
        """
        return run(self._command(command, user), own_session=True, timeout=300)

    def ask_script(self, script: str, given: str, *, user: int = USER_ID) -> subprocess.CompletedProcess[str]:
        """The result of a script for ``sh`` that reads something on its standard input."""
        command = self._command(["sh", "-c", script], user)
        return attempt(command, stdin=given, own_session=True, timeout=300)

    def write(self, path: str, text: str, *, mode: str = "0400", owner: int = USER_ID) -> None:
        """Write a file of the builder; the text is in no argument that others of this machine could read."""
        run(
            [
                *("incus", "file", "push", "-q", "-p", "--uid", str(owner), "--gid", str(owner), "--mode", mode),
                *("-", f"{self.name}{path}"),
            ],
            stdin=text,
            own_session=True,
        )

    def bring(self, folder: Path, files: Iterable[str]) -> None:
        """Copy files of this machine to /app, whose user owns them.

        Raises:
            BuildError: The builder did not take them.
        """
        command = ["tar", "--extract", "--file=-", "--directory=/app"]
        with self._started(command, USER_ID, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None and process.stderr is not None
            with suppress(BrokenPipeError), tarfile.open(fileobj=process.stdin, mode="w|") as archive:
                for name in files:
                    archive.add(folder / name, name, recursive=False)
            with suppress(BrokenPipeError):
                process.stdin.close()
            said = process.stderr.read().decode(errors="replace").strip()
            if process.wait() != 0:
                raise BuildError(f"the files could not be copied into the builder: {said}")

    def end_processes(self) -> None:
        """End all that still runs for the build's user."""
        attempt(self._command(["pkill", "-KILL", "-u", str(USER_ID)], 0), own_session=True)

    @contextmanager
    def handed_over(self) -> Iterator[IO[bytes]]:
        """A tar file of /app, without what a release never has.

        Raises:
            BuildError: It could not be read to its end.
        """
        command = [
            *("tar", "--create", "--file=-", "--directory=/", "--sort=name", "--format=gnu", "--numeric-owner"),
            *("--hard-dereference", "--anchored", "--exclude=app/.magento", "--exclude=app/.platform"),
            *("--no-anchored", "--exclude=.git", "app"),
        ]
        with self._started(command, 0, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            yield process.stdout
            # Beyond the end of the archive tar pads its last record.
            while process.stdout.read(65536):
                pass
            if process.wait() != 0:
                raise BuildError(f"/app could not be read in the builder: tar ended with {process.returncode}")

    def _command(self, command: Iterable[str], user: int) -> list[str]:
        identity = ["--user", str(user), "--group", str(user), "--cwd", "/app"]
        return ["incus", "exec", "--force-noninteractive", *identity, self.name, "--", *command]

    @contextmanager
    def _started(
        self, command: Iterable[str], user: int, *, stdin: int = subprocess.DEVNULL, stderr: int
    ) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            self._command(command, user),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            # Ctrl-C reaches Trivet alone, which removes the builder.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()


def _told(lines: Mapping[int, Lines], deadline: float) -> bool:
    """Tell all that comes; False when it had not ended at the deadline."""
    with selectors.DefaultSelector() as selector:
        for descriptor in lines:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _events in selector.select(left):
                chunk = os.read(key.fd, 65536)
                if chunk:
                    lines[key.fd].feed(chunk)
                else:
                    lines[key.fd].close()
                    selector.unregister(key.fd)
    return True


@contextmanager
def builder(
    recipe: Recipe, *, label: str, cache: Path, with_network: bool, memory_mib: int, progress: Progress
) -> Iterator[Builder]:
    """A builder of its own, removed afterwards whatever happens.

    Args:
        recipe: Of its image.
        label: Says whose build it is.
        cache: Folder of this machine that it sees at /cache.
        with_network: Whether it reaches what this machine reaches.
        memory_mib: What it may use.
        progress: Takes a line of progress.

    Raises:
        GridError: This machine cannot make containers.
    """
    with locked(RUN / "machine.lock", lambda: progress("waiting for another build that prepares this machine")):
        machine.prepare(progress, PACKAGES)
        alias = ensure_image(progress, recipe)
        _remove_left_over()
        if with_network:
            network.ensure_network()
    with _place(progress) as place:
        name = f"{NAME}-{place}"
        try:
            _make(name, label, alias, cache, memory_mib)
            if with_network:
                network.connect(name, place)
            run(["incus", "start", name], own_session=True)
            run(["incus", "exec", name, "--", "ip", "link", "set", "lo", "up"], own_session=True)
            if with_network:
                network.bring_up(name, place)
                # It trusts whom this machine trusts: a company's own authority, too.
                run(["incus", "file", "push", "-q", AUTHORITIES, f"{name}{AUTHORITIES}"], own_session=True)
            yield Builder(name)
        finally:
            _remove(name)


def _make(name: str, label: str, image: str, cache: Path, memory_mib: int) -> None:
    run(
        [
            *("incus", "init", image, name, "--storage", POOL, "--no-profiles"),
            *("--config", "security.privileged=false"),
            *("--config", "security.idmap.isolated=true"),
            *("--config", "boot.autostart=false"),
            *("--config", f"limits.memory={memory_mib}MiB"),
            *("--config", f"limits.processes={PROCESSES}"),
            *("--config", f"{LABEL}={label}"),
            # No service, not even a system manager: what a build starts is all that runs.
            *("--config", "raw.lxc=lxc.init.cmd = /usr/bin/tini -- /usr/bin/sleep infinity"),
        ],
        timeout=300,
        own_session=True,
    )
    os.chown(cache, USER_ID, USER_ID)
    device = [f"source={cache}", f"path={CACHE}", "shift=true"]
    run(["incus", "config", "device", "add", name, "cache", "disk", *device], own_session=True)


@contextmanager
def _place(progress: Progress) -> Iterator[int]:
    """A number that no other build has; waits while all are taken."""
    told = False
    while True:
        for place in range(PLACES):
            descriptor = taken(_lock(place))
            if descriptor is None:
                continue
            try:
                _remove(f"{NAME}-{place}")
                yield place
            finally:
                os.close(descriptor)
            return
        if not told:
            progress(f"waiting: {PLACES} builds are running")
            told = True
        time.sleep(WAIT_SECONDS)


def _remove_left_over() -> None:
    listed = run(["incus", "list", f"^{NAME}-", "--format", "csv", "--columns", "n"]).split()
    for place in range(PLACES):
        if f"{NAME}-{place}" not in listed:
            continue
        descriptor = taken(_lock(place))
        if descriptor is not None:
            try:
                _remove(f"{NAME}-{place}")
            finally:
                os.close(descriptor)


def _lock(place: int) -> Path:
    return RUN / f"{place}.lock"


def _remove(name: str) -> None:
    if attempt(["incus", "info", name], own_session=True).returncode == 0:
        run(["incus", "delete", "--force", name], own_session=True)
