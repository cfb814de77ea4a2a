"""The routes of jobs: status, result, cancel, purge, resubmission, and waiting for the end."""
