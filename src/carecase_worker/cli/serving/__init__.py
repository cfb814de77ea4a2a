"""Commands that run one role of the service, or all, until stopped."""
