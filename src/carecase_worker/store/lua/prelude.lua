-- Functions that the operations share: arguments and replies, key names, the clock, and the counts of what is kept.
-- Put before each operation. `prefix` is KEYS[1]: every key of the job store starts with it; the names are those of
-- keys.py. `arg` has the arguments by their names: ARGV[1] is a map in msgpack. What is not text, or is
-- large, follows it in ARGV as it is.
local prefix, arg = KEYS[1], cmsgpack.unpack(ARGV[1])

-- Return a reply: values by their names, in msgpack.
local function reply(values) return cmsgpack.pack(values) end

-- Bytes that are counted for each job (its record with the wrapped data key, its names on lists, its idempotency
-- record), and for each chunk (its places in hashes): about what they take. Payloads and results are counted as they
-- are sealed.
local record_bytes, chunk_bytes = 4096, 256

-- Return the bytes that are counted for some chunks with so many bytes of payload.
local function size_of(bytes, chunks) return tonumber(bytes) + chunk_bytes * tonumber(chunks) end

local function key(kind, name) return prefix .. kind .. ':' .. name end

-- Return whether a job in this state stays in it for ever.
local function is_final(state) return state == 'completed' or state == 'cancelled' end

-- Return a number; what is none stays as it is, so that its reader refuses it.
local function number(text) return tonumber(text) or text end

-- Return an integer as text; Lua would write a large one as 1.7e+15.
local function whole(number) return string.format('%.0f', number) end

-- The one clock of the job store is Redis's: a host whose own clock is wrong makes no work late, lost or done twice.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000) -- ms

-- Durations are counted by the highest ms of the bucket that they fall into; measures.py has the same bounds.
local bounds_ms = {5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 900000, 3600000}
local observed = {}

-- Observe an event of a database, or several.
local function observe(database, what, times)
  local field = database .. '|' .. what
  observed[field] = (observed[field] or 0) + (times or 1)
end

-- Observe how long a job took from its acceptance until now. A clock that was set back makes no negative duration.
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

-- Add what was observed to `measures`: once for each operation, so that a group costs no more than a chunk.
local function keep_observed()
  for field, by in pairs(observed) do redis.call('HINCRBY', prefix .. 'measures', field, whole(by)) end
end

-- Add to a count of what Redis keeps, for a client and for its database; `by` may be negative.
local function count(database, client, what, by)
  redis.call('HINCRBY', key('kept', database), what, by)
  redis.call('HINCRBY', key('kept', database), what .. ':' .. client, by)
end

-- Take the staged chunks of a batch off the counts.
local function unstage(database, client, job)
  local kept = key('kept', database)
  local bytes = redis.call('HGET', kept, 'staged:' .. job)
  if not bytes then return end
  redis.call('HDEL', kept, 'staged:' .. job)
  redis.call('ZREM', key('leaving', database), client .. '|' .. job .. '|staged|0')
  count(database, client, 'bytes', -tonumber(bytes))
end

-- Take a result off the list and the counts; the record, which stays, is counted until it expires.
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

-- Take things that have expired off the counts, `limit` at most; return how many there were.
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

-- Return nil if a job of `size` bytes finds room, else {verdict, whose}. `limits` has the jobs and bytes that a client
-- and a database may have kept. The room is 'used' by results, until they expire or are purged, or 'crowded' by work
-- that ends soon. Staged chunks of the job itself are counted already, and do not count against it.
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

-- As `no_room`, after expired things are taken off the counts; before a refusal, nearly all of them.
local function refused(database, client, job, size, limits)
  leave(database, 100)
  local why = no_room(database, client, job, size, limits)
  if why and leave(database, 10000) > 0 then why = no_room(database, client, job, size, limits) end
  return why
end
