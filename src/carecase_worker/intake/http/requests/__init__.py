"""Requests: headers, parameters, preferences, paging and the choice of a representation."""
