"""Workers as the store sees them: their heartbeats, their clocks, and work that none of them takes."""
