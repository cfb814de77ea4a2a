"""The delivery of events to webhooks: messages, addresses, attempts and their schedule."""
