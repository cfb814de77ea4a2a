"""Tokens of a client in one process: those that it has prefetched, or the time of the next one.

All times are seconds of the monotonic clock.
"""

from dataclasses import dataclass

_TOKENS_VALID_S = 0.1
"""Maximum age of prefetched tokens: the bucket fills meanwhile, so with older ones a burst could be larger."""
_REFUSAL_VALID_S = 1.0
"""Maximum age of a refusal: Redis may have lost the bucket meanwhile."""
_BUSY_S = 0.02
"""A client that takes tokens again within this time prefetches some."""
_MOST_AHEAD = 64
"""Maximum number of tokens that a call prefetches."""


@dataclass(slots=True)
class LocalBucket:
    """The tokens of one client that were taken from its bucket in Redis and not used yet, or the last refusal."""

    _tokens: int = 0
    _asked_at: float = float("-inf")
    _last_taken: int = 0
    _next_at: float = 0.0
    _refused_until: float = 0.0

    def use(self, count: int, now: float) -> int:
        """Use up to `count` tokens; return their number."""
        used = min(count, self._tokens) if now < self._asked_at + _TOKENS_VALID_S else 0
        self._tokens -= used
        return used

    def wait_s(self, now: float) -> float:
        """Return the seconds until the client has a token again; 0 if that is not known."""
        return self._next_at - now if now < min(self._next_at, self._refused_until) else 0.0

    def ahead(self, now: float) -> int:
        """Return the number of tokens to prefetch beyond those that are needed."""
        return min(2 * self._last_taken, _MOST_AHEAD) if now - self._asked_at < _BUSY_S else 0

    def unused_us(self, each_us: int, now: float) -> int:
        """Remove all tokens; return the microseconds by which the bucket would be fuller without them.

        The bucket may have become full since they were taken, and a full one cannot be fuller.
        """
        age_us, tokens, self._tokens = (now - self._asked_at) * 1e6, self._tokens, 0
        return max(0, int(tokens * each_us - age_us)) if tokens else 0

    def take(self, tokens: int, asked_at: float, used: int = 0) -> None:
        """Keep the tokens that a call at `asked_at` has taken, except those that are used at once."""
        self._tokens, self._last_taken, self._asked_at = tokens - used, tokens, asked_at
        self._next_at = 0.0

    def refuse(self, wait_s: float, answered_at: float) -> None:
        """Remember that the bucket has no token until `wait_s` seconds after the answer of Redis."""
        self._next_at, self._refused_until = answered_at + wait_s, answered_at + _REFUSAL_VALID_S
