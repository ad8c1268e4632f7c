# SPDX-License-Identifier: GPL-3.0-or-later
"""The application of a node: its releases, and the instance that customers get.

A *release* is code that a build made, read-only under ``/srv/releases/``. An *instance* is a release with what it runs
with in this environment (variables, mounts, nginx, PHP-FPM): a PHP-FPM master of its own, which sees the code at /app.
Two instances run beside each other while one takes over from the other, so no request is answered by a mix of two.
"""
