# SPDX-License-Identifier: GPL-3.0-or-later
"""``release …``: brings releases to this node, has one serve, and runs their hooks."""

from __future__ import annotations

import argparse
import contextlib
import json
import pwd
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

from trivet.health.config import NodeConfig
from trivet.node.command import run_command
from trivet.node.errors import AgentError
from trivet.services.application import crons, hooks, instance, releases, web, workers
from trivet.services.application.contract import HOOKS
from trivet.services.application.instance import Instance
from trivet.services.application.releases import Store

START_SECONDS = 90.0
POLL_SECONDS = 0.2


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``release …`` to the agent's command line."""
    commands = subparsers.add_parser("release", help="the application's releases on this node").add_subparsers(
        required=True
    )
    commands.add_parser("list", help="releases and instances, and which one serves").set_defaults(run=run_list)
    receive = commands.add_parser("receive", help="take an archive from standard input onto the shared volume")
    receive.add_argument("release")
    receive.add_argument("--sha256", required=True)
    receive.set_defaults(run=run_receive)
    unpack = commands.add_parser("unpack", help="have the code of a release on this node")
    unpack.add_argument("release")
    unpack.add_argument("--sha256", required=True)
    unpack.set_defaults(run=run_unpack)
    mounts = commands.add_parser("mounts", help="make the folders of the shared mounts, from standard input")
    mounts.set_defaults(run=run_mounts)
    prepare = commands.add_parser("prepare", help="start an instance, described on standard input, beside the other")
    prepare.set_defaults(run=run_prepare)
    restore = commands.add_parser("restore", help="start an instance that this node has, beside the other")
    restore.add_argument("instance")
    restore.set_defaults(run=run_restore)
    warm = commands.add_parser("warm", help="have a prepared instance read its settings anew, and ask it for pages")
    warm.add_argument("instance")
    warm.set_defaults(run=run_warm)
    hook = commands.add_parser("hook", help="run a hook; what it says goes to standard error")
    hook.add_argument("instance")
    hook.add_argument("hook", choices=HOOKS)
    hook.add_argument("--timeout", type=float, required=True, metavar="SECONDS")
    hook.set_defaults(run=run_hook)
    run = commands.add_parser("run", help="run a command as the instance does; what it says goes to standard error")
    run.add_argument("instance", help="its name, or `current`")
    run.add_argument("words", nargs="+")
    run.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS")
    run.add_argument("--built", action="append", default=[], metavar="FILE", help="seen as the build kept it in init/")
    run.set_defaults(run=run_command_line)
    record = commands.add_parser("record", help="have nodes that were away take this instance before they serve")
    record.add_argument("instance")
    record.set_defaults(run=run_record)
    serve = commands.add_parser("serve", help="have customers get an instance from this node")
    serve.add_argument("instance")
    serve.set_defaults(run=run_serve)
    retire = commands.add_parser("retire", help="end all other instances, and remove what is old")
    retire.add_argument("instance")
    retire.set_defaults(run=run_retire)
    discard = commands.add_parser("discard", help="end and remove an instance that does not serve")
    discard.add_argument("instance")
    discard.set_defaults(run=run_discard)
    sync = commands.add_parser("sync", help="have this node serve the environment's instance")
    sync.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="at most so long for the volume")
    sync.set_defaults(run=run_sync)
    rest = commands.add_parser("rest", help="end the crons and workers of the instance that serves")
    rest.set_defaults(run=run_rest)
    commands.add_parser("work", help="have its workers run").set_defaults(run=run_work)
    commands.add_parser("reload", help="have the instance that serves read its settings anew").set_defaults(
        run=run_reload
    )
    commands.add_parser("stop", help="end every instance of this node").set_defaults(run=run_stop)


def run_list(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """What this node has."""
    said: dict[str, Any] = {
        "releases": releases.present(),
        "instances": {name: instance.is_active(instance.load(name).unit) for name in instance.known()},
        "current": instance.current(),
    }
    try:
        return {**said, **releases.facts_of_store(Store(NodeConfig.from_mapping(config)))}
    except AgentError as problem:
        return {**said, "recorded": None, "error": str(problem)}


def run_receive(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Take an archive."""
    changed = Store(NodeConfig.from_mapping(config)).receive(args.release, args.sha256, sys.stdin.buffer)
    return {"release": args.release, "changed": changed}


def run_unpack(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Unpack a release."""
    changed = releases.unpack(Store(NodeConfig.from_mapping(config)), args.release, args.sha256)
    return {"release": args.release, "changed": changed}


def run_mounts(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Make what an instance needs on the shared volume."""
    Store(NodeConfig.from_mapping(config)).ready()
    found = Instance.from_dict(json.load(sys.stdin))
    return {"made": instance.make_mounts(found, _account(found), shared=True)}


def run_prepare(_args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Start an instance that no customer gets, and ask it for pages."""
    found = Instance.from_dict(json.load(sys.stdin))
    _start(found)
    web.offer(found)
    return {"instance": found.name, "warmed": [page.to_dict() for page in web.warm(found)]}


def run_restore(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Start an instance again that served before. A node that is newer than it takes it from the shared volume."""
    store = Store(NodeConfig.from_mapping(config))
    found = store.described(args.instance)
    releases.unpack(store, found.release, found.archive_sha256)
    _start(found)
    web.offer(found)
    return {"instance": found.name, "warmed": [page.to_dict() for page in web.warm(found)]}


def _start(found: Instance) -> None:
    """Have an instance run on this node.

    Raises:
        AgentError: its release is not here, or its unit does not start.
    """
    if not found.code.is_dir():
        raise AgentError(f"this node does not have the release {found.release}")
    releases.make_mount_points(found)
    account = _account(found)
    instance.make_mounts(found, account, shared=False)
    instance.write(found, account[1])
    with contextlib.suppress(AgentError):
        run_command(["systemctl", "reset-failed", found.unit], 30.0)
    try:
        run_command(["systemctl", "start", found.unit], START_SECONDS)
    except AgentError as problem:
        raise AgentError(f"{found.unit} does not start: {_last_words(found.unit)}") from problem


def _last_words(unit: str) -> str:
    """What a unit's own processes said last."""
    words = ["journalctl", f"_SYSTEMD_UNIT={unit}", "--lines=3", "--output=cat", "--no-pager"]
    said = run_command(words, 30.0).stdout.splitlines()
    return "; ".join(line.strip() for line in said if line.strip()) or f"journalctl -u {unit}"


def _account(found: Instance) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(found.user)
    except KeyError as problem:
        raise AgentError(f"this node has no account {found.user}") from problem
    return entry.pw_uid, entry.pw_gid


def run_warm(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """What a deploy hook wrote (env.php) is in no cache of PHP afterwards."""
    found = instance.load(args.instance)
    run_command(["systemctl", "reload", found.unit], START_SECONDS)
    return {"instance": found.name, "warmed": [page.to_dict() for page in web.warm(found)]}


def run_hook(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Run a hook."""
    found = instance.load(args.instance)
    began = time.monotonic()
    hooks.run_hook(found, args.hook, args.timeout)
    return {"hook": args.hook, "ran": args.hook in found.hooks, "seconds": round(time.monotonic() - began, 2)}


def run_command_line(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command; how it ended is part of the answer."""
    name = args.instance if args.instance != instance.CURRENT else instance.current()
    if name is None:
        raise AgentError("no release serves on this node")
    found = instance.load(name)
    unit = f"trivet-run-{time.time_ns()}.service"
    words = hooks.transient(found, unit, args.timeout, *(instance.built(found, path) for path in args.built))
    code, last = hooks.shown([*words, hooks.SHELL, "-c", shlex.join(args.words)], args.timeout)
    return {"instance": name, "code": code, "last": last}


def run_record(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Record the instance of the environment."""
    Store(NodeConfig.from_mapping(config)).record(instance.load(args.instance))
    return {"recorded": args.instance}


def run_serve(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Have customers get it."""
    found = instance.load(args.instance)
    if not instance.is_active(found.unit):
        raise AgentError(f"{found.unit} does not run")
    return {"instance": found.name, "seconds": web.serve(found, NodeConfig.from_mapping(config))}


def run_retire(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """End what does not serve any more. The last releases stay, for the way back."""
    if instance.current() != args.instance:
        raise AgentError(f"{args.instance} does not serve on this node, but {instance.current()}")
    ended = [name for name in instance.known() if name != args.instance]
    for name in ended:
        workers.stop(instance.load(name))
        instance.stop(name)
    kept = {instance.load(args.instance).release}
    gone = releases.prune(kept)
    for name in ended:
        if instance.load(name).release in gone:
            instance.remove(name)
    Store(NodeConfig.from_mapping(config)).prune()
    return {"ended": ended, "removed": gone}


def run_discard(args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Take a candidate back."""
    web.withdraw()
    if args.instance in instance.known():
        hooks.stop_hooks(instance.load(args.instance))
        instance.remove(args.instance)
    return {"discarded": args.instance}


def run_sync(args: argparse.Namespace, config: Mapping[str, Any]) -> dict[str, Any]:
    """A node that was away, or that is new, gets the release of the environment before it serves."""
    node = NodeConfig.from_mapping(config)
    store = Store(node)
    end = time.monotonic() + args.wait
    while True:
        try:
            wanted = store.recorded()
            break
        except AgentError:
            if time.monotonic() > end:
                raise
            time.sleep(POLL_SECONDS)
    if wanted is None:
        return {"deployed": False, "changed": False}
    changed = releases.unpack(store, wanted.release, wanted.archive_sha256)
    changed |= not instance.is_active(wanted.unit)
    if changed or wanted.name not in instance.known():
        _start(wanted)
    if instance.current() != wanted.name or not web.serves(wanted, node):
        web.serve(wanted, node)
        changed = True
    changed |= bool(workers.start(wanted))
    return {"deployed": True, "changed": changed, "instance": wanted.name}


def run_rest(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """End what works beside requests, within its limits."""
    ended = crons.stop_all()
    name = instance.current()
    return {"crons": ended, "workers": workers.stop(instance.load(name)) if name else []}


def run_work(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Have the workers of the instance that serves run."""
    name = instance.current()
    return {"workers": workers.start(instance.load(name)) if name else []}


def run_reload(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """Have PHP-FPM read its settings anew. Nothing where no instance serves."""
    name = instance.current()
    if name is None or not instance.is_active(unit := instance.load(name).unit):
        return {"reloaded": None}
    run_command(["systemctl", "reload", unit], START_SECONDS)
    return {"reloaded": name}


def run_stop(_args: argparse.Namespace, _config: Mapping[str, Any]) -> dict[str, Any]:
    """End every instance, when its last request has ended."""
    found = [instance.load(name) for name in instance.known()]
    ended = [one for one in found if instance.is_active(one.unit)]
    # What may work for minutes is told first.
    rested = [worker for one in found for worker in workers.stop(one)]
    for one in ended:
        instance.stop(one.name)
    return {"ended": [one.name for one in ended], "workers": rested, "changed": bool(ended or rested)}
