"""Pictures, tables and the HTML page."""

GENERATOR = '<meta name="generator" content="mdtheory">'
"""Stands in every page that this package writes, and so tells them from a user's."""
