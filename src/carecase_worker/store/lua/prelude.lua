-- Functions that the operations share: arguments and replies, key names, the clock, and the usage counts.
-- Put before each operation. `prefix` is KEYS[1]: every key of the job store starts with it; the names are those of
-- keys.py. `arg` has the arguments by their names: ARGV[1] is a map in msgpack. Binary and large arguments follow
-- it in ARGV.
local prefix, arg = KEYS[1], cmsgpack.unpack(ARGV[1])

-- Return a reply: values by their names, in msgpack.
local function reply(values) return cmsgpack.pack(values) end

-- Estimated overhead in bytes of a job (its record with the wrapped data key, its list entries, its idempotency record)
-- and of a chunk (its hash fields). Payloads and results are counted by their sealed size.
local record_bytes, chunk_bytes = 4096, 256

-- Return the bytes counted for some chunks with payloads of so many bytes.
local function size_of(bytes, chunks) return tonumber(bytes) + chunk_bytes * tonumber(chunks) end

local function key(kind, name) return prefix .. kind .. ':' .. name end

-- Return whether a state is final.
local function is_final(state) return state == 'completed' or state == 'cancelled' end

-- Convert to a number; anything else stays as it is, so that its reader refuses it.
local function number(text) return tonumber(text) or text end

-- Return an integer as text; Lua would write a large one as 1.7e+15.
local function whole(number) return string.format('%.0f', number) end

-- The job store's only clock is Redis's: a host with a wrong clock makes no work late, lost or done twice.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000) -- ms

-- Upper bounds in ms of the histogram buckets of durations; measures.py has the same bounds.
local bounds_ms = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 900000, 3600000}
local observed = {}

-- Count one or several events of a database.
local function observe(database, what, times)
  local field = database .. '|' .. what
  observed[field] = (observed[field] or 0) + (times or 1)
end

-- Observe the duration of a job from its acceptance until now; never negative, even if the clock was set back.
local function observe_since(database, what, accepted_us)
  local took_us, bound = math.max(0, now_us - tonumber(accepted_us)), 'inf'
  for _, bound_ms in ipairs(bounds_ms) do
    if took_us <= bound_ms * 1000 then
      bound = bound_ms
      break
    end
  end
  observe(database, what .. '|' .. bound)
  observe(database, what .. '|us', took_us)
end

-- Add all observations to `measures`: once per operation, so that a group costs no more than a chunk.
local function keep_observed()
  for field, by in pairs(observed) do redis.call('HINCRBY', prefix .. 'measures', field, whole(by)) end
end

-- Add to a usage count of a client and of its database; `by` may be negative.
local function count(database, client, what, by)
  redis.call('HINCRBY', key('kept', database), what, by)
  redis.call('HINCRBY', key('kept', database), what .. ':' .. client, by)
end

-- Subtract the staged chunks of a batch from the usage counts.
local function unstage(database, client, job)
  local kept = key('kept', database)
  local bytes = redis.call('HGET', kept, 'staged:' .. job)
  if not bytes then return end
  redis.call('HDEL', kept, 'staged:' .. job)
  redis.call('ZREM', key('leaving', database), client .. '|' .. job .. '|staged|0')
  count(database, client, 'bytes', -tonumber(bytes))
end

-- Remove a result from the list and the usage counts; the record remains, and is counted until it expires.
local function forget(database, client, job, bytes)
  redis.call('ZREM', key('jobs', database .. ':' .. client), job)
  count(database, client, 'jobs', -1)
  local left, till = 0, redis.call('PEXPIRETIME', key('job', job))
  if till > now then
    left = math.min(record_bytes, tonumber(bytes))
    redis.call('ZADD', key('leaving', database), till, client .. '|' .. job .. '|record|' .. left)
  end
  count(database, client, 'bytes', left - tonumber(bytes))
  count(database, client, 'done', left - tonumber(bytes))
end

-- Drop the payload of a final job; another job has its items.
local function drop_payload(database, client, job)
  local payload, leaving, bytes = key('payload', job), key('leaving', database), 0
  for _, n in ipairs(redis.call('HKEYS', payload)) do bytes = bytes + redis.call('HSTRLEN', payload, n) end
  redis.call('UNLINK', payload)
  local size, name = redis.call('HGET', key('job', job), 'size'), client .. '|' .. job .. '|result|'
  local till = redis.call('ZSCORE', leaving, name .. size)
  if not till then return end
  redis.call('ZREM', leaving, name .. size)
  redis.call('ZADD', leaving, till, name .. whole(redis.call('HINCRBY', key('job', job), 'size', -bytes)))
  count(database, client, 'bytes', -bytes)
  count(database, client, 'done', -bytes)
end

-- Subtract at most `limit` expired entries from the usage counts; return their number.
local function leave(database, limit)
  local leaving = key('leaving', database)
  local over = redis.call('ZRANGEBYSCORE', leaving, '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(over) do
    redis.call('ZREM', leaving, member)
    local client, job, what, bytes = string.match(member, '^(.*)|(.*)|(.*)|(.*)$')
    if what == 'staged' then unstage(database, client, job)
    elseif what == 'result' then forget(database, client, job, bytes)
    else
      count(database, client, 'bytes', -tonumber(bytes))
      count(database, client, 'done', -tonumber(bytes))
    end
  end
  return #over
end

-- Return nil if a job of `size` bytes fits, else {verdict, whose}. `limits` has the maximum jobs and bytes of a client
-- and of a database. The limit is 'used' up by results, until they expire or are purged, or 'crowded' by work that ends
-- soon. Staged chunks of the job itself are already counted, and do not count twice.
local function no_room(database, client, job, size, limits)
  local kept = redis.call('HMGET', key('kept', database), 'jobs:' .. client, 'bytes:' .. client, 'done:' .. client,
    'jobs', 'bytes', 'done', 'staged:' .. job)
  for i, whose in ipairs({'client', 'database'}) do
    local jobs, bytes, done = tonumber(kept[3 * i - 2] or 0), tonumber(kept[3 * i - 1] or 0), tonumber(kept[3 * i] or 0)
    local most = limits[whose]
    if jobs + 1 > most.jobs or done + size > most.bytes then return {verdict = 'used', whose = whose} end
    if bytes - tonumber(kept[7] or 0) + size > most.bytes then return {verdict = 'crowded', whose = whose} end
  end
end

-- As `no_room`, after expired entries are subtracted; before a refusal, nearly all of them.
local function refused(database, client, job, size, limits)
  leave(database, 100)
  local why = no_room(database, client, job, size, limits)
  if why and leave(database, 10000) > 0 then why = no_room(database, client, job, size, limits) end
  return why
end
