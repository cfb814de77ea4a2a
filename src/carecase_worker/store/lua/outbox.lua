-- The outbox of webhooks: `announce`, with which complete and release add events of a job. Put after the chunks'
-- functions, before each operation's text. It costs nothing for a job whose client has no webhooks.

-- Maximum number of queued events of a job per webhook; beyond it no further `waiting` event is added.
local most_waiting = 20

-- Remove a job from the outbox of a webhook: its events there have expired.
local function leave_outbox(name, job)
  redis.call('ZREM', key('outbox', name), job)
  redis.call('HDEL', key('attempts', name), job)
end

-- Remove jobs with expired events from an outbox that nobody delivers from: two for each one added.
local function drop_expired(name, kept_ms)
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', key('outbox', name), '-inf', now - kept_ms, 'LIMIT', 0, 2)) do
    if redis.call('EXISTS', key('events', name .. ':' .. job)) == 0 then leave_outbox(name, job) end
  end
end

-- Add an event of a job to the outbox of each webhook that subscribes to it. `webhooks` is the job's own list of them, as
-- "crm:completed,waiting audit:cancelled". Events of a job wait in one queue for each webhook, so that they keep their
-- order; the outbox has the jobs with such a queue, by when to deliver next.
local function announce(job, webhooks, event)
  local record, text, kept_ms = key('job', job), nil, nil
  for name, wanted in string.gmatch(webhooks, '(%S+):(%S+)') do
    local queue = key('events', name .. ':' .. job)
    if string.find(',' .. wanted .. ',', ',' .. event .. ',', 1, true)
      and not (event == 'waiting' and redis.call('LLEN', queue) >= most_waiting) then
      if not text then
        local facts = redis.call('HMGET', record, 'retention_ms', 'database', 'total', 'created', 'updated', 'superseded',
          'failed', 'cancelled')
        kept_ms = 2 * tonumber(facts[1])
        for i = 4, 8 do facts[i] = facts[i] or '0' end
        text = table.concat({whole(redis.call('HINCRBY', record, 'events', 1)), event, whole(now_us), unpack(facts, 2)}, '|')
      end
      if redis.call('RPUSH', queue, text) == 1 then redis.call('ZADD', key('outbox', name), now, job) end
      redis.call('PEXPIRE', queue, kept_ms)
      drop_expired(name, kept_ms)
    end
  end
end
