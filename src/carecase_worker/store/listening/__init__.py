"""Wake-ups of requests that wait for jobs or listen to them, by pub/sub."""
