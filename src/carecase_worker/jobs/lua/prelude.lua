-- What the verbs share: key names, the two steps that open chunks, the one that notes that a holder has none, and the one that
-- takes a lease. Put before each verb's text.
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

-- Takes the lease of a chunk for a holder; what it gives is what `claim` gives.
-- A chunk whose holder let the lease run out has died once more.
local function take(job, n, now, lease_ms, holder)
  local record, lease = key('job', job), key('lease', job)

  local database, state = unpack(redis.call('HMGET', record, 'database', 'state'))
  if not database then return {'gone'} end
  local due, member = key('due', database), job .. ':' .. n
  if redis.call('HEXISTS', key('outcome', job), n) == 1 then
    redis.call('ZREM', due, member)
    return {'done'}
  end
  if not redis.call('ZSCORE', due, member) then
    if state == 'completed' or state == 'cancelled' then return {'gone'} end
    return {'busy', ''}
  end

  local held_till, held_by, deaths, releases, faults =
    unpack(redis.call('HMGET', lease, n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults'))
  deaths = tonumber(deaths or 0)
  if held_by then
    if tonumber(held_till) > now and held_by ~= holder then return {'busy', held_by} end
    if held_by ~= holder then
      deaths = deaths + 1
      let_go(held_by, member)
    end
  end

  -- whoever is held is due as soon as the pause is over
  local pause = key('pause', database)
  local pause_ms = redis.call('PTTL', pause)
  if pause_ms > 0 then
    redis.call('ZADD', due, 'XX', now, member)
    redis.call('HDEL', lease, n .. ':until', n .. ':holder')
    let_go(holder, member)
    redis.call('HSET', lease, n .. ':deaths', deaths)
    if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'waiting') end
    return {'held', pause_ms}
  end

  local till = now + tonumber(lease_ms)
  local payload = redis.call('HGET', key('payload', job), n)
  if not payload then return {'gone'} end
  redis.call('HSET', lease, n .. ':until', till, n .. ':holder', holder, n .. ':deaths', deaths)
  redis.call('ZADD', due, 'XX', till, member)
  redis.call('HSET', prefix .. 'holding', holder, member)
  redis.call('HSETNX', record, 'started_ms', string.format('%.0f', now))
  if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
  -- one attempt at a time finds out whether a database that was away is back
  local failures = tonumber(redis.call('GET', key('failures', database)) or 0)
  if failures > 0 then redis.call('SET', pause, holder, 'PX', lease_ms) end
  return {state == 'cancelling' and 'cancel' or 'apply', payload, deaths, tonumber(releases or 0), tonumber(faults or 0),
    failures, database, unpack(redis.call('HMGET', record, 'care_plan', 'user', 'seq', 'strict', 'failing_since_ms'))}
end
