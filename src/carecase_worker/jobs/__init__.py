"""What Redis holds: jobs, chunks, outcomes, notifications."""
