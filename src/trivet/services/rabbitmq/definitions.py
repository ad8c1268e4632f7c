# SPDX-License-Identifier: GPL-3.0-or-later
"""What the application finds in the cluster: its virtual host, its user, and how its queues are copied.

Set on one member, all have it. Nothing is done where it is as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass

from trivet.services.rabbitmq.broker import Broker, binary

SECONDS = 90.0
"""A new virtual host is waited for on all nodes, by RabbitMQ for 45 s at most."""
MIRRORED = "classic_mirrored"
QUEUE_TYPES = ("quorum", MIRRORED)
POLICY = "trivet-mirrored"


@dataclass(frozen=True)
class Definitions:
    """What is wanted.

    Attributes:
        queue_type: one of :data:`QUEUE_TYPES`: what a durable queue becomes whose application names no type.
        password: of the user.
    """

    cluster: str
    virtual_host: str
    user: str
    password: str
    queue_type: str

    def apply(self, broker: Broker) -> list[str]:
        """Bring the cluster of a broker to it. What was changed.

        Raises:
            NoAnswer, Refused: it does not answer, or does not do it.
        """
        said: list[str] = broker.evaluate(self._expression(), SECONDS)
        return said

    def _expression(self) -> str:
        mirrored = self.queue_type == MIRRORED
        values = {
            "Cluster": binary(self.cluster),
            "Host": binary(self.virtual_host),
            "User": binary(self.user),
            "Password": binary(self.password),
            "Policy": binary(POLICY),
            "Kind": "undefined" if mirrored else binary(self.queue_type),
            "Mirrored": "true" if mirrored else "false",
        }
        return "".join(f"{name} = {value},\n" for name, value in values.items()) + _APPLY


def set_limits(broker: Broker, memory_bytes: int, disk_bytes: int) -> list[str]:
    """Give a running broker its limits of memory and disk. What was changed.

    Raises:
        NoAnswer, Refused: it does not answer.
    """
    said: list[str] = broker.evaluate(_LIMITS % {"memory": memory_bytes, "disk": disk_bytes}, SECONDS)
    return said


_LIMITS = """
Memory = {absolute, %(memory)d},
lists:append([
  case vm_memory_monitor:get_vm_memory_high_watermark() of
    Memory -> [];
    _ -> vm_memory_monitor:set_vm_memory_high_watermark(Memory), [<<"limit of memory">>]
  end,
  case rabbit_disk_monitor:get_disk_free_limit() of
    %(disk)d -> [];
    _ -> rabbit_disk_monitor:set_disk_free_limit(%(disk)d), [<<"limit of free disk">>]
  end
])
"""
# The acting user is the one that RabbitMQ's own command line has: it gets no permissions of its own.
_APPLY = """
Me = <<"rmq-cli">>,
Everything = <<".*">>,
Definition = [{<<"ha-mode">>, <<"all">>}, {<<"ha-sync-mode">>, <<"automatic">>}],
Must = fun(ok) -> ok; ({error, Why}) -> throw({refused, io_lib:format("~0tp", [Why])}) end,
lists:append([
  case rabbit_nodes:cluster_name() of
    Cluster -> [];
    _ -> rabbit_nodes:set_cluster_name(Cluster, Me), [<<"name of the cluster">>]
  end,
  case rabbit_vhost:exists(Host) of
    true -> [];
    false ->
      Must(rabbit_vhost:put_vhost(Host, <<"Made by Trivet">>, <<>>, Kind, undefined, Me)),
      [<<"virtual host">>]
  end,
  case maps:get(default_queue_type, vhost:get_metadata(rabbit_vhost:lookup(Host)), undefined) of
    Kind -> [];
    _ ->
      rabbit_misc:execute_mnesia_transaction(fun() ->
        rabbit_vhost:update_metadata(Host, fun(Meta) -> Meta#{default_queue_type => Kind} end)
      end),
      [<<"type of new queues">>]
  end,
  case rabbit_auth_backend_internal:exists(User) of
    false -> Must(rabbit_auth_backend_internal:add_user(User, Password, Me)), [<<"user">>];
    true ->
      case rabbit_auth_backend_internal:user_login_authentication(User, [{password, Password}]) of
        {ok, _} -> [];
        _ -> Must(rabbit_auth_backend_internal:change_password(User, Password, Me)), [<<"password">>]
      end
  end,
  case [P || P <- rabbit_auth_backend_internal:list_user_permissions(User), proplists:get_value(vhost, P) =:= Host,
         [proplists:get_value(K, P) || K <- [configure, write, read]] =:= [Everything, Everything, Everything]] of
    [_] -> [];
    [] ->
      ok = rabbit_auth_backend_internal:set_permissions(User, Host, Everything, Everything, Everything, Me),
      [<<"permissions">>]
  end,
  case rabbit_auth_backend_internal:exists(<<"guest">>) of
    false -> [];
    true -> ok = rabbit_auth_backend_internal:delete_user(<<"guest">>, Me), [<<"user guest removed">>]
  end,
  case {Mirrored, rabbit_policy:lookup(Host, Policy)} of
    {false, not_found} -> [];
    {false, _} -> ok = rabbit_policy:delete(Host, Policy, Me), [<<"policy removed">>];
    {true, not_found} ->
      Must(rabbit_policy:set(Host, Policy, Everything, Definition, 0, <<"queues">>, Me)),
      [<<"policy">>];
    {true, _} -> []
  end
])
"""
