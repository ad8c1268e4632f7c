# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a node: one folder each, the only place that knows it.

A folder has these parts, each a module. A loop of the house asks every folder for the one value of a part that bears
its name (:mod:`trivet.services.parts`); a service that has nothing to say there lacks the module.

- ``contract.py``: ``CONTRACT``. Its ports, paths, units and backends; what the rest of the house may rely on. Imports
  nothing of Trivet: the agent, the controller and the lookup plugin ``trivet.commerce.contract`` read the same file.
- ``facts.py``: ``FACTS``, its kind of ``ServiceFacts``. What a node says of it; read by ``trivet.verdict.facts``.
- ``collect.py``: ``COLLECT``, a ``Collect``. How a node finds that out; asked by ``trivet.verdict.collect``.
- ``rules.py``: ``RULES``, a ``Rules``. What healthy means, pure; asked by ``trivet.verdict.assess``.
- ``repair.py``: ``REPAIR``, a ``Repair``. Symptoms, what can be done about them, and cheap questions for the healer's
  pulse; asked by ``trivet.agent.symptoms`` (which has the order), ``act`` and ``pulse``.
- ``flags.py``: ``FLAGS``, a ``FlagKind`` by its name. What it sets on a node for a time; ``trivet.agent.flags``.
- ``drain.py``: ``DRAIN``, a ``Drain``. What must be done before it may be drained; asked by ``trivet.agent.drain``.
- ``command.py``: its words of ``trivet-agent``, listed in ``trivet.agent.commands``.
- ``turn.py``: ``TURN``, a ``Turn``. Its part in a node's turn of a rotation; asked by ``trivet.rotation.steps``, in the
  orders that ``trivet.rotation.turn`` writes down by name. Controller only.
- ``faults.py``: ``FAULTS``, a ``Faults``. How it is broken on purpose; asked by ``trivet.chaos.scenarios``. Lab only.

What else is in a folder (a client, who holds which role) is the service's own. All but the last two is shipped to the
nodes, so it uses the standard library, ``trivet.health`` and ``trivet.node`` alone. A service may look at the facts of
another; ``proxy``, the HAProxy of each machine, is what most of them rest on.
"""
