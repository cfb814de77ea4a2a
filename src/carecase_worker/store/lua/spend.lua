#!lua flags=allow-oom
-- spend: count a request of a client against its rate.
-- KEYS   1 prefix
-- ARGV   1 arguments: client, us_per_request, burst
-- gives  0: the request is within the rate, and counted; else the time to wait in us, and it is not counted
-- moves  nothing
-- The only operation of which a repeated call counts twice: asking twice is two requests.
-- A bucket of `burst` tokens is stored as one number: the time, by Redis's clock, at which it is full again (GCRA).
-- The key is not written to disk or replicas: that would cost each poll an fsync, and a lost bucket counts as full.
-- Expiries do go to disk, though: a bucket is kept for a minute after it is full, so that a client that polls slowly
-- does not cause one for each poll.
redis.set_repl(redis.REPL_NONE)
local name, each, burst = key('rate', arg.client), arg.us_per_request, arg.burst
-- never more than a whole bucket ahead: a later time dates from before the clock was set back, or from a larger burst
local full_at = math.min(math.max(tonumber(redis.call('GET', name) or 0), now_us), now_us + each * burst) + each
local wait = full_at - now_us - each * burst
if wait > 0 then return math.ceil(wait) end
redis.call('SET', name, whole(full_at), 'PX', math.ceil((full_at - now_us) / 1000) + 60000)
return 0
