#!lua flags=allow-oom
-- deliver: take the lease of a webhook, and the next event that is to be delivered to it.
-- KEYS   1 prefix
-- ARGV   1 webhook, 2 holder, 3 lease_ms
-- gives  {job, event, attempts}: deliver this event, which has failed so often; the lease is the holder's
--        {}: there is none now, or the webhook is another holder's, or it is disabled; the holder has no lease
-- moves  nothing
local name, holder, lease = ARGV[1], ARGV[2], key('delivering', ARGV[1])
local outbox, state = key('outbox', name), key('webhook', name)
local held = redis.call('GET', lease)
if held and held ~= holder then return {} end

local function next_event()
  if redis.call('HEXISTS', state, 'disabled_ms') == 1 then return end
  for _, job in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', 0, 100)) do
    local event = redis.call('LINDEX', key('events', name .. ':' .. job), 0)
    if event then return {job, event, tonumber(redis.call('HGET', key('attempts', name), job) or 0)} end
    redis.call('ZREM', outbox, job) -- its events have expired
    redis.call('HDEL', key('attempts', name), job)
  end
end

local found = next_event()
if found then redis.call('SET', lease, holder, 'PX', ARGV[3]) else redis.call('DEL', lease) end
return found or {}
