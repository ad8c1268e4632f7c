# SPDX-License-Identifier: GPL-3.0-or-later
"""How GlusterFS is broken, and files whose copies contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from trivet.chaos.faults import DATA, FROZEN_SECONDS, SERVICES, STOPPED_SECONDS, Daemon, Faults
from trivet.chaos.scenario import Act, Aim, Ground, Scenario, Where, possible
from trivet.services.files.collect import RUN_DIRECTORY
from trivet.services.files.contract import BRICK, MOUNT, VOLUME

SPLIT_FILE = "var/trivet-chaos-split-brain"
SPLIT_SECONDS = 30.0

# On each brick another content and the claim that the two other copies are behind: no copy is innocent, no two agree.
SPLIT = """\
import os, struct, sys
volume, brick, name, number = *sys.argv[1:4], int(sys.argv[4])
path = os.path.join(brick, name)
with open(path, "r+b") as file:
    file.truncate(0)
    file.write(b"copy %d\\n" % number * (number + 1))
for other in {0, 1, 2} - {number}:
    os.setxattr(path, f"trusted.afr.{volume}-client-{other}", struct.pack(">3I", 1, 0, 0))
gfid = os.getxattr(path, "trusted.gfid").hex()
parts = gfid[:8], gfid[8:12], gfid[12:16], gfid[16:20], gfid[20:]
index = os.path.join(brick, ".glusterfs/indices/xattrop")
open(os.path.join(index, "-".join(parts)), "a").close()
"""


def damages() -> Iterator[Scenario]:
    """A file in split-brain."""
    yield Scenario(
        "files-split-brain",
        DATA,
        "a file with another content on every brick, each of which blames the others",
        Where.ALL,
        _split,
        limit=SPLIT_SECONDS,
        mend=_choose,
        human=True,
    )


def _split(ground: Ground, aim: Aim) -> None:
    ground.on(aim.victim, f"echo same >{ground.terms[MOUNT]}/{SPLIT_FILE}")
    for number, node in enumerate(aim.victims):
        words = f"{ground.terms[VOLUME]} {ground.terms[BRICK]} {SPLIT_FILE} {number}"
        ground.on(node, f"python3 - {words} <<'END'\n{SPLIT}END")


def _choose(ground: Ground, aim: Aim) -> None:
    volume = ground.terms[VOLUME]
    ground.on(
        aim.victim,
        f"brick=$(gluster volume info {volume} | sed -n 's/^Brick1: //p')\n"
        f'gluster volume heal {volume} split-brain source-brick "$brick" /{SPLIT_FILE}\n'
        f"rm -f {ground.terms[MOUNT]}/{SPLIT_FILE}",
    )


def processes() -> Iterator[Scenario]:
    """A brick has no unit, and so has acts of its own."""

    def scenario(kind: str, words: str, inject: Act, lasts: float = 0.0) -> Scenario:
        sentence = f"{words} the brick of {Where.QUIET}"
        return Scenario(
            name=f"{kind}-brick", group=SERVICES, sentence=sentence, where=Where.QUIET, inject=inject,
            lasts=lasts, mend=_brick_starts, obstacle=_no_unit if kind == "disable" else possible,
        )  # fmt: skip

    yield scenario("kill", "kill -9 of", _brick("KILL"))
    yield scenario("freeze", "SIGSTOP of", _brick("STOP"), FROZEN_SECONDS)
    yield scenario("stop", "stop of", _brick("TERM"), STOPPED_SECONDS)
    yield scenario("disable", "stop and disable of", _brick("TERM"))


def _brick_pids(ground: Ground) -> str:
    return f"{RUN_DIRECTORY}/vols/{ground.terms[VOLUME]}/*.pid"


def _brick(signal: str) -> Act:
    def act(ground: Ground, aim: Aim) -> None:
        # By its pid file: other system containers of the machine have bricks of the same name.
        ground.on(aim.victim, f"for file in {_brick_pids(ground)}; do kill -{signal} $(cat $file) || true; done")

    return act


def _brick_starts(ground: Ground, aim: Aim) -> None:
    ground.on(aim.victim, f"for file in {_brick_pids(ground)}; do kill -CONT $(cat $file) 2>/dev/null; done; true")
    ground.on(aim.victim, f"gluster volume start {ground.terms[VOLUME]} force")


def _no_unit(_ground: Ground) -> str | None:
    return "a brick has no unit that could be disabled: glusterd starts it"


FAULTS = Faults(
    daemons=(
        # The bricks live in its control group, and live on without it.
        Daemon("glusterd", "GlusterFS' management daemon", "glusterd.service", whole=False),
        Daemon("mount", "the mount of the shared files", "trivet-shared.service"),
    ),
    processes=processes,
    damages=damages,
)
