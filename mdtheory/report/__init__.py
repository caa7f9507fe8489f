"""Pictures, tables and the HTML page."""
