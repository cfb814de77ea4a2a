#!lua flags=allow-oom
-- spend: count requests of a client against its rate.
-- KEYS   1 prefix
-- ARGV   1 arguments: client, us_per_request, burst, needed, ahead, unused_us
-- gives  the number of tokens taken from the client's bucket, and the time in us until it has another one
-- moves  nothing
-- First the bucket gets fuller by `unused_us`, for tokens that an earlier call took ahead. Then a token is taken for each
-- of the `needed` requests, or as many as there are, and of those left up to `ahead`, a quarter at most, for the next ones:
-- those of other processes need some, too.
-- The only operation of which a repeated call counts twice: asking twice is two requests.
-- A bucket of `burst` tokens is stored as one number: the time, by Redis's clock, at which it is full again (GCRA).
-- The key is not written to disk or replicas: that would cost each poll an fsync, and a lost bucket counts as full.
-- Expiries do go to disk, though: a bucket is kept for a minute after it is full, so that a client that polls slowly
-- does not cause one for each poll.
redis.set_repl(redis.REPL_NONE)
local name, each = key('rate', arg.client), arg.us_per_request
local bucket_us = each * arg.burst
-- never more than a whole bucket ahead: a later time dates from before the clock was set back, or from a larger burst
local missing_us = math.min((tonumber(redis.call('GET', name)) or 0) - now_us, bucket_us) - arg.unused_us
missing_us = math.max(missing_us, 0)
local tokens = math.floor((bucket_us - missing_us) / each)
local taken = math.min(tokens, arg.needed)
taken = taken + math.min(math.floor((tokens - taken) / 4), arg.ahead)
missing_us = missing_us + taken * each
if taken > 0 then
  redis.call('SET', name, whole(now_us + missing_us), 'PX', math.ceil(missing_us / 1000) + 60000)
end
return {taken, math.max(0, math.ceil(missing_us + each - bucket_us))}
