#!lua flags=allow-oom
-- release: give chunks of a database back, to be tried again later; optionally open the database's circuit.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          holder; chunks: {job, chunk} of each
--          after_ms: delay until they are tried again
--          open_circuit_ms: time for which to open the database's circuit, 0 for none
--          unexplained: true if the attempt failed for an unknown reason
--          counts_toward_deadline: true if the database caused the failure; reason: of the failure
--          too_slow: true if the attempt timed out; lease_ms
--          isolation: how far the search for poison items has come, or '' if it has come no further
-- gives  for each 'released', 'lost' (the lease is another's, or the chunk is done), 'gone' (there is no such job)
-- moves  running -> waiting
-- An attempt counts as one failure of the database, however many chunks it was for.
local holder = arg.holder
local opened_already = {}

local function release(job, n)
  local record, lease = key('job', job), key('lease', job)
  local database, state, client, webhooks = unpack(redis.call('HMGET', record, 'database', 'state', 'client', 'webhooks'))
  if not database then return 'gone' end
  if redis.call('HGET', lease, n .. ':holder') ~= holder then return 'lost' end
  redis.call('HDEL', lease, n .. ':until', n .. ':holder')
  clear_holder(holder, job .. ':' .. n)
  redis.call('HINCRBY', lease, n .. ':releases', 1)
  if arg.isolation ~= '' then redis.call('HSET', lease, n .. ':isolation', arg.isolation) end
  if arg.too_slow then redis.call('HINCRBY', lease, n .. ':too_slow', 1) end
  redis.call('ZADD', key('due', database), 'XX', now + arg.after_ms, job .. ':' .. n)
  if arg.unexplained then redis.call('HINCRBY', lease, n .. ':faults', 1)
  elseif arg.counts_toward_deadline then
    if redis.call('HSETNX', record, 'failing_from_ms', whole(note_failure(database, arg.lease_ms))) == 1 and webhooks and webhooks ~= '' then
      announce(job, webhooks, 'waiting') -- once per outage of its database
    end
    redis.call('HSETNX', key('trouble', database), 'since_ms', now)
    redis.call('HSET', key('trouble', database), 'reason', arg.reason)
  end
  if state == 'running' then
    redis.call('HSET', record, 'state', 'waiting')
    redis.call('PUBLISH', prefix .. 'progress', job .. '|' .. client)
  end
  if opened_already[database] then return 'released' end
  opened_already[database] = true
  if arg.open_circuit_ms > 0 then
    redis.call('INCR', key('failures', database))
    redis.call('SET', key('circuit', database), '', 'PX', arg.open_circuit_ms)
  elseif redis.call('GET', key('circuit', database)) == holder then
    redis.call('DEL', key('circuit', database)) -- the holder was the probe, and the database responded
  end
  return 'released'
end

local answer = {}
for _, one in ipairs(arg.chunks) do answer[#answer + 1] = release(one.job, one.chunk) end
return answer
