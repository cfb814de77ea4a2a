"""Jobs in Redis: chunks, outcomes, notifications, and the operations on them."""
