"""Wake-ups of those who wait for jobs or listen to them."""
