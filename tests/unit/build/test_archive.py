# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive has what a release may have and nothing else, and equal files give an equal archive."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.build.archive import Packed, Rules, _stays_inside, pack, sha256_of
from trivet.build.secrets import Secrets
from trivet.errors import BuildError

MIB = 2**20
Entry = tuple[tarfile.TarInfo, bytes]
Pack = Callable[..., tuple[Packed, list[tarfile.TarInfo]]]


def rules(secrets: dict[str, str] | None = None, mounts: list[str] | None = None, keep: tuple[str, ...] = ()) -> Rules:
    return Rules(Secrets(secrets or {}), mounts or [], 64 * MIB, 40 * MIB, keep)


def entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, target: str = "", content: bytes = b"") -> Entry:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = kind, mode, target, len(content)
    member.mtime, member.uid = 12345, 1000
    return member, content


def handed_over(*entries: Entry) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


def link(name: str, target: str) -> Entry:
    return entry(name, tarfile.SYMTYPE, target=target)


FOLDER = entry("app", tarfile.DIRTYPE, 0o700)


@pytest.fixture
def packed(tmp_path: Path) -> Pack:
    def do(*entries: Entry, **more: object) -> tuple[Packed, list[tarfile.TarInfo]]:
        archive = tmp_path / "archive.tar.zst"
        result = pack(handed_over(FOLDER, *entries), archive, rules(**more))
        plain = subprocess.run(["zstd", "-dcq", str(archive)], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(plain)) as written:
            return result, written.getmembers()

    return do


def test_everything_becomes_roots_and_readable(packed: Pack) -> None:
    long = "app/" + "d/" * 80 + "ünï.php"
    result, members = packed(
        entry("app/a", mode=0o600, content=b"abc"), entry("app/run", mode=0o700), entry(long), link("app/l", "a")
    )
    assert [(m.name, m.mode) for m in members] == [
        ("app", 0o755), ("app/a", 0o644), ("app/run", 0o755), (long, 0o644), ("app/l", 0o777)
    ]  # fmt: skip
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "root", "root")}
    assert (result.files, result.size_bytes) == (4, 3)


def test_a_time_tells_the_content(packed: Pack) -> None:
    _, first = packed(entry("app/a", content=b"one"), entry("app/b", content=b"two"))
    _, again = packed(entry("app/a", content=b"one"), entry("app/b", content=b"owt"))
    assert first[1].mtime == again[1].mtime and first[2].mtime != again[2].mtime
    assert first[1].mtime != first[2].mtime


def test_equal_files_give_an_equal_archive(tmp_path: Path) -> None:
    sums = set()
    for name in ("one", "two"):
        pack(handed_over(FOLDER, entry("app/a", content=b"x" * 3 * MIB)), tmp_path / name, rules())
        sums.add(sha256_of(tmp_path / name))
    assert len(sums) == 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("app/su", mode=0o4755), "/app/su would run with the rights of its owner"),
        (entry("app/sg", mode=0o2755), "mode 2755"),
        (entry("app/d", tarfile.DIRTYPE, 0o2755), "/app/d would run"),
        (entry("app/pipe", tarfile.FIFOTYPE), "/app/pipe is neither a file nor a folder nor a link"),
        (entry("app/disk", tarfile.BLKTYPE), "/app/disk is neither"),
        (entry("app/hard", tarfile.LNKTYPE, target="app/a"), "/app/hard is neither"),
        (entry("/app/a"), "'/app/a', which lies outside of the application"),
        (entry("etc/passwd"), "'etc/passwd', which lies outside"),
        (entry("app/../etc/passwd"), "lies outside"),
        (link("app/a", "/etc/passwd"), "/app/a is a link to /etc/passwd, which is not part of the release"),
        (link("app/a", "/application/x"), "not part of the release"),
        (link("app/d/a", "../../etc"), "/app/d/a is a link to ../../etc, which leads out of the application"),
        (link("app/a", ".."), "leads out"),
        (entry("app/big", content=b"x" * (41 * MIB)), "/app/big has 42991616 bytes; a file of a release may have"),
    ],
)  # fmt: skip
def test_what_a_release_must_not_have_is_refused_by_its_name(packed: Pack, bad: Entry, said: str) -> None:
    with pytest.raises(BuildError) as error:
        packed(bad)
    assert said in error.value.message


def test_all_files_together_have_a_limit(packed: Pack) -> None:
    with pytest.raises(BuildError, match="the application has 73400320 bytes and more"):
        packed(entry("app/a", content=b"x" * (35 * MIB)), entry("app/b", content=b"x" * (35 * MIB)))


def test_a_link_that_leads_out_by_way_of_another_is_refused(packed: Pack) -> None:
    # Read by itself, `x/y/up/../secret` lies in the application.
    with pytest.raises(BuildError, match=r"/app/a is a link to x/y/up/../secret, which leads out"):
        packed(link("app/x/y/up", "../.."), link("app/a", "x/y/up/../secret"))


def test_a_link_into_app_becomes_relative(packed: Pack) -> None:
    _, members = packed(link("app/pub/a", "/app/src/b"), link("app/c", "/app"), link("app/loop", "loop"))
    assert [m.linkname for m in members[1:]] == ["../src/b", ".", "loop"]


@pytest.mark.parametrize("mount", ["pub/media", "pub"])
def test_a_link_in_the_way_of_a_mount_is_refused(packed: Pack, mount: str) -> None:
    with pytest.raises(BuildError, match=f"the mount `{mount}` would lead through /app/pub, a link to src"):
        packed(link("app/pub", "src"), mounts=[mount])


@pytest.mark.parametrize("before", [0, MIB - 3, 20 * MIB])
def test_a_secret_in_a_file_is_refused_by_its_name(packed: Pack, before: int) -> None:
    """Between two pieces, too."""
    content = b"x" * before + b"s3cret-value" + b"x" * 100
    with pytest.raises(BuildError, match=r"/app/config.php has the value of a secret") as error:
        packed(entry("app/config.php", content=content), secrets={"KEY": "s3cret-value"})
    assert "s3cret" not in error.value.message


def test_files_that_the_caller_wants_are_kept(packed: Pack) -> None:
    result, _ = packed(entry("app/composer.lock", content=b"{}"), entry("app/a"), keep=("composer.lock",))
    assert result.kept == {"composer.lock": b"{}"}


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no readable archive"):
        pack(io.BytesIO(b"not a tar file" * 100), tmp_path / "archive", rules())


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)
TARGETS = st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=5)


@given(st.dictionaries(NAMES.map("/".join), TARGETS.map("/".join), max_size=5), NAMES.map("/".join))
def test_following_agrees_with_the_kernel(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], name: str
) -> None:
    """Where the kernel finds something, it lies inside exactly when the links say so."""
    base = tmp_path_factory.mktemp("links")
    app = base / "app"
    app.mkdir()
    made = {}
    for place, target in links.items():
        path = app / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if any(parent.is_symlink() for parent in path.parents):
                continue
            path.symlink_to(target)
        except OSError:
            continue
        made[f"app/{place}"] = target
    try:
        found = (app / name).resolve(strict=True)
    except (OSError, RuntimeError):
        return
    assert _stays_inside(f"app/{name}", made) == found.is_relative_to(app.resolve())
