# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions to a broker, in Erlang. Each is answered by the node itself, without asking the others."""

from __future__ import annotations

SHOWN = 5
"""So many queues are named of those that something is wrong with."""

LOOK = (
    f"Shown = {SHOWN},"
    + """
Names = fun(Queues) -> [begin
    {resource, Host, _, Name} = amqqueue:get_name(Q), <<Host/binary, "/", Name/binary>>
  end || Q <- lists:sublist(Queues, Shown)] end,
Told = fun(Queues) -> #{count => length(Queues), names => Names(Queues)} end,
% A broker that boots for the first time has no file yet that says so.
Members = #{members => try rabbit_mnesia:cluster_nodes(all) catch _:_ -> [] end, up => rabbit:is_running()},
case rabbit:is_running() of
  false -> Members;
  true ->
    Here = node(),
    Running = rabbit_mnesia:cluster_nodes(running),
    All = rabbit_amqqueue:list(),
    Quorum = [Q || Q <- All, amqqueue:get_type(Q) =:= rabbit_quorum_queue],
    {_, States} = rabbit_quorum_queue:all_replica_states(),
    RaName = fun(Q) -> element(1, amqqueue:get_pid(Q)) end,
    Replica = fun(Q) -> maps:get(RaName(Q), States, none) end,
    {Mine, Others} = lists:partition(fun(Q) -> lists:member(Here, rabbit_amqqueue:get_quorum_nodes(Q)) end, Quorum),
    Mirrored = [Q || Q <- All, amqqueue:get_type(Q) =:= rabbit_classic_queue,
      rabbit_mirror_queue_misc:is_mirrored(Q), node(amqqueue:get_pid(Q)) =:= Here],
    Members#{
      running => Running,
      partitions => rabbit_node_monitor:partitions(),
      alarms => [case A of {{resource_limit, What, _}, _} -> What; {What, _} -> What; What -> What end
        || A <- rabbit_alarm:get_local_alarms()],
      maintenance => rabbit_maintenance:is_being_drained_local_read(Here),
      hosts => rabbit_vhost:list_names(),
      queues => length(All),
      leaders => length([Q || Q <- Mine, Replica(Q) =:= leader]),
      not_member => Told(Others),
      stopped => Told([Q || Q <- Mine, not lists:member(Replica(Q), [leader, follower])]),
      leaderless => Told([Q || Q <- Mine, ra_leaderboard:lookup_leader(RaName(Q)) =:= undefined]),
      unsynchronised => Told([Q || Q <- Mirrored, length(amqqueue:get_sync_slave_pids(Q)) < length(Running) - 1])
    }
end
"""
)
"""How it stands: the cluster as this node sees it, its alarms, and its copies of the queues."""

CRITICAL = """
Named = fun(Queues) -> [begin
    {resource, Host, _, Name} = amqqueue:get_name(Q), <<Host/binary, "/", Name/binary>>
  end || Q <- Queues] end,
Named(rabbit_quorum_queue:list_with_minimum_quorum())
  ++ Named(rabbit_amqqueue:list_local_mirrored_classic_without_synchronised_mirrors())
"""
"""The queues that would stop, or lose messages, without this node. Asks the others."""
