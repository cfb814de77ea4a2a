#!lua flags=allow-oom
-- spend: count requests of a client against its rate.
-- KEYS   1 prefix
-- ARGV   1 arguments: client, us_per_request, burst, needed, ahead, unused
-- gives  the number of tokens taken from the client's bucket; or, if it has none, minus the time to wait in us
-- moves  nothing
-- First gives back the `unused` tokens of an earlier call. Then takes a token for each of the `needed` requests, or as
-- many as there are. Of those that would be left, it also takes up to `ahead`, a quarter at most, for the next requests:
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
local missing_us = math.min((tonumber(redis.call('GET', name)) or 0) - now_us, bucket_us) - each * arg.unused
missing_us = math.max(missing_us, 0)
local tokens = math.floor((bucket_us - missing_us) / each)
if tokens < 1 then return -math.ceil(missing_us + each - bucket_us) end
local taken = math.min(tokens, arg.needed)
taken = taken + math.min(math.floor((tokens - taken) / 4), arg.ahead)
missing_us = missing_us + taken * each
redis.call('SET', name, whole(now_us + missing_us), 'PX', math.ceil(missing_us / 1000) + 60000)
return taken
