# SPDX-License-Identifier: GPL-3.0-or-later
"""The collectors against what Debian 12's daemons really print, and against services that misbehave."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet.health import external, parallel
from trivet.health.config import (
    FIREWALL_TABLE,
    HANDOVER_TABLE,
    SEARCH_ALLOCATION,
    SEARCH_ALLOCATION_FLAG,
    Member,
    NodeConfig,
)
from trivet.health.external import Deadline, NoAnswer, NotRunning, Output, http_get, run, unix_dialogue
from trivet.health.facts import Disk, Pending
from trivet.services.database import collect as database
from trivet.services.database.facts import DatabaseFacts
from trivet.services.files import collect as files
from trivet.services.files.contract import BRICK
from trivet.services.files.facts import FilesFacts, Peer
from trivet.services.gateway import collect as gateway
from trivet.services.host import collect as host
from trivet.services.proxy import collect as proxies
from trivet.services.redis import collect as redis
from trivet.services.redis.facts import RedisFacts
from trivet.services.search import collect as search
from trivet.services.web import collect as web
from trivet.verdict import collect
from trivet.verdict.facts import facts_from_dict

CONFIG = NodeConfig(
    environment="test",
    name="node-1",
    node_id=1,
    address="127.0.0.1",
    interface="lo",
    members=(Member("node-1", 1, "127.0.0.1"), Member("node-2", 2, "127.0.0.2")),
)
NODE_JSON = {
    "environment": "test",
    "id": 1,
    "name": "node-1",
    "address": "127.0.0.1",
    "interface": "lo",
    "nodes": [{"name": "node-1", "id": 1, "address": "127.0.0.1"}],
    "gateways": ["10.0.0.101"],
}

SHOW_STAT = """\
# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,act,bck,\
chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle,lbtot,tracked,type,check_status,last_chk
db_writer,health-1,0,0,2,3,,9,0,0,,0,,0,0,0,0,UP,1,1,0,0,0,331,0,,1,5,1,,9,,2,L4OK,
db_writer,health-2,0,0,0,0,,0,0,0,,0,,0,0,0,0,DOWN 1/2,1,0,1,0,0,331,0,,1,5,2,,0,,2,L4CON,Connection refused
db_writer,hold,0,0,0,0,,0,0,0,,0,,0,0,0,0,no check,1,0,1,,,331,0,,1,5,4,,0,,2,,

"""
EMPTY_TABLE = "# table: db_writer, type: integer, size:1, used:0\n"
TABLE = "# table: db_writer, type: integer, size:16, used:1\n0x56430e7d6c20: key=1 use=0 exp=0 server_id={}\n"

PEERS = """<cliOutput><opRet>0</opRet><opErrno>0</opErrno><opErrstr/><peerStatus>
<peer><uuid>4530</uuid><hostname>health-2</hostname><hostnames><hostname>health-2</hostname></hostnames>
<connected>1</connected><state>3</state><stateStr>Peer in Cluster</stateStr></peer>
<peer><uuid>706b</uuid><hostname>health-3</hostname><hostnames><hostname>health-3</hostname></hostnames>
<connected>0</connected><state>3</state><stateStr>Peer in Cluster</stateStr></peer></peerStatus></cliOutput>"""
# The second brick is as gluster 10.3 really writes it, its counts lost in the status.
HEAL = """<cliOutput><healInfo><bricks><brick hostUuid="68bc"><name>health-1:/srv/glusterfs/shared/brick</name>
<status>Connected</status><totalNumberOfEntries>7</totalNumberOfEntries>
<numberOfEntriesInHealPending>5</numberOfEntriesInHealPending>
<numberOfEntriesInSplitBrain>1</numberOfEntriesInSplitBrain>
<numberOfEntriesPossiblyHealing>1</numberOfEntriesPossiblyHealing></brick>
<brick hostUuid="-"><name>health-2:/srv/glusterfs/shared/brick</name>
<status>Failed to process entries completely. (Transport endpoint is not connected)totalNumberOfEntries0</status>
</brick></bricks></healInfo><opRet>0</opRet><opErrno>0</opErrno><opErrstr/></cliOutput>"""

PRIMARY_INFO = (
    "# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
    "slave0:ip=10.86.250.41,port=6390,state=online,offset=63448,lag=1\r\n"
    "master_failover_state:no-failover\r\nmaster_repl_offset:63856\r\nslave_repl_offset:1\r\nloading:0\r\n"
)
REPLICA_INFO = (
    "role:slave\r\nmaster_host:10.86.250.40\r\nmaster_port:6390\r\nmaster_link_status:down\r\n"
    "master_sync_in_progress:1\r\nslave_repl_offset:12\r\nmaster_repl_offset:99\r\nloading:0\r\n"
)


@pytest.fixture
def deadline() -> Deadline:
    return Deadline(2.0)


@pytest.fixture
def service() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Start services on local ports; each serves one connection after the other with the given function."""
    listeners: list[socket.socket] = []

    def start(serve: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def work() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    serve(connection)

        threading.Thread(target=work, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# --- HAProxy


def test_servers_of_haproxy_are_read() -> None:
    first, second, hold = proxies.parse_stat(SHOW_STAT)
    assert (first.backend, first.server, first.server_id, first.sessions) == ("db_writer", "health-1", 1, 2)
    assert first.usable and not first.backup
    assert (second.status, second.backup, second.last_check) == ("DOWN 1/2", True, "Connection refused")
    assert not second.usable
    assert hold.usable


@pytest.mark.parametrize(
    ("answer", "writer"),
    [
        (EMPTY_TABLE, None),
        (TABLE.format("2 server_key=health-2"), "health-2"),
        (TABLE.format("1"), "health-1"),
        (TABLE.format("7"), None),
    ],
)
def test_the_sticky_writer_is_read(answer: str, writer: str | None) -> None:
    assert proxies.parse_writer(answer, proxies.parse_stat(SHOW_STAT)) == writer


def test_a_unix_socket_without_listener_is_not_running(tmp_path: Path, deadline: Deadline) -> None:
    with pytest.raises(NotRunning):
        unix_dialogue(tmp_path / "admin.sock", "show info\n", deadline)


def test_info_of_haproxy_is_read() -> None:
    assert proxies.parse_info("Name: HAProxy\nVersion: 2.6.12\nUptime_sec: 315\n\n")["Uptime_sec"] == "315"


# --- units


def test_a_masked_unit_is_told_apart_from_one_that_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        "nginx.service loaded inactive dead A web server\n"
        "redis-cache.service masked inactive dead redis-cache.service\n"
        "php8.2-fpm.service masked active running Masked while it ran\n"
    )
    monkeypatch.setattr(external, "run", lambda *_unused: Output(0, listed, ""))
    assert Deadline(1).units() == {
        "nginx.service": "inactive",
        "redis-cache.service": "masked",
        "php8.2-fpm.service": "active",
    }


@pytest.mark.parametrize(("said", "heals"), [({}, False), ({"heals": False}, False), ({"heals": True}, True)])
def test_the_healer_is_expected_where_the_node_is_told_to_heal(said: dict[str, bool], heals: bool) -> None:
    """A ``node.json`` of an earlier release says nothing of it."""
    config = NodeConfig.from_mapping({**NODE_JSON, **said})
    assert ("trivet-heal" in config.units) is heals
    assert "trivet-agent" in config.units


# --- gateway, web


def test_addresses_on_an_interface_are_read() -> None:
    listing = '[{"ifname":"eth0","addr_info":[{"family":"inet","local":"10.0.0.11"},{"local":"10.0.0.101"}]},{}]'
    assert gateway.addresses_of(listing) == {"10.0.0.11", "10.0.0.101"}


@pytest.mark.parametrize(
    ("listed", "firewall", "handover"),
    [
        ("table inet trivet\ntable inet trivet_handover\n", True, True),
        ("table inet trivet\ntable ip nat\n", True, False),
        ("table inet trivet_handover\ntable ip trivet\n", False, True),
        ("", False, False),
    ],
)
def test_the_tables_of_nftables_are_told_apart(
    listed: str, firewall: bool, handover: bool, deadline: Deadline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "run", lambda *_unused: Output(0, listed, ""))
    tables = gateway.nftables_tables(deadline)
    assert (FIREWALL_TABLE in tables, HANDOVER_TABLE in tables) == (firewall, handover)


def test_the_running_php_fpm_counts() -> None:
    units = {"php8.2-fpm.service": "inactive", "php8.3-fpm.service": "active", "phpsessionclean.service": "failed"}
    assert web.php_fpm_state(units) == "active"
    assert web.php_fpm_state({}) == "inactive"


def test_a_page_that_does_not_come_is_a_fact(
    service: Callable[[Callable[[socket.socket], None]], int],
) -> None:
    port = service(lambda connection: connection.sendall(b"HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\n\r\n"))
    assert web.measured(lambda: http_get("127.0.0.1", port, "/", Deadline(1))).status == 503
    closed = free_port()
    page = web.measured(lambda: http_get("127.0.0.1", closed, "/", Deadline(1)))
    assert page.status == 0 and page.error is not None and "refuses" in page.error


def test_a_web_server_that_hangs_costs_no_more_than_the_deadline(
    service: Callable[[Callable[[socket.socket], None]], int],
) -> None:
    port = service(lambda _connection: time.sleep(2))
    started = time.monotonic()
    with pytest.raises(NoAnswer):
        http_get("127.0.0.1", port, "/", Deadline(0.3))
    assert time.monotonic() - started < 1.5


# --- database


def test_values_of_mariadb_become_facts() -> None:
    text = (
        "wsrep_cluster_size\t3\nwsrep_cluster_status\tPrimary\nwsrep_connected\tON\nwsrep_ready\tON\n"
        "wsrep_local_state_comment\tSynced\nwsrep_flow_control_active\tfalse\nThreads_running\t2\n"
        "wsrep_cluster_state_uuid\t2188a386-e6e8-11f1-8a8f-c7478903762c\nwsrep_on\tON\n"
        "auto_increment_increment\t3\nversion\t10.11.19-MariaDB-0+deb12u1\n"
    )
    saved = {"uuid": "u", "seqno": "-1", "safe_to_bootstrap": "0"}
    facts = database.facts_of(database.parse_values(text), saved, "active", None)
    assert (facts.wsrep, facts.cluster_status, facts.state, facts.size) == (True, "Primary", "Synced", 3)
    assert (facts.ready, facts.connected, facts.flow_control, facts.threads_running) == (True, True, False, 2)
    assert (facts.auto_increment_step, facts.saved_seqno, facts.safe_to_bootstrap) == (3, -1, False)


def test_the_saved_state_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grastate.dat"
    path.write_text("# GALERA saved state\nversion: 2.1\nuuid:    2188a386\nseqno:   -1\nsafe_to_bootstrap: 1\n")
    assert database.saved_state(path)["safe_to_bootstrap"] == "1"
    assert database.saved_state(tmp_path / "none") == {}


def test_a_running_state_transfer_is_found(tmp_path: Path) -> None:
    for pid, command in {
        "12": "mariadbd\0--x\0",
        "13": "bash\0-ue\0/usr//bin/wsrep_sst_mariabackup\0",
        "self": "",
    }.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_text(command)
    assert database.state_transfer(tmp_path) == "wsrep_sst_mariabackup"
    (tmp_path / "13" / "cmdline").unlink()
    assert database.state_transfer(tmp_path) is None


# --- Redis


def test_a_primary_and_a_replica_are_read() -> None:
    primary = redis.parse_instance(PRIMARY_INFO)
    assert (primary.role, primary.offset, primary.replicas[0].offset) == ("master", 63856, 63448)
    assert (primary.replicas[0].address, primary.replicas[0].state) == ("10.86.250.41", "online")
    replica = redis.parse_instance(REPLICA_INFO)
    assert (replica.role, replica.offset, replica.primary_address) == ("slave", 12, "10.86.250.40")
    assert replica.primary_sync_in_progress and not replica.primary_link_up


def test_the_memory_of_an_instance_is_counted_as_redis_counts_it() -> None:
    info = "used_memory:900\r\nmaxmemory:1000\r\nmem_not_counted_for_evict:100\r\n"
    assert redis.parse_instance(info).memory_percent == 80.0
    assert redis.parse_instance(info.replace("maxmemory:1000", "maxmemory:0")).memory_percent == 0.0
    assert redis.parse_instance(PRIMARY_INFO).memory_percent == 0.0


def speaking_redis(answers: dict[str, bytes]) -> Callable[[socket.socket], None]:
    """A Redis with ready answers by the command's first word, sent in small pieces."""

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            answer = answers[data.decode().split("\r\n")[2]]
            for start in range(0, len(answer), 7):
                connection.sendall(answer[start : start + 7])

    return serve


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text.encode()), text.encode())


def test_redis_is_asked_in_its_own_protocol(
    service: Callable[[Callable[[socket.socket], None]], int], deadline: Deadline
) -> None:
    info = PRIMARY_INFO + "note:" + "ü" * 5000 + "\r\n"
    listing = b"*4\r\n$2\r\nip\r\n" + bulk("10.0.0.1") + b"+port\r\n:6390\r\n"
    port = service(speaking_redis({"AUTH": b"+OK\r\n", "INFO": bulk(info), "SENTINEL": listing, "GET": b"$-1\r\n"}))
    with redis.RedisClient("127.0.0.1", port, "secret", deadline) as client:
        assert redis.parse_instance(client.text("INFO")).role == "master"
        assert redis.pairs_of(client.ask("SENTINEL", "MASTER", "cache")) == {"ip": "10.0.0.1", "port": "6390"}
        assert client.ask("GET", "x") is None


def test_a_sentinel_without_a_password_is_asked_all_the_same(
    service: Callable[[Callable[[socket.socket], None]], int], deadline: Deadline
) -> None:
    refusal = b"-ERR AUTH <password> called without any password configured for the default user.\r\n"
    port = service(speaking_redis({"AUTH": refusal, "SENTINEL": b"-NOQUORUM 1 usable Sentinels.\r\n"}))
    with redis.RedisClient("127.0.0.1", port, "secret", deadline) as client:
        assert redis.quorum_answer(client, "cache") == "NOQUORUM 1 usable Sentinels."


def test_a_wrong_password_is_no_answer(
    service: Callable[[Callable[[socket.socket], None]], int], deadline: Deadline
) -> None:
    port = service(speaking_redis({"AUTH": b"-WRONGPASS invalid username-password pair\r\n"}))
    with pytest.raises(NoAnswer, match="WRONGPASS"):
        redis.RedisClient("127.0.0.1", port, "secret", deadline)


def test_what_does_not_run_is_told_from_what_does_not_answer(
    service: Callable[[Callable[[socket.socket], None]], int],
) -> None:
    refused = redis.instance_facts(CONFIG, free_port(), Deadline(1))
    assert refused.down and refused.error is not None
    silent = redis.instance_facts(CONFIG, service(lambda _connection: time.sleep(1)), Deadline(0.2))
    assert not silent.down and silent.error is not None


# --- search


def test_answers_of_the_search_engine_become_facts() -> None:
    root = {"name": "node-1", "cluster_uuid": "abc", "version": {"number": "2.19.0"}}
    health = {"status": "yellow", "number_of_nodes": 2, "delayed_unassigned_shards": 3, "unassigned_shards": 3}
    settings = {"persistent": {}, "transient": {"cluster.routing.allocation.enable": "primaries"}}
    facts = search.parse(root, health, settings, "active")
    assert (facts.status, facts.nodes, facts.delayed_shards, facts.allocation) == ("yellow", 2, 3, "primaries")
    assert search.parse(root, health, {}, "active").allocation == "all"


# --- files


def test_peers_and_healing_of_gluster_are_read() -> None:
    assert files.parse_peers(ElementTree.fromstring(PEERS)) == (
        Peer(name="health-2", connected=True, state="Peer in Cluster"),
        Peer(name="health-3", connected=False, state="Peer in Cluster"),
    )
    whole, lost = files.parse_heal(ElementTree.fromstring(HEAL))
    assert (whole.connected, whole.pending, whole.split_brain) == (True, 6, 1)
    assert (lost.connected, lost.pending, lost.split_brain) == (False, None, None)


def test_the_volume_is_read_from_the_store_of_glusterd(tmp_path: Path) -> None:
    store = tmp_path / "info"
    store.write_text("type=2\ncount=3\nstatus=1\nreplica_count=3\ncluster.granular-entry-heal=on\n")
    assert files.volume_store(store) == ("Started", 3)
    assert files.volume_store(tmp_path / "none") == ("", 0)


def test_gluster_is_asked_again_while_it_is_locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    busy = "<cliOutput><opRet>-1</opRet><opErrstr>Another transaction is in progress.</opErrstr></cliOutput>"
    command = tmp_path / "gluster"
    command.write_text(
        f"#!/bin/sh\nif [ -e {tmp_path}/asked ]; then echo '{PEERS}'; else touch {tmp_path}/asked; echo '{busy}'; fi\n"
    )
    command.chmod(0o755)
    monkeypatch.setattr(files, "GLUSTER", str(command))
    assert len(files.parse_peers(files.gluster(("peer", "status"), Deadline(3)))) == 2


def test_a_refusal_of_gluster_is_no_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = tmp_path / "gluster"
    command.write_text(
        "#!/bin/sh\necho 'Connection failed. Please check if gluster daemon is operational.' >&2\nexit 1\n"
    )
    command.chmod(0o755)
    monkeypatch.setattr(files, "GLUSTER", str(command))
    with pytest.raises(NoAnswer, match="daemon is operational"):
        files.gluster(("peer", "status"), Deadline(3))


def test_a_brick_that_the_mount_does_not_hear_is_named_by_its_address(tmp_path: Path) -> None:
    for number, connected in ((0, 1), (1, 0), (2, 1)):
        part = tmp_path / files.CONNECTIONS / f"shared-client-{number}"
        (part / "options").mkdir(parents=True)
        (part / "options/remote-host").write_text(f"10.0.0.{number + 1}")
        (part / "private").write_text(
            f"[xlator.protocol.client.shared-client-{number}.priv]\nconnected = {connected}\n"
        )
    assert files.bricks_unheard(tmp_path, "shared") == ("10.0.0.2",)


def test_a_mark_is_written_in_its_time_and_seen(tmp_path: Path) -> None:
    mark = tmp_path / "node-1"
    assert files.leave_mark(mark, 1000.0) == (1000.0, None)
    assert files.leave_mark(mark, 1005.0) == (None, None)
    assert files.read_mark(mark) == 1000.0
    # The mark before may be kept unread by others; the one before that may not.
    assert files.leave_mark(mark, 1030.5) == (1030.5, None)
    assert files.read_mark(mark) == 1030.5
    assert files.leave_mark(mark, 1036.0) == (None, None)
    assert files.leave_mark(mark, 1041.0) == (1041.0, 1000.0)
    assert files.leave_mark(mark, 1060.0) == (1060.0, 1030.5)
    assert files.read_mark(mark) == 1060.0


def test_the_mark_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    mark = tmp_path / "node-1"
    mark.write_text("1000.000\n")
    assert files.read_mark(mark) == 1000.0
    assert files.leave_mark(mark, 1030.5) == (1030.5, None)


def test_what_hangs_in_files_does_not_hide_the_rest() -> None:
    answers: dict[str, FilesFacts | NoAnswer] = {
        "files: peers": FilesFacts(peers=(Peer(name="node-2", connected=True),)),
        "files: heal": NoAnswer("gluster did not end in 3.0 s"),
        "files: mount": NoAnswer("no answer in 4.2 s"),
    }
    facts = files.assembled(FilesFacts(glusterd="active", brick_online=True), answers)
    assert facts.error is None and facts.brick_online and len(facts.peers) == 1
    assert facts.heal_error == "gluster did not end in 3.0 s"
    assert (facts.mounted, facts.writable, facts.mount_error) == (True, False, "no answer in 4.2 s")


def test_a_dead_process_and_a_reused_pid_are_not_alive(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        pid_file = tmp_path / "brick.pid"
        pid_file.write_text(f"{process.pid}\n")
        name = Path(sys.executable).name.encode()
        assert files.process_alive([tmp_path / "none", pid_file], name)
        assert not files.process_alive([pid_file], b"glusterfsd")
        process.communicate(b"\n")
    assert not files.process_alive([pid_file], name)


# --- host


def test_a_lock_is_seen_without_being_touched(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    assert not host.locked(lock)
    script = (
        f"import fcntl; f = open({str(lock)!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert host.locked(lock)
        process.communicate("\n")
    assert not host.locked(lock)
    with lock.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_flags_are_read_whatever_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "web").write_text(json.dumps({"owner": "rotation", "since": 5, "expires": 65.5}))
    (tmp_path / "redis").write_text("by hand\n")
    (tmp_path / "search").touch()
    (tmp_path / ".web.new").write_text("{")
    drains = {name: host.drain_of(content) for name, content in host.flags(tmp_path).items()}
    assert sorted(drains) == ["redis", "search", "web"]
    assert (drains["web"].owner, drains["web"].since, drains["web"].expires) == ("rotation", 5.0, 65.5)
    assert drains["redis"].reason == "by hand"
    assert host.flags(tmp_path / "none") == {}


def test_marks_of_what_waits_are_read_whoever_wrote_them(tmp_path: Path) -> None:
    directories = {"reload": tmp_path / "reload", "restart": tmp_path / "restart"}
    directories["reload"].mkdir()
    mark = {"service": "haproxy", "since": 12.5, "reason": "changed: /etc/haproxy/haproxy.cfg", "files": []}
    (directories["reload"] / "haproxy").write_text(json.dumps(mark))
    (directories["reload"] / ".haproxy.x1").write_text("being written")
    assert host.pending(directories) == (
        Pending(service="haproxy", kind="reload", reason="changed: /etc/haproxy/haproxy.cfg", since=12.5),
    )
    directories["restart"].mkdir()
    (directories["restart"] / "redis-cache").write_text("")
    assert host.pending(directories)[1:] == (Pending(service="redis-cache", kind="restart"),)


def test_a_process_is_older_than_its_file_when_it_certainly_is(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    assert proxies.older(path, 1000.0) == 0.0
    path.touch()
    os.utime(path, (1060.0, 1060.0))
    assert proxies.older(path, 1000.0) == 60.0
    assert proxies.older(path, 1058.5) == 0.0, "an uptime is told in whole seconds"
    assert proxies.older(path, 2000.0) == 0.0


def test_a_vote_counts_until_it_expires() -> None:
    content = {"owner": "one", "purpose": "upscale", "since": 5, "expires": 65}
    vote = host.vote(content, now=64)
    assert vote is not None and (vote.owner, vote.purpose, vote.expires) == ("one", "upscale", 65.0)
    assert host.vote(content, now=65) is None
    assert host.vote({}, now=0) is None
    assert host.vote(None, now=0) is None


def test_forwards_and_releases_are_read_with_their_owners(tmp_path: Path) -> None:
    path = tmp_path / "handover.json"
    assert gateway.handover_flags(path) == {"forwards": {}, "releases": {}}
    record = {"owner": "one", "since": 5.0, "expires": 65.0, "number": 1}
    path.write_text(json.dumps({"forwards": {"192.0.2.21": record}, "releases": {}}))
    flags = gateway.handover_flags(path)
    assert flags["forwards"]["192.0.2.21"].owner == "one" and flags["releases"] == {}
    path.write_text("{")
    with pytest.raises(NoAnswer, match="cannot be read"):
        gateway.handover_flags(path)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"owner": 1, "expires": "soon"}'])
def test_a_limit_of_the_allocation_is_told_whatever_its_flag_says(text: str | None) -> None:
    settings = {"persistent": {SEARCH_ALLOCATION: "primaries", SEARCH_ALLOCATION_FLAG: text}}
    allocation, flag = search.allocation_of(settings)
    assert allocation == "primaries"
    assert flag is None or flag.expires is None
    assert search.allocation_of({"persistent": {SEARCH_ALLOCATION_FLAG: "{}"}}) == ("all", None)


def test_tracking_of_chrony_is_read() -> None:
    line = "A9FEA97B,169.254.169.123,4,1607.5,0.000001,0.000002,0.1,-7.1,0.0,0.01,0.0004,0.0002,16.1,Normal\n"
    assert host.parse_tracking(line) == ("169.254.169.123", 0.000001)
    assert host.parse_tracking("7F7F0101,,0,0,0,0,0,0,0,0,0,0,0,Not synchronised\n") == (None, None)
    assert host.parse_tracking("506 Cannot talk to daemon\n") == (None, None)


def test_room_on_a_file_system_is_measured(tmp_path: Path) -> None:
    room = host.disk(tmp_path)
    assert 0 <= room.free_percent <= 100 and 0 <= room.free_inodes_percent <= 100


def test_each_file_system_is_looked_at_once_and_what_is_not_there_is_skipped(tmp_path: Path) -> None:
    inner = tmp_path / "mysql"
    inner.mkdir()
    elsewhere = Path("/proc")  # Always a file system of its own.
    assert list(host.disks([tmp_path, inner, tmp_path / "none", elsewhere])) == [str(tmp_path), "/proc"]
    assert list(host.disks([tmp_path / "none", inner, tmp_path])) == [str(inner)]
    assert host.disks([tmp_path / "none"]) == {}


def test_a_disk_that_fails_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = host.disk

    def failing(path: Path) -> Disk:
        if path == tmp_path:
            raise OSError(errno.EIO, "Input/output error")
        return measure(path)

    monkeypatch.setattr(host, "disk", failing)
    assert list(host.disks([tmp_path, Path("/proc")])) == ["/proc"]


@pytest.mark.parametrize("engine", ["opensearch", "elasticsearch"])
def test_every_directory_with_data_is_looked_at(engine: str) -> None:
    told = {"search_engine": engine, "application": {"health_page": "/up", "log_directory": "/var/log/blog"}}
    config = NodeConfig.from_mapping({**NODE_JSON, **told})
    assert config.health_page == "/up"
    data = {"/var/lib/mysql", "/var/lib/redis", f"/var/lib/{engine}", str(BRICK.default), "/var/log/blog"}
    assert {str(path) for path in config.written_directories} == {"/", "/var"} | data


def test_an_application_without_a_log_of_its_own_has_no_directory_for_it() -> None:
    config = NodeConfig.from_mapping({**NODE_JSON, "application": {"health_page": "/up", "log_directory": ""}})
    assert config.log_directory is None and Path() not in config.written_directories


# --- the whole


def test_a_command_that_hangs_ends_with_its_whole_group() -> None:
    started = time.monotonic()
    with pytest.raises(NoAnswer, match="did not end"):
        run(["sh", "-c", "sleep 30 & sleep 30"], Deadline(0.3))
    assert time.monotonic() - started < 2


def test_a_command_that_is_not_there_is_no_answer(deadline: Deadline) -> None:
    with pytest.raises(NoAnswer, match="no-such-command"):
        run(["no-such-command"], deadline)


def test_one_question_that_hangs_or_raises_leaves_the_others_alone() -> None:
    release = threading.Event()

    def surprise() -> str:
        raise KeyError("surprise")

    questions: dict[str, Callable[[], str]] = {
        "test: good": lambda: "yes",
        "test: hangs": lambda: str(release.wait(10)),
        "test: raises": surprise,
    }
    answers = parallel.together(questions, 0.2)
    assert answers["test: good"] == "yes"
    assert "no answer in 0.2 s" in str(answers["test: hangs"])
    assert "KeyError" in str(answers["test: raises"])
    again = parallel.together(questions, 0.2)
    assert "still hangs" in str(again["test: hangs"]) and again["test: good"] == "yes"
    release.set()


def test_a_node_without_any_service_still_gives_facts() -> None:
    started = time.monotonic()
    answer = collect.collect_node(NODE_JSON)
    assert time.monotonic() - started < collect.TOTAL_SECONDS + 1
    facts = facts_from_dict(json.loads(json.dumps(answer)))
    assert (facts.node, facts.address) == ("node-1", "127.0.0.1")
    assert facts.of(DatabaseFacts).error is not None
    assert facts.of(RedisFacts).error is not None or facts.of(RedisFacts).instances["cache"].error is not None


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="address"):
        collect.collect_node({key: value for key, value in NODE_JSON.items() if key != "address"})
