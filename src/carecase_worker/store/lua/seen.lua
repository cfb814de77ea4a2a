#!lua flags=allow-oom
-- seen: note that a worker is alive.
-- KEYS   1 prefix
-- ARGV   1 arguments: worker; ahead_ms: by how much its host's clock is ahead of Redis's, if it knows
-- gives  now_ms, by Redis's clock
-- moves  nothing
-- Workers that were not seen for a minute are removed, and those seen in the future, before the clock was set back.
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
