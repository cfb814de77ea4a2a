#!lua flags=allow-oom
-- spend: count a request of a client against its rate.
-- KEYS   1 prefix
-- ARGV   1 client, 2 us_per_request, 3 burst
-- gives  0: the request is within the rate; else the us after which one would be, and this one is not counted
-- moves  nothing
-- The one operation that a repeated call changes: asking twice is two requests.
-- A bucket of `burst` tokens, as one number: the moment at which it is full again (GCRA). By Redis's own clock, so that
-- the intakes' need not agree. The key goes to no disk and no replica: it would cost each poll an fsync, and a bucket
-- that is lost is a full one. Expiries do go to disk, though: a bucket stays for a minute after it is full again, so that
-- a client that polls slowly does not cost one for each poll.
redis.set_repl(redis.REPL_NONE)
local name = key('rate', ARGV[1])
local each, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
-- never more than a whole bucket ahead: it was filled before the clock was set back, or while the burst was larger
local full_at = math.min(math.max(tonumber(redis.call('GET', name) or 0), now_us), now_us + each * burst) + each
local wait = full_at - now_us - each * burst
if wait > 0 then return math.ceil(wait) end
redis.call('SET', name, whole(full_at), 'PX', math.ceil((full_at - now_us) / 1000) + 60000)
return 0
