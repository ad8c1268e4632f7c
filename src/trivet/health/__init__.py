# SPDX-License-Identifier: GPL-3.0-or-later
"""What every look at a service needs: facts, questions that end in time, findings, what is expected.

The services stand above it (:mod:`trivet.services`), and the verdict above these (:mod:`trivet.verdict`). Standard
library only: the nodes run this from a zipapp.
"""
