"""Time that has gone by for a job store: every time that it noted is moved back, since its clock is Redis's own."""

from datetime import timedelta

import redis
from tests.stores import Stores

from carecase_worker.clock import milliseconds

_MOVED_BACK = """
local prefix, ms = ARGV[1], tonumber(ARGV[2])

local function back(key, field, by)
  local moment = redis.call('HGET', key, field)
  if moment then redis.call('HSET', key, field, string.format('%.0f', tonumber(moment) - by)) end
end

local function back_in_set(key, by)
  local held = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #held, 2 do redis.call('ZADD', key, string.format('%.0f', tonumber(held[i + 1]) - by), held[i]) end
end

local cursor, keys = '0', {} -- a scan may come to a key twice
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', prefix .. '*', 'COUNT', 1000)
  cursor = found[1]
  for _, key in ipairs(found[2]) do keys[key] = true end
until cursor == '0'
for key in pairs(keys) do
  local kind = string.match(string.sub(key, #prefix + 1), '^[^:]*')
  if kind == 'due' or kind == 'outbox' or kind == 'workers' or kind == 'leaving' then back_in_set(key, ms)
  elseif kind == 'jobs' then back_in_set(key, ms * 1000)
  elseif kind == 'lease' then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.match(field, ':until$') then back(key, field, ms) end
    end
  elseif kind == 'job' or kind == 'pace' or kind == 'trouble' or kind == 'failing' then
    for _, field in ipairs({'last_ms', 'expires_ms', 'window_began_ms', 'completed_ms', 'since_ms'}) do
      back(key, field, ms)
    end
    for _, field in ipairs({'accepted_us', 'started_us', 'finished_us'}) do back(key, field, ms * 1000) end
  end
  local left = redis.call('PTTL', key)
  if left >= 0 then redis.call('PEXPIRE', key, left - ms) end
end
"""


def elapse(url: str, store: Stores, by: timedelta) -> None:
    """Let so much time go by for a job store, at once; a negative time is a clock that is set back."""
    with redis.Redis.from_url(url) as client:
        client.eval(_MOVED_BACK, 0, store.keys.prefix, milliseconds(by))
