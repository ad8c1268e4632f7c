# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in: keepalived, which moves the gateway addresses, and HAProxy, which sends to a node that serves."""
