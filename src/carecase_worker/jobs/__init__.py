"""What Redis holds: jobs, chunks, outcomes, doorbells."""
