"""The routes of jobs: status, result, cancel, purge, retry, long poll and event streams."""
