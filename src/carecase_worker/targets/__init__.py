"""What a target database holds, and how cases get there."""
