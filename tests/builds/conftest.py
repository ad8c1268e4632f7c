# SPDX-License-Identifier: GPL-3.0-or-later
"""Real builds in containers of this machine: `pytest tests/builds`, as root on Debian. Some seconds each."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.build.applications import read
from trivet.build import BuildSettings, Release, Store, build, tree_of_directory

NAMESPACE = "trivet-repository"
# Of RFC 2544, for tests: no machine has them.
HOST_ADDRESS, REPOSITORY_ADDRESS = "198.18.77.1", "198.18.77.2"
PORT = 8080
ANSWERS_401_WITHOUT_THE_KEY = f"""
import base64, http.server, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        right = "Basic " + base64.b64encode(b"name:right-key").decode()
        if self.headers.get("Authorization") != right:
            self.send_response(401)
            self.end_headers()
        elif self.path != "/packages.json":
            self.send_response(404)
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{{"packages": []}}')
# HTTPServer would ask for the name of its address, which nobody answers here.
socketserver.TCPServer(("{REPOSITORY_ADDRESS}", {PORT}), Handler).serve_forever()
"""


@dataclass
class Site:
    """Where a test builds.

    Attributes:
        store: Its own.
        settings: Without network, which few builds here need.
        told: The lines of all builds.
    """

    store: Store
    settings: BuildSettings
    told: list[str] = field(default_factory=list)

    def build(self, directory: Path, settings: BuildSettings | None = None) -> Release:
        """Build the only application of a project."""
        return build(
            tree_of_directory(directory),
            read(directory),
            store=self.store,
            settings=settings or self.settings,
            output=self.told.append,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A store and a cache of its own."""
    settings = BuildSettings(project=tmp_path.name, network=False, cache=tmp_path / "cache")
    return Site(Store(tmp_path / "store"), settings)


@pytest.fixture
def builders(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """Names of the builders of this test that there are; none may be left at its end."""
    command = ["incus", "list", f"user.trivet.build={tmp_path.name}/shop", "--format", "csv", "--columns", "n"]

    def there() -> list[str]:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    yield there
    assert there() == []


@pytest.fixture(scope="session")
def repository() -> Iterator[str]:
    """Address of a repository of packages that wants name:right-key, in a network namespace of its own."""
    commands = [
        f"ip netns add {NAMESPACE}",
        f"ip link add tr-host type veth peer name tr-there netns {NAMESPACE}",
        f"ip addr add {HOST_ADDRESS}/30 dev tr-host",
        "ip link set tr-host up",
        f"ip -n {NAMESPACE} addr add {REPOSITORY_ADDRESS}/30 dev tr-there",
        f"ip -n {NAMESPACE} link set tr-there up",
        f"ip -n {NAMESPACE} route add default via {HOST_ADDRESS}",
    ]
    subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)
    for command in commands:
        subprocess.run(command.split(), check=True)
    server = subprocess.Popen(["ip", "netns", "exec", NAMESPACE, "python3", "-c", ANSWERS_401_WITHOUT_THE_KEY])
    try:
        time.sleep(0.5)
        yield f"http://{REPOSITORY_ADDRESS}:{PORT}"
    finally:
        server.terminate()
        server.wait()
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=True)
