#!lua flags=allow-oom
-- deliver: take the lease of a webhook, and return the next event to deliver to it.
-- KEYS   1 prefix
-- ARGV   1 arguments: webhook, holder, lease_ms
-- gives  {job, event, failed}: deliver this event, which has failed `failed` times; the lease is the holder's
--        {job = ''}: no event is due, another holder has the lease, or the webhook is disabled or paused; the holder
--        has no lease
-- moves  nothing
local name, holder, lease = arg.webhook, arg.holder, key('delivering', arg.webhook)
local outbox, state = key('outbox', name), key('webhook', name)
local held = redis.call('GET', lease)
if held and held ~= holder then return reply{job = ''} end

local function next_event()
  if redis.call('HEXISTS', state, 'disabled_ms') == 1 or redis.call('EXISTS', key('paused', name)) == 1 then return end
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', 0, 100)) do
    local event = redis.call('LINDEX', key('events', name .. ':' .. job), 0)
    if event then
      return {job = job, event = event, failed = tonumber(redis.call('HGET', key('attempts', name), job) or 0)}
    end
    leave_outbox(name, job)
  end
end

local found = next_event()
if found then redis.call('SET', lease, holder, 'PX', arg.lease_ms) else redis.call('DEL', lease) end
return reply(found or {job = ''})
