# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine under the services, and the agent on it."""
