#!lua flags=allow-oom
-- replay: queue undelivered events of a webhook for delivery again, enable the webhook, and end its pause.
-- KEYS   1 prefix
-- ARGV   1 arguments: webhook; limit: maximum number; kept_ms: maximum time to keep them
-- gives  the number of events; all that are queued are due now
-- moves  nothing
local name = arg.webhook
local undelivered, outbox = key('undelivered', name), key('outbox', name)
redis.call('HDEL', key('webhook', name), 'disabled_ms', 'failing_since_ms', 'reason')
redis.call('DEL', key('paused', name))
local events = redis.call('ZRANGE', undelivered, 0, arg.limit - 1)
for _, member in ipairs(events) do
  local job, event = string.match(member, '^(.-)|(.*)$')
  local queue = key('events', name .. ':' .. job)
  redis.call('ZREM', undelivered, member)
  redis.call('RPUSH', queue, event)
  redis.call('PEXPIRE', queue, arg.kept_ms)
  redis.call('ZADD', outbox, now, job)
end
for _, job in ipairs(redis.call('ZRANGEBYSCORE', outbox, '(' .. now, '+inf', 'LIMIT', 0, arg.limit)) do
  redis.call('ZADD', outbox, now, job)
end
return #events
