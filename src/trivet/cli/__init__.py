# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``trivet``: reads arguments, calls the API, shows what happens. No decisions live here."""
