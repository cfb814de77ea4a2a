"""Parsing of requests: headers, parameters, preferences, paging and content negotiation."""
