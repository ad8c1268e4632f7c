# SPDX-License-Identifier: GPL-3.0-or-later
"""``galera …``: this node's member of the Galera cluster, and its part in forming the primary component anew.

Who may bootstrap is decided in :mod:`trivet.services.database.election`; here is what a member says, and what it does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trivet.health.config import MARIADB_DIRECTORY, NodeConfig
from trivet.health.external import Deadline, NoAnswer
from trivet.node import clients as client_loops
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.database import clients, contract
from trivet.services.database import collect as database
from trivet.services.database.election import MemberReport, elect, formation, known
from trivet.services.database.facts import DatabaseFacts

SECONDS = 5.0
STOP_SECONDS = 900.0
"""As long as the unit itself may take."""
WAITING_SECONDS = 10.0
"""How long a server that waits for its cluster is given to end by itself."""
RECOVER_SECONDS = 600.0
"""InnoDB applies its log first."""
START_SECONDS = 900.0
REPLICATION_PORT = contract.REPLICATION_PORT.default
CONNECT_SECONDS = 1.0
POSITION_FILE = contract.POSITION_FILE.default
"""The position recovered last, and by what it is seen that no server has run since."""
SYSTEM_DATABASES = frozenset({"mysql", "sys", "performance_schema", "information_schema", "lost+found"})
_RECOVERED = re.compile(r"WSREP: Recovered position:\s*([0-9a-f-]{36}):(-?\d+)")
_NEW_CLUSTER = "_WSREP_NEW_CLUSTER"
POLL_SECONDS = 0.05
WATCH_POLL_SECONDS = 0.5
CLOSE_POLL_SECONDS = 0.15
"""More often InnoDB would answer with what it knew of its transactions before."""
STOP_POLL_SECONDS = 0.5


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``galera …`` to the agent's command line."""
    commands = subparsers.add_parser("galera", help="this node's MariaDB").add_subparsers(required=True)
    commands.add_parser("status", help="its facts").set_defaults(run=run_status)
    commands.add_parser("report", help="what an election needs of it; reads only").set_defaults(run=run_report)
    settle = commands.add_parser("settle", help="stop a server without a primary component, recover its position")
    settle.set_defaults(run=run_settle)
    bootstrap = commands.add_parser("bootstrap", help="form the primary component from this node's data")
    bootstrap.add_argument("--position", required=True, metavar="UUID:SEQNO", help="what was elected")
    bootstrap.set_defaults(run=run_bootstrap)
    election = commands.add_parser("elect", help="who may bootstrap, from the reports of all members")
    election.add_argument("reports", type=json.loads, metavar="JSON", help="object: report by node")
    election.set_defaults(run=run_elect)
    applied = commands.add_parser("applied", help="wait until a commit has been applied here")
    applied.add_argument("seqno", type=int)
    applied.add_argument("--wait", type=float, required=True, metavar="SECONDS", help="at most so long")
    applied.set_defaults(run=run_applied)
    watched = commands.add_parser("clients", help="who is connected by a proxy, and whom a hand-over would cut")
    watched.add_argument("--watch", type=float, default=0.0, metavar="SECONDS", help="let them end, at most so long")
    watched.set_defaults(run=run_clients)
    closing = commands.add_parser("close", help="close idle connections outside a transaction at the server")
    closing.add_argument("--up-to", type=int, required=True, metavar="NUMBER", help="of a connection; not later ones")
    closing.add_argument("--wait", type=float, required=True, metavar="SECONDS", help="until they are idle, at most")
    closing.set_defaults(run=run_close)


def run_status(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that the health verdict is made of."""
    return asdict(database.collect(NodeConfig.from_mapping(config), Deadline(SECONDS)))


def run_applied(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for a commit: the writer is held meanwhile, so the questions are put here and not over the network."""
    node = NodeConfig.from_mapping(config)
    end = time.monotonic() + args.wait
    while True:
        committed = database.collect(node, Deadline(SECONDS)).last_committed
        if (committed or 0) >= args.seqno or time.monotonic() >= end:
            return {"last_committed": committed, "applied": (committed or 0) >= args.seqno}
        time.sleep(POLL_SECONDS)


def run_clients(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Whoever stays connected, and who was never seen idle outside a transaction."""
    node = NodeConfig.from_mapping(config)
    try:
        return client_loops.answer(client_loops.watch(lambda: clients.look(node), args.watch, WATCH_POLL_SECONDS))
    except NoAnswer as problem:
        raise AgentError(str(problem)) from problem


def run_close(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Close the connections up to one, each as soon as it is idle outside a transaction."""
    node = NodeConfig.from_mapping(config)
    try:
        return client_loops.close(lambda: clients.look(node), clients.end, args.up_to, args.wait, CLOSE_POLL_SECONDS)
    except NoAnswer as problem:
        raise AgentError(str(problem)) from problem


def run_report(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """This member's report."""
    return report(NodeConfig.from_mapping(config)).to_dict()


def run_settle(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Bring this member to rest, with a position that can be compared."""
    return settle(NodeConfig.from_mapping(config)).to_dict()


def run_bootstrap(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Form the primary component here."""
    return bootstrap(NodeConfig.from_mapping(config), args.position).to_dict()


def run_elect(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Election, and how a converge may start the cluster; nothing is asked or touched.

    Raises:
        AgentError: a report does not fit.
    """
    members = NodeConfig.from_mapping(config).members
    try:
        reports = {name: MemberReport.from_dict(item) for name, item in args.reports.items()}
    except (AttributeError, TypeError, ValueError) as problem:
        raise AgentError(f"a report does not fit: {problem}") from problem
    return {**asdict(elect(members, reports)), "formation": formation(members, reports)}


def report(config: NodeConfig) -> MemberReport:
    """What this member says of itself now; reads only."""
    return report_of(config.name, database.collect(config, Deadline(SECONDS)))


def report_of(node: str, facts: DatabaseFacts) -> MemberReport:
    """The report of facts that were just gathered on this node."""
    said = MemberReport(
        node=node,
        unit=facts.unit,
        process=server_runs(),
        answers=facts.error is None,
        component=facts.cluster_status if facts.wsrep else "",
        synced=facts.cluster_status == "Primary" and facts.ready and facts.state in ("Synced", "Donor/Desynced"),
        standalone=facts.error is None and not facts.wsrep,
        transfer=facts.transfer,
        safe_to_bootstrap=facts.safe_to_bootstrap,
        view_saved=_has_content(MARIADB_DIRECTORY / "gvwstate.dat"),
        databases=databases(MARIADB_DIRECTORY),
    )
    return _with_position(said, facts)


def _with_position(said: MemberReport, facts: DatabaseFacts) -> MemberReport:
    """The report with the position on the disk, which counts while no server runs."""
    saved = facts.saved_uuid if known(facts.saved_uuid) else ""
    if saved and facts.saved_seqno >= 0:
        return replace(said, uuid=saved, seqno=facts.saved_seqno, source="saved")
    recovered = recovered_position() if said.down else None
    if recovered is None:
        return replace(said, uuid=saved)
    uuid, seqno = recovered
    if saved and saved != uuid:
        return replace(said, uuid=saved, unreadable=f"grastate.dat tells of {saved}, InnoDB of {uuid}")
    if not known(uuid) or seqno < 0:
        return replace(said, uuid=saved, unreadable=f"InnoDB has no position ({uuid}:{seqno})")
    return replace(said, uuid=uuid, seqno=seqno, source="recovered")


def settle(config: NodeConfig) -> MemberReport:
    """Stop a server that is in no primary component, and recover the position of one that crashed.

    Raises:
        AgentError: the server is in a primary component, takes part in a state transfer, or is alive without answering;
            or it did not stop; or InnoDB did not say its position.
    """
    said = report(config)
    if said.primary:
        raise AgentError(f"{config.name} is in a primary component: not stopped")
    if said.transfer is not None:
        raise AgentError(f"{config.name}: a state transfer runs ({said.transfer}): left alone")
    if not said.down:
        if said.unit == "active" and not said.answers:
            raise AgentError(f"{config.name}: MariaDB is alive and does not answer: what it is part of is not known")
        stop(config, waits=not said.answers)
        said = report(config)
        if not said.down:
            raise AgentError(f"{config.name}: a server still runs after systemctl stop ({said.unit})")
    if said.position is None and said.unreadable is None:
        recover()
        said = report(config)
    return said


def stop(config: NodeConfig, *, waits: bool) -> None:
    """Stop the server; one that waits for its cluster is killed when it does not end.

    A server that looks for the members of its saved view does so for ever, and hears SIGTERM only afterwards (seen in
    10.11). It has served nobody since its start, and InnoDB's position survives a kill.

    Args:
        config: the node.
        waits: it answers nobody. One that serves, if only itself, may need long to write what it has in memory.

    Raises:
        AgentError: systemd does not do it.
    """
    run_command(["systemctl", "stop", "--no-block", database.UNIT], SECONDS)
    began = time.monotonic()
    while server_runs() and time.monotonic() - began < STOP_SECONDS:
        if waits and time.monotonic() - began > WAITING_SECONDS and still_waits(config):
            run_command(["systemctl", "kill", "--signal=KILL", database.UNIT], SECONDS)
            waits = False
        time.sleep(STOP_POLL_SECONDS)
    # The unit's own clean-up follows; without a job left this returns at once.
    run_command(["systemctl", "stop", database.UNIT], STOP_SECONDS)


def still_waits(config: NodeConfig) -> bool:
    """Whether the server listens for its cluster, and has found none: one on its way down has left, and is silent."""
    if not listens(config.address):
        return False
    said = report(config)
    return said.transfer is None and not said.answers


def recover() -> None:
    """Have InnoDB say the position of its last transaction, and remember it.

    Raises:
        AgentError: it does not.
    """
    words = ["mariadbd", "--user=mysql", "--wsrep-recover", "--disable-log-error"]
    done = run_command(words, RECOVER_SECONDS)
    found = _RECOVERED.findall(done.stderr + done.stdout)
    if not found:
        raise AgentError(
            f"{' '.join(words)} names no position: {(done.stderr.strip().splitlines() or ['nothing'])[-1]}"
        )
    uuid, seqno = found[-1]
    POSITION_FILE.parent.mkdir(parents=True, exist_ok=True)
    content = {"uuid": uuid, "seqno": int(seqno), "files": fingerprint(MARIADB_DIRECTORY)}
    POSITION_FILE.write_text(json.dumps(content), encoding="utf-8")


def recovered_position() -> tuple[str, int] | None:
    """UUID and seqno that were recovered from the data as it is now; None when nothing was, or a server ran since."""
    try:
        content = json.loads(POSITION_FILE.read_text(encoding="utf-8"))
        if content["files"] != fingerprint(MARIADB_DIRECTORY):
            return None
        return str(content["uuid"]), int(content["seqno"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fingerprint(directory: Path) -> list[list[int]]:
    """Times and sizes of the files that every server writes when it starts."""
    found = []
    for name in ("ibdata1", "ib_logfile0"):
        status = (directory / name).stat()
        found.append([status.st_ino, status.st_mtime_ns, status.st_size])
    return found


def bootstrap(config: NodeConfig, position: str) -> MemberReport:
    """Form the primary component from this node's data, if it still is what was elected.

    Raises:
        AgentError: the position is another one; a server runs here, or another member's listens for its cluster;
            or MariaDB did not start.
    """
    said = report(config)
    if not said.down:
        raise AgentError(f"{config.name}: a server runs: `trivet-agent galera settle` first")
    if said.position != position:
        raise AgentError(
            f"{config.name} is at {said.position or said.unreadable or 'no known position'}, not at {position}"
        )
    running = [member.name for member in config.members if member.name != config.name and listens(member.address)]
    if running:
        raise AgentError(f"MariaDB runs on {', '.join(running)}: `trivet-agent galera settle` there first")
    allow_bootstrap(MARIADB_DIRECTORY / "grastate.dat", said)
    try:
        run_command(["galera_new_cluster"], START_SECONDS)
    finally:
        # The script does it too, unless it is interrupted; then the next start of any kind would bootstrap.
        run_command(["systemctl", "unset-environment", _NEW_CLUSTER], SECONDS)
    return report(config)


def listens(address: str) -> bool:
    """Whether a member's server waits for its cluster, or is part of one."""
    try:
        with socket.create_connection((address, REPLICATION_PORT), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def allow_bootstrap(path: Path, said: MemberReport) -> None:
    """Have Galera accept the bootstrap of a member that did not leave last; the election has compared them all."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        owner = path.stat()
    except FileNotFoundError:
        text, owner = "", path.parent.stat()
    flag = "safe_to_bootstrap: 1"
    if re.search(rf"^uuid:\s*{re.escape(said.uuid)}$", text, re.MULTILINE):
        changed, count = re.subn(r"^safe_to_bootstrap:.*$", flag, text, flags=re.MULTILINE)
        text = changed if count else f"{text.rstrip()}\n{flag}\n"
    else:
        # Damaged. The position itself comes from InnoDB: the unit recovers it before every start.
        text = f"# GALERA saved state\nversion: 2.1\nuuid:    {said.uuid}\nseqno:   -1\n{flag}\n"
    staged = path.with_name(f".{path.name}.trivet")
    staged.write_text(text, encoding="utf-8")
    os.chown(staged, owner.st_uid, owner.st_gid)
    staged.chmod(0o660)
    staged.replace(path)


def server_runs(processes: Path = Path("/proc")) -> bool:
    """Whether a process of the server lives here, of whatever unit."""
    for entry in processes.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text(encoding="ascii", errors="replace").strip() in ("mariadbd", "mysqld"):
                    return True
    return False


def databases(directory: Path) -> tuple[str, ...]:
    """Databases beside the system's own: their folders."""
    try:
        folders = {entry.name for entry in os.scandir(directory) if entry.is_dir()}
    except FileNotFoundError:
        return ()
    return tuple(sorted(name for name in folders - SYSTEM_DATABASES if not name.startswith((".", "#"))))


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
