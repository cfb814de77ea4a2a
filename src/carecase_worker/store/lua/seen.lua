#!lua flags=allow-oom
-- seen: note that a worker is alive.
-- KEYS   1 prefix
-- ARGV   1 worker, 2 by how many ms its host's clock is ahead of Redis's, as far as it knows, or ""
-- gives  now_ms, by Redis's clock
-- moves  nothing
-- Workers that were not seen for a minute are removed, and those seen in the future, before the clock was set back.
local workers, ahead, minute = prefix .. 'workers', prefix .. 'clocks', 60000
redis.call('ZADD', workers, now, ARGV[1])
for _, range in ipairs({{'-inf', now - minute}, {now + minute, '+inf'}}) do
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', workers, range[1], range[2])) do
    redis.call('ZREM', workers, gone)
    redis.call('HDEL', ahead, gone)
  end
end
if ARGV[2] ~= '' then redis.call('HSET', ahead, ARGV[1], ARGV[2]) end
return now
