# SPDX-License-Identifier: GPL-3.0-or-later
"""A caching proxy of the package mirrors on the lab's bridge: nodes need no way out, and a second lab no download."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

from trivet.errors import GridError
from trivet.grid.machine import CACHE_DIRECTORY, RUN_DIRECTORY
from trivet.grid.shell import run

PORT = 3142
PACKAGES = ("nginx-light",)
"""nginx, since apt-cacher-ng fails on resolvers that answer no AAAA. Nothing of it listens by default."""


def _files(address: str) -> tuple[Path, Path]:
    """Configuration and pid file of the package cache that listens on ``address``."""
    return RUN_DIRECTORY / f"packages-{address}.conf", RUN_DIRECTORY / f"packages-{address}.pid"


def start(address: str) -> None:
    """Serve a caching proxy of the package mirrors on the lab's bridge, so that nodes need no way out.

    Args:
        address: This machine's address on the bridge.
    """
    stop(address)
    RUN_DIRECTORY.mkdir(parents=True, exist_ok=True)
    (CACHE_DIRECTORY / "packages").mkdir(parents=True, exist_ok=True)
    configuration, pid = _files(address)
    resolvers = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(encoding="utf-8"), re.MULTILINE)
    if not resolvers:
        raise GridError("/etc/resolv.conf names no nameserver, so the package cache cannot find the mirror")
    servers = " ".join(f"[{server}]" if ":" in server else server for server in resolvers)
    configuration.write_text(_configuration(address, pid, servers), encoding="utf-8")
    run(["nginx", "-c", str(configuration), "-p", str(RUN_DIRECTORY)], timeout=30)


def stop(address: str) -> None:
    """Stop the package cache of a lab, if it runs."""
    configuration, pid = _files(address)
    number = pid.read_text().strip() if pid.exists() else ""
    if number.isdigit():
        _end_nginx(int(number))
    # Only now: an nginx that is still ending would remove the pid file of its successor.
    pid.unlink(missing_ok=True)
    configuration.unlink(missing_ok=True)


def _end_nginx(number: int) -> None:
    """End a package cache: gracefully, else by force."""
    for sent in (signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL):
        if not _is_nginx(number):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, sent)
        deadline = time.monotonic() + 5
        while _is_nginx(number) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_nginx(number: int) -> bool:
    try:
        # The command line of a zombie is empty.
        return b"nginx" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False


def _configuration(address: str, pid: Path, resolvers: str) -> str:
    cache = CACHE_DIRECTORY / "packages"
    zone = "packages_" + address.replace(".", "_")
    upstream = (
        "proxy_pass http://$http_host$request_uri; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_set_header Host $http_host;'
        f" proxy_cache {zone}; proxy_cache_key $http_host$request_uri;"
        " proxy_cache_lock on; proxy_cache_lock_timeout 120s;"
        " proxy_ignore_headers Cache-Control Expires Vary Set-Cookie; proxy_cache_use_stale error timeout;"
    )
    return f"""\
worker_processes 1;
pid {pid};
error_log {RUN_DIRECTORY}/packages-{address}.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  resolver {resolvers} ipv6=off;
  proxy_cache_path {cache} levels=1:2 keys_zone={zone}:10m max_size=8g inactive=90d use_temp_path=off;
  server {{
    listen {address}:{PORT};
    location / {{ {upstream} proxy_cache_valid 200 90d; }}
    # Indexes change under the same name, packages never do.
    location ~ /dists/ {{ {upstream} proxy_cache_valid 200 30m; }}
  }}
}}
"""


def apt_configuration(address: str) -> str:
    """What a node's apt is told so that it asks the cache at an address."""
    return f'Acquire::http::Proxy "http://{address}:{PORT}";\n'
