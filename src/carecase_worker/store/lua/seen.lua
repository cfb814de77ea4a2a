#!lua flags=allow-oom
-- seen: record a worker's heartbeat.
-- KEYS   1 prefix
-- ARGV   1 arguments: worker; ahead_ms: ms by which its host's clock is ahead of Redis's, if known
-- gives  now_ms, by Redis's clock
-- moves  nothing
-- Removes workers without a heartbeat for a minute, and those with one in the future (the clock was set back).
local workers, ahead, minute = prefix .. 'workers', prefix .. 'clocks', 60000
redis.call('ZADD', workers, now, arg.worker)
for _, range in ipairs({{'-inf', now - minute}, {now + minute, '+inf'}}) do
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', workers, range[1], range[2])) do
    redis.call('ZREM', workers, gone)
    redis.call('HDEL', ahead, gone)
  end
end
if arg.ahead_ms then redis.call('HSET', ahead, arg.worker, arg.ahead_ms) end
return now
