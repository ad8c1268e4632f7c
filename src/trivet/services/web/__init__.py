# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx and PHP-FPM, which run the application."""
