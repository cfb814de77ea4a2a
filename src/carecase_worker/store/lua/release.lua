#!lua flags=allow-oom
-- release: give chunks of a database back, to be tried again later; the database may be left alone meanwhile.
-- KEYS   1 prefix
-- ARGV   1 holder, 2 after_ms (how long until they are tried again),
--        3 pause_ms (how long to leave the database alone, 0 not at all), 4 "1" if the attempt failed for an unknown reason,
--        5 "1" if the database is to blame, 6 the reason of its failure, 7 "1" if the attempt did not end in its time,
--        then job, chunk... of each
-- gives  for each 'released', 'lost' (the lease is another's, or the chunk is done), 'gone' (there is no such job)
-- moves  running -> waiting
-- An attempt counts as one failure of the database, however many chunks it was for.
local holder, after_ms, pause_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local paused_already = {}

local function release(job, n)
  local record, lease = key('job', job), key('lease', job)
  local database, state, client, webhooks = unpack(redis.call('HMGET', record, 'database', 'state', 'client', 'webhooks'))
  if not database then return 'gone' end
  if redis.call('HGET', lease, n .. ':holder') ~= holder then return 'lost' end
  redis.call('HDEL', lease, n .. ':until', n .. ':holder')
  let_go(holder, job .. ':' .. n)
  redis.call('HINCRBY', lease, n .. ':releases', 1)
  if ARGV[7] == '1' then redis.call('HINCRBY', lease, n .. ':too_slow', 1) end
  redis.call('ZADD', key('due', database), 'XX', now + after_ms, job .. ':' .. n)
  if ARGV[4] == '1' then redis.call('HINCRBY', lease, n .. ':faults', 1)
  elseif ARGV[5] == '1' then
    if redis.call('HSETNX', record, 'failing_since_ms', now) == 1 and webhooks and webhooks ~= '' then
      announce(job, webhooks, 'waiting') -- once for each time that its database is away
    end
    redis.call('HSETNX', key('trouble', database), 'since_ms', now)
    redis.call('HSET', key('trouble', database), 'reason', ARGV[6])
  end
  if state == 'running' then
    redis.call('HSET', record, 'state', 'waiting')
    redis.call('PUBLISH', prefix .. 'progress', job .. '|' .. client)
  end
  if paused_already[database] then return 'released' end
  paused_already[database] = true
  if pause_ms > 0 then
    redis.call('INCR', key('failures', database))
    redis.call('SET', key('pause', database), '', 'PX', pause_ms)
  elseif redis.call('GET', key('pause', database)) == holder then
    redis.call('DEL', key('pause', database)) -- the holder was a probe, and the database has answered
  end
  return 'released'
end

local answer = {}
for i = 8, #ARGV, 2 do answer[#answer + 1] = release(ARGV[i], ARGV[i + 1]) end
return answer
