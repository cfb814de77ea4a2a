"""The benchmark: this system, its peers and the bare limit in one run, on the same servers."""
