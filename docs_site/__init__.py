"""The documentation site: its hooks for MkDocs, the pages that are made of code, and its pictures."""
