#!lua flags=allow-oom
-- overdue: which open chunks of a database to ring for now.
-- KEYS   1 prefix
-- ARGV   1 database, 2 now_ms, 3 ring_at_ms (when to ring again), 4 doorbells still waiting in the queue, 5 limit
-- gives  "job:n"...; each has been moved on to ring_at_ms, so that two sweepers do not ring for the same one
-- moves  nothing
-- While doorbells wait in the queue, most overdue chunks have theirs among them: only the surplus is rung for, and
-- always a few of the oldest, in case theirs was lost. A database that is left alone is not rung for.
if redis.call('EXISTS', key('pause', ARGV[1])) == 1 then return {} end
local due = key('due', ARGV[1])
local overdue = redis.call('ZCOUNT', due, '-inf', ARGV[2])
local surplus = math.max(overdue - tonumber(ARGV[4]), math.min(overdue, 10))
local members = redis.call('ZRANGEBYSCORE', due, '-inf', ARGV[2], 'LIMIT', 0, math.min(surplus, tonumber(ARGV[5])))
for _, member in ipairs(members) do redis.call('ZADD', due, 'XX', ARGV[3], member) end
return members
