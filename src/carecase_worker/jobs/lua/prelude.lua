-- What the verbs share: key names, the clock, what is kept and for whom, the steps that open chunks and line them up, the
-- one that notes that a holder has one no more, the one that tells whether a database is left alone, and the ones that
-- take leases. Put before each verb's text.
-- `prefix` is KEYS[1]: every key of the job store starts with it; the names are those of keys.py.
local prefix = KEYS[1]

-- What is counted for each job, for its record with the wrapped data key, its names on lists and its idempotency record,
-- and for each chunk, for its places in hashes: about what they take. Payloads and results are counted as they are sealed.
local record_bytes, chunk_bytes = 4096, 256

-- The bytes that are counted for chunks whose payloads have so many.
local function size_of(bytes, chunks) return tonumber(bytes) + chunk_bytes * tonumber(chunks) end

local function key(kind, name) return prefix .. kind .. ':' .. name end

-- An integer as text; Lua would write a large one as 1.7e+15.
local function whole(number) return string.format('%.0f', number) end

-- The one clock of the job store is Redis's: a host whose own clock is wrong makes no work late, lost or done twice.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(now_us / 1000) -- ms

-- Counts, for a client and for its database, what Redis keeps more, or less.
local function count(database, client, what, by)
  redis.call('HINCRBY', key('kept', database), what, by)
  redis.call('HINCRBY', key('kept', database), what .. ':' .. client, by)
end

-- Takes what is staged for a batch off the counts.
local function unstage(database, client, job)
  local kept = key('kept', database)
  local bytes = redis.call('HGET', kept, 'staged:' .. job)
  if not bytes then return end
  redis.call('HDEL', kept, 'staged:' .. job)
  redis.call('ZREM', key('leaving', database), client .. '|' .. job .. '|staged|0')
  count(database, client, 'bytes', -tonumber(bytes))
end

-- Takes a result off the list and the counts; the record, which stays, is counted until it goes.
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

-- Drops the payload of a final job, whose items another one has.
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

-- Takes off the counts what has gone by itself since, `limit` things at most; how many there were.
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

-- Tells if a job of `size` bytes finds room: nil, or {why, whose}. `most` has the jobs and bytes that a client, then a
-- database may have kept. It is 'used' by results, which go later or when they are purged, or 'crowded' by work that
-- ends soon. What is staged of the job is there already.
local function no_room(database, client, job, size, most)
  local kept = redis.call('HMGET', key('kept', database), 'jobs:' .. client, 'bytes:' .. client, 'done:' .. client,
    'jobs', 'bytes', 'done', 'staged:' .. job)
  for i, whose in ipairs({'client', 'database'}) do
    local jobs, bytes, done = tonumber(kept[3 * i - 2] or 0), tonumber(kept[3 * i - 1] or 0), tonumber(kept[3 * i] or 0)
    local most_jobs, most_bytes = tonumber(most[2 * i - 1]), tonumber(most[2 * i])
    if jobs + 1 > most_jobs or done + size > most_bytes then return {'used', whose} end
    if bytes - tonumber(kept[7] or 0) + size > most_bytes then return {'crowded', whose} end
  end
end

-- The same, once everything is off the counts that has gone: before anybody is refused, all of it.
local function refused(database, client, job, size, most)
  leave(database, 100)
  local why = no_room(database, client, job, size, most)
  if why and leave(database, 10000) > 0 then why = no_room(database, client, job, size, most) end
  return why
end

-- A group has small chunks of many jobs. Who takes one soon takes what is ready by then, so a doorbell does for
-- `per_ring` of them, and for none where a process is awake, or was rung for: that is expected to look within these times.
local per_ring, rung_ms, awake_ms = 64, 50, 100

-- Tells if a chunk may be taken together with others: it is small, its job's place in the order of acceptance is final,
-- and no attempt has failed at it for a reason that may lie in it. `weight` is what it takes of a group's room.
local function is_for_groups(job, n, weight, unsettled)
  if not weight or weight == '' or unsettled == '1' then return false end
  for _, what in ipairs(redis.call('HMGET', key('lease', job), n .. ':deaths', n .. ':faults', n .. ':too_slow')) do
    if what and what ~= '0' then return false end
  end
  return true
end

-- Lines a small chunk up with others; tells if it must be rung for.
local function line_up(database, member, seq)
  local ready, awake = key('ready', database), key('awake', database)
  redis.call('ZADD', ready, seq, member)
  if redis.call('EXISTS', awake) == 1 and redis.call('ZCARD', ready) % per_ring ~= 0 then return false end
  redis.call('SET', awake, '', 'PX', rung_ms)
  return true
end

-- Lines a chunk that is due up again, if it may be taken with others and nobody holds it; tells if it is.
local function line_up_again(database, job, n)
  local weight, unsettled, seq = unpack(redis.call('HMGET', key('job', job), 'weight', 'unsettled', 'seq'))
  if not is_for_groups(job, n, weight, unsettled) or redis.call('HEXISTS', key('lease', job), n .. ':holder') == 1 then
    return false
  end
  redis.call('ZADD', key('ready', database), seq, job .. ':' .. n)
  return true
end

-- Lets the next chunk of a job into `due`; adds "job:n" to `rung` if it must be rung for. False if all are open already.
local function open_next(job, database, ring_again_ms, rung)
  local record = key('job', job)
  local opened, chunks, weight, seq, unsettled = unpack(redis.call('HMGET', record,
    'opened', 'chunks', 'weight', 'seq', 'unsettled'))
  if not opened or tonumber(opened) >= tonumber(chunks) then return false end
  redis.call('HINCRBY', record, 'opened', 1)
  local member = job .. ':' .. opened
  redis.call('ZADD', key('due', database), now + ring_again_ms, member)
  if not is_for_groups(job, opened, weight, unsettled) or line_up(database, member, seq) then rung[#rung + 1] = member end
  return true
end

-- Opens the first chunks of a job, as many as one job may have open; nothing if it has been opened before.
local function open_first(job, database, width, ring_again_ms, rung)
  if redis.call('HGET', key('job', job), 'opened') ~= '0' then return end
  for _ = 1, width do
    if not open_next(job, database, ring_again_ms, rung) then return end
  end
end

-- Notes that a holder does not hold this chunk any more; another may hold it by now.
local function let_go(holder, member)
  if holder and redis.call('HGET', prefix .. 'holding', member) == holder then
    redis.call('HDEL', prefix .. 'holding', member)
  end
end

-- The chunks that a holder holds, in order.
local function held_by(holder)
  local held, all = {}, redis.call('HGETALL', prefix .. 'holding')
  for i = 1, #all, 2 do
    if all[i + 1] == holder then held[#held + 1] = all[i] end
  end
  table.sort(held)
  return held
end

-- Gives back what a holder holds beside some chunks: it has not heard of it, since the answer that told it was lost. They
-- are due now, and no attempt has failed. The chunks, in order.
local function give_back(holder, but)
  local given = {}
  for _, member in ipairs(held_by(holder)) do
    if not but[member] then
      redis.call('HDEL', prefix .. 'holding', member)
      local job, n = string.match(member, '^(.*):(.*)$')
      local database = redis.call('HGET', key('job', job), 'database')
      if database and redis.call('HGET', key('lease', job), n .. ':holder') == holder then
        redis.call('HDEL', key('lease', job), n .. ':until', n .. ':holder')
        redis.call('ZADD', key('due', database), 'XX', now, member)
        line_up_again(database, job, n)
        if redis.call('GET', key('pause', database)) == holder then redis.call('DEL', key('pause', database)) end
        given[#given + 1] = {member, database}
      end
    end
  end
  return given
end

-- Nothing waits for longer than this. What seems to is from before the clock was set back: its time has come.
local function longest_ms(lease_ms) return math.max(60000, 10 * tonumber(lease_ms)) end

-- How many ms a database is still left alone; 0 if it is not.
local function paused(database, lease_ms)
  local pause_ms = redis.call('PTTL', key('pause', database))
  if pause_ms <= longest_ms(lease_ms) then return math.max(0, pause_ms) end
  redis.call('DEL', key('pause', database))
  return 0
end

-- Takes the lease of a chunk for a holder; what it gives is what `claim` gives.
-- A chunk whose holder let the lease run out has died once more.
local function take(job, n, lease_ms, holder)
  local record, lease = key('job', job), key('lease', job)

  local database, state = unpack(redis.call('HMGET', record, 'database', 'state'))
  if not database then return {'gone'} end
  local due, member = key('due', database), job .. ':' .. n
  redis.call('ZREM', key('ready', database), member)
  if redis.call('HEXISTS', key('outcome', job), n) == 1 then
    redis.call('ZREM', due, member)
    return {'done'}
  end
  if not redis.call('ZSCORE', due, member) then
    if state == 'completed' or state == 'cancelled' then return {'gone'} end
    return {'busy', ''}
  end

  local held_till, its_holder, deaths, releases, faults, too_slow = unpack(redis.call('HMGET', lease,
    n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults', n .. ':too_slow'))
  deaths = tonumber(deaths or 0)
  if its_holder then
    local left_ms = tonumber(held_till) - now
    if left_ms > 0 and left_ms <= longest_ms(lease_ms) and its_holder ~= holder then return {'busy', its_holder} end
    if its_holder ~= holder then
      deaths = deaths + 1
      let_go(its_holder, member)
    end
  end

  -- whoever is held is due as soon as the pause is over; a probe is not held by the pause that is its own
  local pause_ms = paused(database, lease_ms)
  if pause_ms > 0 and redis.call('GET', key('pause', database)) ~= holder then
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
  redis.call('HSET', prefix .. 'holding', member, holder)
  redis.call('HSETNX', record, 'started_us', whole(now_us))
  if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
  -- one attempt at a time finds out whether a database that was away is back
  local failures = tonumber(redis.call('GET', key('failures', database)) or 0)
  if failures > 0 then redis.call('SET', key('pause', database), holder, 'PX', lease_ms) end
  local care_plan, user, seq, strict, accepted_us, unsettled, moved, client, total, chunks, data_key, signature,
    failing_since_ms = unpack(redis.call('HMGET', record, 'care_plan', 'user', 'seq', 'strict', 'accepted_us', 'unsettled',
    'moved', 'client', 'total', 'chunks', 'data_key', 'signature', 'failing_since_ms'))
  local failing_for_ms = failing_since_ms and math.max(0, now - tonumber(failing_since_ms)) or 0
  return {state == 'cancelling' and 'cancel' or 'apply', payload, deaths, tonumber(releases or 0), tonumber(faults or 0),
    tonumber(too_slow or 0), failures, failing_for_ms, database, care_plan, user, seq, strict, accepted_us or seq .. '000', unsettled or '0',
    moved or '', client, total, chunks, data_key or '', signature or ''}
end

-- Takes the leases of chunks that are lined up, in order of acceptance, while they find room and are guarded alike; adds
-- {"job:n", what `take` gives...} of each to `taken`. Who takes any is awake for a while.
local function take_ready(database, lease_ms, holder, room, most, guarded, taken)
  if most <= #taken or paused(database, lease_ms) > 0 or redis.call('EXISTS', key('failures', database)) == 1 then return end
  for _, member in ipairs(redis.call('ZRANGE', key('ready', database), 0, most - 1)) do
    local job, n = string.match(member, '^(.*):(.*)$')
    local weight, care_plan, unsettled = unpack(redis.call('HMGET', key('job', job), 'weight', 'care_plan', 'unsettled'))
    local is_guarded = care_plan ~= ''
    if not is_for_groups(job, n, weight, unsettled) then
      redis.call('ZREM', key('ready', database), member) -- it is gone, or goes alone: the sweep rings for it
    elseif tonumber(weight) > room or #taken >= most then
      break
    elseif guarded == nil or is_guarded == guarded then
      local answer = take(job, n, lease_ms, holder)
      if answer[1] == 'apply' or answer[1] == 'cancel' then
        room, guarded = room - tonumber(weight), is_guarded
        taken[#taken + 1] = {member, unpack(answer)}
      end
    end
  end
  if #taken > 0 then redis.call('SET', key('awake', database), '', 'PX', awake_ms) end
end
