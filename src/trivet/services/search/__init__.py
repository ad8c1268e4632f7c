# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSearch or Elasticsearch: one cluster of all nodes."""
