# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instance nginx serves: the one that customers get, and a candidate that only this node can ask.

nginx reads every file of ``/etc/nginx/trivet/``. The server of an instance is the default one of its addresses, so it
takes the place of the one that the role writes. Both change by a reload, which drops no request: old workers end theirs
with the configuration that they began with.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from trivet.health.config import NodeConfig
from trivet.health.external import Deadline, NoAnswer, http_get
from trivet.health.http import exchange
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.application.contract import INSTANCES, SOCKETS
from trivet.services.application.instance import CURRENT, Instance, is_active
from trivet.services.web.contract import NGINX_PORT, PHP_VERSION

SERVERS = Path("/etc/nginx/trivet")
SERVING = SERVERS / "serving.conf"
CANDIDATE = SERVERS / "candidate.conf"
NGINX = "nginx.service"
TAKEN_SECONDS = 30.0
DRAINED_SECONDS = 90.0
"""Longer than nginx lets its old workers live (``nginx_worker_shutdown_timeout_seconds``)."""
PAGE_SECONDS = 60.0
POLL_SECONDS = 0.05
WHICH = "/trivet-instance"
LOCAL_ONLY = "if ($server_addr != 127.0.0.1) { return 404; }"


@dataclass(frozen=True)
class Warmed:
    """The answer to a page that was asked for; ``status`` is 0 when there was none."""

    path: str
    status: int
    seconds: float
    error: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain data, ready for JSON."""
        return asdict(self)


def serving_server(instance: Instance, config: NodeConfig) -> str:
    """The server that customers' requests come to."""
    port = config.terms[NGINX_PORT]
    return f"""server {{
    listen {config.address}:{port} default_server;
    listen 127.0.0.1:{port} default_server;
    server_name _;
    absolute_redirect off;
    location = {WHICH} {{ {LOCAL_ONLY} default_type text/plain; return 200 "{instance.name}"; }}
    location = /nginx-status {{ {LOCAL_ONLY} access_log off; stub_status; }}
{instance.nginx}
}}
"""


def candidate_server(instance: Instance) -> str:
    """The server of an instance that no customer gets."""
    return f"""server {{
    listen unix:{_candidate_socket(instance)};
    server_name _;
    absolute_redirect off;
    # A socket has no address, and applications refuse a visitor without one.
    set_real_ip_from unix:;
    real_ip_header X-Forwarded-For;
{instance.nginx}
}}
"""


def _candidate_socket(instance: Instance) -> Path:
    return SOCKETS.default / f"{instance.name}.candidate"


def offer(instance: Instance) -> None:
    """Have nginx serve an instance to this node alone.

    Raises:
        AgentError: nginx refuses its configuration, which is then as before.
    """
    _put(CANDIDATE, candidate_server(instance))
    if is_active(NGINX):
        _reload()


def withdraw() -> None:
    """Have no candidate. Harmless when there is none."""
    if CANDIDATE.exists():
        CANDIDATE.unlink()
        if is_active(NGINX):
            _reload()


def warm(instance: Instance) -> list[Warmed]:
    """Ask the candidate for its health page and every page that is to be warm.

    Raises:
        AgentError: nginx does not offer it.
    """
    place = _candidate_socket(instance)
    end = time.monotonic() + TAKEN_SECONDS
    while not _listens(place):
        if time.monotonic() > end:
            raise AgentError(f"nginx does not offer {instance.name}")
        time.sleep(POLL_SECONDS)
    headers = visitor_headers(instance)
    return [_ask(place, path, headers) for path in dict.fromkeys((*instance.warm_up, instance.health_page))]


def _listens(place: Path) -> bool:
    """Whether somebody takes connections: nginx makes the file of a socket a moment before it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(str(place))
        except OSError:
            return False
    return True


def visitor_headers(instance: Instance) -> dict[str, str]:
    """What a visitor of this node brings to a candidate: a proxy would say for whom it asks."""
    return {
        "Host": instance.domain,
        "User-Agent": "trivet-agent",
        "X-Forwarded-For": "127.0.0.1",
        "Connection": "close",
    }


def _ask(place: Path, path: str, headers: Mapping[str, str]) -> Warmed:
    began = time.monotonic()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PAGE_SECONDS)
            connection.connect(str(place))
            answer = exchange(connection, "GET", path, headers)
    except (OSError, ValueError, NoAnswer) as problem:
        return Warmed(path, 0, round(time.monotonic() - began, 3), str(problem) or type(problem).__name__)
    return Warmed(path, answer.status, round(time.monotonic() - began, 3))


def serve(instance: Instance, config: NodeConfig) -> float:
    """Have customers get an instance from this node: one reload; seconds until the old workers had ended.

    Raises:
        AgentError: nginx refuses its configuration, which is then as before, or does not take it.
    """
    began = time.monotonic()
    CANDIDATE.unlink(missing_ok=True)
    _put(SERVING, serving_server(instance, config))
    if is_active(NGINX):
        old = _workers()
        _reload()
        _wait_taken(instance, config)
        _wait_ended(old)
    link = INSTANCES.default / f".{CURRENT}"
    link.unlink(missing_ok=True)
    link.symlink_to(instance.name)
    link.replace(INSTANCES.default / CURRENT)
    # The pool of the inventory has nobody any more.
    pool = f"php{config.terms[PHP_VERSION]}-fpm.service"
    if is_active(pool):
        run_command(["systemctl", "stop", pool], DRAINED_SECONDS)
    return round(time.monotonic() - began, 3)


def serves(instance: Instance, config: NodeConfig) -> bool:
    """Whether nginx is configured for an instance on this node, as it is now."""
    with contextlib.suppress(OSError):
        return SERVING.read_text(encoding="utf-8") == serving_server(instance, config)
    return False


def _wait_taken(instance: Instance, config: NodeConfig) -> None:
    end = time.monotonic() + TAKEN_SECONDS
    while True:
        with contextlib.suppress(NoAnswer):
            answer = http_get("127.0.0.1", config.terms[NGINX_PORT], WHICH, Deadline(5.0))
            if answer.status == 200 and answer.body.decode().strip() == instance.name:
                return
        if time.monotonic() > end:
            raise AgentError(f"nginx did not take {instance.name} within {TAKEN_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _workers() -> set[int]:
    """Process ids of nginx's workers."""
    shown = run_command(["systemctl", "show", "--property=MainPID", "--value", NGINX], 30.0).stdout.strip()
    return _children(shown)


def _children(master: str) -> set[int]:
    words = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="utf-8").split()
    return {int(word) for word in words}


def _wait_ended(workers: Iterable[int]) -> None:
    """Wait for old workers: only then has the old instance no request left that could still come.

    Raises:
        AgentError: they do not end.
    """
    end = time.monotonic() + DRAINED_SECONDS
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        if time.monotonic() > end:
            raise AgentError(f"old workers of nginx still answer requests after {DRAINED_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _put(path: Path, text: str) -> None:
    """Write a file that nginx reads; what it refuses is taken back.

    Raises:
        AgentError: it refuses.
    """
    SERVERS.mkdir(exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    try:
        run_command(["nginx", "-t", "-q"], 30.0)
    except AgentError:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
        raise


def _reload() -> None:
    run_command(["systemctl", "reload", NGINX], 60.0)
