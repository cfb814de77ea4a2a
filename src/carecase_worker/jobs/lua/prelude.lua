-- What the verbs share: key names, the two steps that open chunks, and the one that notes that a holder has none. Put before each verb's text.
-- `prefix` is KEYS[1]: every key of the job store starts with it; the names are those of keys.py.
local prefix = KEYS[1]

local function key(kind, name) return prefix .. kind .. ':' .. name end

-- Lets the next chunk of a job into `due`; adds "job:n" to `rung`. False if all are open already.
local function open_next(job, database, ring_at_ms, rung)
  local record = key('job', job)
  local opened, chunks = unpack(redis.call('HMGET', record, 'opened', 'chunks'))
  if not opened or tonumber(opened) >= tonumber(chunks) then return false end
  redis.call('HINCRBY', record, 'opened', 1)
  local member = job .. ':' .. opened
  redis.call('ZADD', key('due', database), ring_at_ms, member)
  rung[#rung + 1] = member
  return true
end

-- Opens the first chunks of a job, as many as one job may have open; nothing if it has been opened before.
local function open_first(job, database, width, ring_at_ms, rung)
  if redis.call('HGET', key('job', job), 'opened') ~= '0' then return end
  for _ = 1, width do
    if not open_next(job, database, ring_at_ms, rung) then return end
  end
end

-- Notes that a holder does not hold this chunk any more; it may hold another by now.
local function let_go(holder, member)
  if holder and redis.call('HGET', prefix .. 'holding', holder) == member then
    redis.call('HDEL', prefix .. 'holding', holder)
  end
end
