#!lua flags=allow-oom
-- delivered: record the result of an attempt to deliver an event; release the lease of its webhook if it failed.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          webhook, holder, job, event; verdict: 'delivered', 'again', 'given_up' or 'disabled'
--          after_ms: how long until the next attempt; reason: of the failure
--          pause_ms: how long to deliver nothing to the webhook, as an overloaded receiver asks; 0: it goes on
--          kept: maximum number of undelivered events to store
-- gives  'noted'; 'lost': the lease is another's, or the event is no longer the next one of its job
-- moves  nothing
-- The next event of a job is delivered only once this one is delivered or given up.
local name, holder, job, event, verdict = arg.webhook, arg.holder, arg.job, arg.event, arg.verdict
local lease, outbox, attempts = key('delivering', name), key('outbox', name), key('attempts', name)
local queue, state = key('events', name .. ':' .. job), key('webhook', name)
if redis.call('GET', lease) ~= holder or redis.call('LINDEX', queue, 0) ~= event then return 'lost' end

local function pass()
  redis.call('LPOP', queue)
  redis.call('HDEL', attempts, job)
  if redis.call('EXISTS', queue) == 1 then redis.call('ZADD', outbox, now, job) else redis.call('ZREM', outbox, job) end
end

if verdict == 'delivered' then
  pass()
  redis.call('HINCRBY', state, 'delivered', 1)
  redis.call('HDEL', state, 'failing_since_ms', 'reason')
  return 'noted'
end
redis.call('DEL', lease)
redis.call('HINCRBY', state, 'attempts_failed', 1)
redis.call('HSETNX', state, 'failing_since_ms', now)
redis.call('HSET', state, 'reason', arg.reason)
if arg.pause_ms > 0 then redis.call('SET', key('paused', name), '1', 'PX', arg.pause_ms) end
if verdict == 'disabled' then redis.call('HSET', state, 'disabled_ms', now)
elseif verdict == 'again' then
  redis.call('HINCRBY', attempts, job, 1)
  redis.call('ZADD', outbox, 'XX', now + arg.after_ms, job)
else
  pass()
  redis.call('HINCRBY', state, 'given_up', 1)
  local undelivered = key('undelivered', name)
  redis.call('ZADD', undelivered, now, job .. '|' .. event)
  local dropped = redis.call('ZREMRANGEBYRANK', undelivered, 0, -1 - arg.kept)
  if dropped > 0 then redis.call('HINCRBY', state, 'dropped', dropped) end
end
return 'noted'
