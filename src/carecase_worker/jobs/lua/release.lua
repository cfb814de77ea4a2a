#!lua flags=allow-oom
-- release: give a chunk back, to be tried again later; its database may be left alone meanwhile.
-- KEYS   1 prefix
-- ARGV   1 job, 2 chunk, 3 holder, 4 after_ms (how long until it is tried again),
--        5 pause_ms (how long to leave the database alone, 0 not at all), 6 "1" if nobody knows why the attempt failed,
--        7 "1" if the database is to blame, 8 what it failed with, 9 "1" if the attempt came to no end in its time
-- gives  'released', 'lost' (the lease is another's, or the chunk is done), 'gone' (there is no such job)
-- moves  running -> waiting
local job, n = ARGV[1], ARGV[2]
local record, lease = key('job', job), key('lease', job)
local database, state = unpack(redis.call('HMGET', record, 'database', 'state'))
if not database then return 'gone' end
if redis.call('HGET', lease, n .. ':holder') ~= ARGV[3] then return 'lost' end
redis.call('HDEL', lease, n .. ':until', n .. ':holder')
let_go(ARGV[3], job .. ':' .. n)
redis.call('HINCRBY', lease, n .. ':releases', 1)
if ARGV[9] == '1' then redis.call('HINCRBY', lease, n .. ':too_slow', 1) end
redis.call('ZADD', key('due', database), 'XX', now + tonumber(ARGV[4]), job .. ':' .. n)
if ARGV[6] == '1' then redis.call('HINCRBY', lease, n .. ':faults', 1)
elseif ARGV[7] == '1' then
  redis.call('HSETNX', record, 'failing_since_ms', now)
  redis.call('HSETNX', key('trouble', database), 'since_ms', now)
  redis.call('HSET', key('trouble', database), 'reason', ARGV[8])
end
if tonumber(ARGV[5]) > 0 then
  redis.call('INCR', key('failures', database))
  redis.call('SET', key('pause', database), '', 'PX', ARGV[5])
elseif redis.call('GET', key('pause', database)) == ARGV[3] then
  redis.call('DEL', key('pause', database)) -- the holder was a probe, and the database has answered
end
if state == 'running' then redis.call('HSET', record, 'state', 'waiting') end
return 'released'
