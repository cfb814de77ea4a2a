#!lua flags=allow-oom
-- bury: take back what a process held that is no more.
-- KEYS   1 prefix
-- ARGV   1 holder
-- gives  {database, "job:n"}: the chunk has died once more and is due now; {}: the process held nothing
-- moves  nothing
local holder = ARGV[1]
local member = redis.call('HGET', prefix .. 'holding', holder)
if not member then return {} end
redis.call('HDEL', prefix .. 'holding', holder)
local job, n = string.match(member, '^(.*):(%d+)$')
local database, lease = redis.call('HGET', key('job', job), 'database'), key('lease', job)
if not database or redis.call('HGET', lease, n .. ':holder') ~= holder then return {} end
redis.call('HDEL', lease, n .. ':until', n .. ':holder')
redis.call('HINCRBY', lease, n .. ':deaths', 1)
redis.call('ZADD', key('due', database), 'XX', now, member)
-- a pause that is a probe ends with the process that probes
if redis.call('GET', key('pause', database)) == holder then redis.call('DEL', key('pause', database)) end
return {database, member}
