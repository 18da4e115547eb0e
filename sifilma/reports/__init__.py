"""Queues, home pages, lists over several packages."""
