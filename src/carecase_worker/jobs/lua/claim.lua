#!lua flags=allow-oom
-- claim: take the lease of a chunk.
-- KEYS   1 prefix
-- ARGV   1 job, 2 chunk, 3 now_ms, 4 lease_ms, 5 holder
-- gives  {'apply' or 'cancel', payload, deaths, releases, faults, failures, database, care plan, user, seq, strict,
--         failing_since_ms or false}: the lease is the caller's until now + lease_ms; 'cancel' if the job is to be
--         cancelled. failures: attempts in a row that found the database away; failing_since_ms: the job's first one
--        {'done'}: it has its outcome
--        {'gone'}: there is no such job or payload
--        {'busy', holder}: another has the lease, or the chunk is not open yet (then holder is "")
--        {'held', ms}: its database is left alone for so long
-- moves  queued, waiting -> running ('apply'); queued, running, waiting -> waiting ('held')
-- A chunk whose holder let the lease run out has died once more.
local job, n, now, holder = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local record, lease = key('job', job), key('lease', job)

local database, state = unpack(redis.call('HMGET', record, 'database', 'state'))
if not database then return {'gone'} end
local due, member = key('due', database), job .. ':' .. n
if redis.call('HEXISTS', key('outcome', job), n) == 1 then
  redis.call('ZREM', due, member)
  return {'done'}
end
if not redis.call('ZSCORE', due, member) then
  if state == 'completed' or state == 'cancelled' then return {'gone'} end
  return {'busy', ''}
end

local till, held_by, deaths, releases, faults =
  unpack(redis.call('HMGET', lease, n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults'))
deaths = tonumber(deaths or 0)
if held_by then
  if tonumber(till) > now and held_by ~= holder then return {'busy', held_by} end
  if held_by ~= holder then
    deaths = deaths + 1
    let_go(held_by, member)
  end
end

-- whoever is held is due as soon as the pause is over
local pause = key('pause', database)
local pause_ms = redis.call('PTTL', pause)
if pause_ms > 0 then
  redis.call('ZADD', due, 'XX', now, member)
  redis.call('HDEL', lease, n .. ':until', n .. ':holder')
  let_go(holder, member)
  redis.call('HSET', lease, n .. ':deaths', deaths)
  if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'waiting') end
  return {'held', pause_ms}
end

local payload = redis.call('HGET', key('payload', job), n)
if not payload then return {'gone'} end
redis.call('HSET', lease, n .. ':until', now + tonumber(ARGV[4]), n .. ':holder', holder, n .. ':deaths', deaths)
redis.call('ZADD', due, 'XX', now + tonumber(ARGV[4]), member)
redis.call('HSET', prefix .. 'holding', holder, member)
redis.call('HSETNX', record, 'started_ms', ARGV[3])
if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
-- one attempt at a time finds out whether a database that was away is back
local failures = tonumber(redis.call('GET', key('failures', database)) or 0)
if failures > 0 then redis.call('SET', pause, holder, 'PX', ARGV[4]) end
return {state == 'cancelling' and 'cancel' or 'apply', payload, deaths, tonumber(releases or 0), tonumber(faults or 0),
  failures, database, unpack(redis.call('HMGET', record, 'care_plan', 'user', 'seq', 'strict', 'failing_since_ms'))}
