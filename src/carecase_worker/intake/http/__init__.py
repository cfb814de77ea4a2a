"""HTTP: protocol, headers, negotiation, paging, problems. Knows no job."""
