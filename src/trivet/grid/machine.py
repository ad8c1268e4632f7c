# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepares this machine for a grid: packages, the Incus daemon with or without systemd, the storage pool."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trivet.errors import GridError
from trivet.grid.shell import attempt, run

Progress = Callable[[str], None]

GRID_PACKAGES = ("btrfs-progs", "iproute2", "mmdebstrap", "openssh-client", "debian-archive-keyring")
# Incus only recommends dnsmasq, but makes no bridge without it.
INCUS_PACKAGES = ("incus-base", "incus-client", "lxcfs", "dnsmasq-base")
CACHE_DIRECTORY = Path("/var/cache/trivet")
RUN_DIRECTORY = Path("/run/trivet-lab")
POOL = "trivet"
POOL_SIZE = "60GiB"
INCUS_DAEMON = Path("/usr/libexec/incus/incusd")
LXCFS_MOUNT = Path("/var/lib/lxcfs")
BACKPORTS_LIST = Path("/etc/apt/sources.list.d/trivet-backports.sources")
POOL_FOLDER = Path("/var/lib/trivet/pool")
CGROUPS = Path("/sys/fs/cgroup")
WAIT_SECONDS = 90
LXCFS_SECONDS = 10


def under_systemd() -> bool:
    """Whether systemd is PID 1 (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def debian_release() -> str:
    """Code name of this machine's Debian.

    :raises GridError: on anything other than Debian 12 and 13.
    """
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    match = re.search(r"^VERSION_CODENAME=(\w+)", text, re.MULTILINE)
    release = match.group(1) if match else "unknown"
    if release not in ("bookworm", "trixie"):
        raise GridError(f"system containers are made on Debian 12 and 13; this machine says {release!r}")
    return release


def debian_mirror() -> tuple[str, str]:
    """Mirror and security mirror of this machine's own apt sources."""
    text = ""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.is_file() and path != BACKPORTS_LIST:
            text += path.read_text(encoding="utf-8", errors="replace") + "\n"
    addresses = re.findall(r"^\s*(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(https?://\S+)", text, re.MULTILINE)
    security = next((a for a in addresses if a.rstrip("/").endswith("debian-security")), None)
    main = next((a for a in addresses if a.rstrip("/").endswith("/debian")), None)
    if main is None:
        raise GridError(
            "no Debian mirror was found in this machine's apt sources (/etc/apt/sources.list, sources.list.d)"
        )
    return main.rstrip("/"), (security or main.rstrip("/") + "-security").rstrip("/")


def prepare(progress: Progress, more_packages: Sequence[str] = ()) -> None:
    """Install, start and configure all that the grids of this machine share. Harmless when it is all there.

    Args:
        progress: Takes a line of progress.
        more_packages: Debian packages beside those of every grid.

    Raises:
        GridError: When a step fails, or this is not root's process.
    """
    if os.geteuid() != 0:
        raise GridError("containers and networks are made by root alone", "sudo trivet lab up")
    install_packages(progress, more_packages)
    start_daemon(progress)
    set_kernel_limits()
    ensure_pool(progress)


def _installed(package: str) -> bool:
    result = attempt(["dpkg-query", "-W", "-f", "${db:Status-Status}", package])
    return result.returncode == 0 and result.stdout == "installed"


def install_packages(progress: Progress, more_packages: Sequence[str] = ()) -> None:
    """Install what is missing of the packages; Incus comes from backports on Debian 12."""
    missing = [package for package in (*GRID_PACKAGES, *more_packages) if not _installed(package)]
    missing_incus = [package for package in INCUS_PACKAGES if not _installed(package)]
    if not missing and not missing_incus:
        return
    progress("installing " + ", ".join([*missing_incus, *missing]))
    backports = debian_release() == "bookworm"
    if backports and missing_incus:
        _add_backports()
    apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], timeout=300, environment=apt)
    base = ["apt-get", "install", "-y", "-q", "--no-install-recommends"]
    if missing:
        with_services_off(lambda: run([*base, *missing], timeout=600, environment=apt))
    if missing_incus:
        suite = ["-t", "bookworm-backports"] if backports else []
        run([*base, *suite, *missing_incus], timeout=600, environment=apt)


def with_services_off(action: Callable[[], object]) -> None:
    """Run an installation during which no package may start a daemon (nginx would take port 80 of this machine)."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        action()
        return
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    try:
        action()
    finally:
        policy.unlink()


def _add_backports() -> None:
    mirror, _security = debian_mirror()
    BACKPORTS_LIST.write_text(
        f"Types: deb\nURIs: {mirror}\nSuites: bookworm-backports\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        encoding="utf-8",
    )


def daemon_answers(timeout: int = 5) -> bool:
    """Whether the Incus daemon answers."""
    return attempt(["incus", "admin", "waitready", "--timeout", str(timeout)], timeout=timeout + 10).returncode == 0


def start_daemon(progress: Progress) -> None:
    """Start lxcfs and Incus and wait until the daemon answers.

    :raises GridError: when it does not answer in time; names its log.
    """
    _start_lxcfs()
    _mount_controllers()
    if daemon_answers(timeout=2):
        return
    progress("starting the Incus daemon")
    if under_systemd():
        run(["systemctl", "start", "incus.socket", "incus.service"], timeout=WAIT_SECONDS)
    else:
        _start_without_systemd()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if daemon_answers():
            return
    raise GridError("the Incus daemon does not answer", "tail /var/log/incus/incus.log /run/trivet-lab/incusd.log")


def _start_lxcfs() -> None:
    """Have lxcfs, without which a node sees the whole machine's memory and CPUs as its own.

    :raises GridError: when it does not serve its files. From version 6 on (Debian 13) it asks for the personality of
        processes, which a hardened kernel may refuse; containers would then fail at their start, and not say why.
    """
    if under_systemd():
        run(["systemctl", "start", "lxcfs.service"], timeout=WAIT_SECONDS)
    else:
        _start_lxcfs_without_systemd()
    deadline = time.monotonic() + LXCFS_SECONDS
    while problem := _lxcfs_problem():
        if time.monotonic() > deadline:
            log = "journalctl -u lxcfs -n 20" if under_systemd() else f"tail {RUN_DIRECTORY}/lxcfs.log"
            raise GridError(f"lxcfs does not serve what containers need: {problem}", log)
        time.sleep(0.1)


def _lxcfs_problem() -> str:
    """Why lxcfs does not serve; empty when it does."""
    # One that dies at its start leaves a mount that answers with an error.
    try:
        (LXCFS_MOUNT / "proc" / "meminfo").read_bytes()
    except OSError as error:
        return str(error)
    return ""


def _start_lxcfs_without_systemd() -> None:
    RUN_DIRECTORY.mkdir(parents=True, exist_ok=True)
    _unmount_stale_lxcfs()
    LXCFS_MOUNT.mkdir(parents=True, exist_ok=True)
    if not LXCFS_MOUNT.is_mount():
        _detach(["lxcfs", str(LXCFS_MOUNT)], "lxcfs.log")


def _mount_controllers() -> None:
    """Have the controllers ``cpu`` and ``cpuacct`` where LXC looks for them.

    In a container whose host mounts them apart (cgroup version 1) systemd leaves an empty folder ``cpu,cpuacct`` and
    two links to it, and no container starts in there.
    """
    links = [CGROUPS / name for name in ("cpu", "cpuacct")]
    if not all(link.is_symlink() for link in links) or (CGROUPS / "cpu,cpuacct" / "cgroup.procs").exists():
        return
    run(["mount", "-o", "remount,rw", str(CGROUPS)])
    try:
        for link in links:
            link.unlink()
            link.mkdir()
            run(["mount", "-t", "cgroup", "-o", link.name, "cgroup", str(link)])
    finally:
        run(["mount", "-o", "remount,ro", str(CGROUPS)])


def _start_without_systemd() -> None:
    Path("/var/log/incus").mkdir(parents=True, exist_ok=True)
    _detach([str(INCUS_DAEMON), "--group", "incus-admin", "--logfile", "/var/log/incus/incus.log"], "incusd.log")


def _unmount_stale_lxcfs() -> None:
    # A killed lxcfs leaves a mount that answers "Transport endpoint is not connected".
    try:
        LXCFS_MOUNT.stat()
    except FileNotFoundError:
        return
    except OSError:
        run(["umount", "-l", str(LXCFS_MOUNT)])


def _detach(command: list[str], log: str) -> None:
    with (RUN_DIRECTORY / log).open("ab") as stream:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True, cwd="/"
        )


def set_kernel_limits() -> None:
    """Raise the limits that system containers share with this machine."""
    for key, least in (
        ("vm/max_map_count", 262144),
        ("fs/inotify/max_user_instances", 1024),
        ("fs/inotify/max_user_watches", 524288),
        ("net/core/somaxconn", 4096),
    ):
        path = Path("/proc/sys") / key
        if path.exists() and int(path.read_text()) < least:
            path.write_text(str(least))


def ensure_pool(progress: Progress) -> None:
    """Have the btrfs storage pool of the grids: its clones are instant."""
    if attempt(["incus", "storage", "show", POOL]).returncode == 0:
        return
    progress("making the storage pool")
    POOL_FOLDER.parent.mkdir(parents=True, exist_ok=True)
    kind = run(["stat", "--file-system", "--format", "%T", str(POOL_FOLDER.parent)]).strip()
    # On btrfs no file in a loop device is needed, and a container has none.
    source = f"source={POOL_FOLDER}" if kind == "btrfs" else f"size={POOL_SIZE}"
    run(["incus", "storage", "create", POOL, "btrfs", source], timeout=300)


def proxy_of_packages() -> dict[str, str]:
    """The environment variable that names the proxy of this machine's apt; empty when it has none.

    mmdebstrap does not read the configuration of this machine's apt.
    """
    words = run(["apt-config", "shell", "PROXY", "Acquire::http::Proxy"]).strip()
    address = words.removeprefix("PROXY=").strip("'")
    return {"http_proxy": address} if address and address != "DIRECT" else {}
