"""The audit log: one line per access to cases, hash-chained so that tampering is evident."""
