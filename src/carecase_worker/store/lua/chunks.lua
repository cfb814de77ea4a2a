-- Functions on chunks that the operations share: placing jobs, opening chunks, queueing small ones, giving them back,
-- taking leases, and the circuit breaker. Put after the prelude, before each operation's text.

-- A group has small chunks of many jobs. A process that claims one also claims the others that are ready. So one
-- notification is enough for `per_notification` of them, and none is needed if a process is awake or has just been
-- notified: it is expected to look for ready chunks within these times, in ms.
local per_notification, notified_ms, awake_ms = 64, 50, 100

-- Return whether a chunk may be claimed in a group: it is small, its job's place in the order of acceptance is final,
-- and no attempt has failed for a reason that may lie in the chunk. `weight` is the room that it takes in a group.
local function is_for_groups(job, n, weight, unsettled)
  if not weight or weight == '' or unsettled == '1' then return false end
  for _, what in ipairs(redis.call('HMGET', key('lease', job), n .. ':deaths', n .. ':faults', n .. ':too_slow')) do
    if what and what ~= '0' then return false end
  end
  return true
end

-- Put a small chunk into the queue of ready ones; return whether to notify for it.
local function line_up(database, member, seq)
  local ready, awake = key('ready', database), key('awake', database)
  redis.call('ZADD', ready, seq, member)
  if redis.call('EXISTS', awake) == 1 and redis.call('ZCARD', ready) % per_notification ~= 0 then return false end
  redis.call('SET', awake, '', 'PX', notified_ms)
  return true
end

-- Put a due chunk back into the queue of ready ones, if it may be claimed in a group and has no holder; return whether
-- it was put there.
local function line_up_again(database, job, n)
  local weight, unsettled, seq, opened = unpack(redis.call('HMGET', key('job', job), 'weight', 'unsettled', 'seq', 'opened'))
  if opened == '0' or not is_for_groups(job, n, weight, unsettled)
    or redis.call('HEXISTS', key('lease', job), n .. ':holder') == 1 then
    return false
  end
  redis.call('ZADD', key('ready', database), seq, job .. ':' .. n)
  return true
end

-- Open the next chunk of a job; add "job:n" to `to_notify` if it must be notified for. False if all are open.
local function open_next(job, database, renotify_after_ms, to_notify)
  local record = key('job', job)
  local opened, chunks, weight, seq, unsettled = unpack(redis.call('HMGET', record,
    'opened', 'chunks', 'weight', 'seq', 'unsettled'))
  if not opened or tonumber(opened) >= tonumber(chunks) then return false end
  redis.call('HINCRBY', record, 'opened', 1)
  if opened == '0' then redis.call('SADD', key('working', database), job) end
  local member = job .. ':' .. opened
  redis.call('ZADD', key('due', database), now + renotify_after_ms, member)
  if not is_for_groups(job, opened, weight, unsettled) or line_up(database, member, seq) then to_notify[#to_notify + 1] = member end
  return true
end

-- Open the first chunks of a job, as many as one job may have open; none if it was opened before.
local function open_first(job, database, width, renotify_after_ms, to_notify)
  if redis.call('HGET', key('job', job), 'opened') ~= '0' then return end
  for _ = 1, width do
    if not open_next(job, database, renotify_after_ms, to_notify) then return end
  end
end

-- Mark a job as unplaced. Its first chunk represents it in `due`; add "job:0" to `to_notify` if it needs a
-- notification.
local function leave_unplaced(job, database, seq, renotify_after_ms, to_notify)
  redis.call('ZADD', key('unplaced', database), seq, job)
  redis.call('ZADD', key('due', database), now + renotify_after_ms, job .. ':0')
  local awake = key('awake', database)
  if redis.call('EXISTS', awake) == 1 then return end
  redis.call('SET', awake, '', 'PX', notified_ms)
  to_notify[#to_notify + 1] = job .. ':0'
end

-- Return the number of shares of the workers' time: jobs of this database being applied, times busy databases.
local function shares_of(database)
  return math.max(1, redis.call('SCARD', key('working', database)) * redis.call('SCARD', prefix .. 'busy'))
end

-- Remove a holder from a chunk, unless another process holds the chunk by now.
local function clear_holder(holder, member)
  if holder and redis.call('HGET', prefix .. 'holding', member) == holder then
    redis.call('HDEL', prefix .. 'holding', member)
  end
end

-- Return the chunks that a holder holds, in order.
local function held_by(holder)
  local held, all = {}, redis.call('HGETALL', prefix .. 'holding')
  for i = 1, #all, 2 do
    if all[i + 1] == holder then held[#held + 1] = all[i] end
  end
  table.sort(held)
  return held
end

-- Give back all chunks of a holder except some: the response with its claims on the others was lost. They become due
-- now, and do not count as failed attempts. Return them, in order.
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
        if redis.call('GET', key('circuit', database)) == holder then redis.call('DEL', key('circuit', database)) end
        given[#given + 1] = {member, database}
      end
    end
  end
  return given
end

-- The longest possible wait. A longer one dates from before the clock was set back, and counts as over.
local function longest_ms(lease_ms) return math.max(60000, 10 * tonumber(lease_ms)) end

-- A database's clock of failures, which the retry deadline goes by: it runs from one failed attempt to the next, for no
-- longer than anything waits. So it stands while nobody tries, and jobs of a database that is away share its time.

-- Return the reading of the clock in ms.
local function failing_ms(database, lease_ms)
  local ms, last_ms = unpack(redis.call('HMGET', key('failing', database), 'ms', 'last_ms'))
  local since_last = math.max(0, now - tonumber(last_ms or now))
  return tonumber(ms or 0) + math.min(since_last, longest_ms(lease_ms))
end

-- Advance the clock after a failed attempt; return its reading.
local function note_failure(database, lease_ms)
  local ms = failing_ms(database, lease_ms)
  redis.call('HSET', key('failing', database), 'ms', whole(ms), 'last_ms', now)
  return ms
end

-- A circuit breaker per database: an attempt that cannot reach the database opens its circuit for a while, during which
-- nothing is attempted. Then the circuit is half open while one attempt probes (`circuit` has its holder, and lasts as
-- long as its lease), and closed once any attempt gets a response. `failures` counts the consecutive attempts that could
-- not reach it.

-- Return for how many ms the circuit of a database is still open, or half open; 0 if it is closed.
local function circuit_open_ms(database, lease_ms)
  local open_ms = redis.call('PTTL', key('circuit', database))
  if open_ms <= longest_ms(lease_ms) then return math.max(0, open_ms) end
  redis.call('DEL', key('circuit', database))
  return 0
end

-- Return the place in the order of acceptance up to which all jobs of a database are final.
local function final_up_to(database)
  local oldest = redis.call('ZRANGE', key('open', database), 0, 0, 'WITHSCORES')[2]
  return oldest and whole(tonumber(oldest) - 1) or redis.call('GET', key('seq', database)) or '0'
end

-- Take the lease of a chunk for a holder; return the verdict, and the facts that `claim` returns with it.
-- An expired lease counts as one process death.
local function take(job, n, lease_ms, holder)
  local record, lease, member = key('job', job), key('lease', job), job .. ':' .. n
  local function verdict(name, values)
    values = values or {}
    values.chunk, values.verdict = member, name
    return values
  end

  local database, state, opened = unpack(redis.call('HMGET', record, 'database', 'state', 'opened'))
  if not database then return verdict('gone') end
  local due = key('due', database)
  redis.call('ZREM', key('ready', database), member)
  if redis.call('HEXISTS', key('outcome', job), n) == 1 then
    redis.call('ZREM', due, member)
    return verdict('done')
  end
  if not redis.call('ZSCORE', due, member) then
    if is_final(state) then return verdict('gone') end
    return verdict('busy', {holder = ''})
  end
  if opened == '0' then return verdict('unplaced', {database = database}) end

  local held_till, its_holder, deaths, releases, faults, too_slow, isolation = unpack(redis.call('HMGET', lease,
    n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults', n .. ':too_slow', n .. ':isolation'))
  deaths = tonumber(deaths or 0)
  if its_holder then
    local left_ms = tonumber(held_till) - now
    if left_ms > 0 and left_ms <= longest_ms(lease_ms) and its_holder ~= holder then return verdict('busy', {holder = its_holder}) end
    if its_holder ~= holder then
      deaths = deaths + 1
      observe(database, 'lease_expired')
      clear_holder(its_holder, member)
    end
  end

  -- the circuit is open: make the chunk due now, so that it is claimed when the circuit closes; the probe itself passes
  local open_ms = circuit_open_ms(database, lease_ms)
  if open_ms > 0 and redis.call('GET', key('circuit', database)) ~= holder then
    redis.call('ZADD', due, 'XX', now, member)
    redis.call('HDEL', lease, n .. ':until', n .. ':holder')
    clear_holder(holder, member)
    redis.call('HSET', lease, n .. ':deaths', deaths)
    if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'waiting') end
    return verdict('circuit_open', {open_ms = open_ms})
  end

  local till = now + tonumber(lease_ms)
  local payload = redis.call('HGET', key('payload', job), n)
  if not payload then return verdict('gone') end
  redis.call('HSET', lease, n .. ':until', till, n .. ':holder', holder, n .. ':deaths', deaths)
  redis.call('ZADD', due, 'XX', till, member)
  redis.call('HSET', prefix .. 'holding', member, holder)
  local is_first = redis.call('HSETNX', record, 'started_us', whole(now_us)) == 1
  if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
  -- half open: one attempt at a time probes whether the database is back
  local failures = tonumber(redis.call('GET', key('failures', database)) or 0)
  if failures > 0 then redis.call('SET', key('circuit', database), holder, 'PX', lease_ms) end
  local care_plan, user, seq, strict, accepted_us, unsettled, moved, client, total, chunks, data_key, signature,
    traceparent, failing_from_ms, dry_run = unpack(redis.call('HMGET', record, 'care_plan', 'user', 'seq', 'strict', 'accepted_us', 'unsettled',
    'moved', 'client', 'total', 'chunks', 'data_key', 'signature', 'traceparent', 'failing_from_ms', 'dry_run'))
  if dry_run == '1' then
    -- jobs only become final, never open again: the first chunk saw the smallest number
    if is_first then redis.call('HSET', record, 'saw_seq', final_up_to(database)) end
  elseif is_first then observe_since(database, 'waited', accepted_us or seq .. '000') end
  return verdict(state == 'cancelling' and 'cancel' or 'apply', {payload = payload, deaths = deaths,
    releases = tonumber(releases or 0), faults = tonumber(faults or 0), too_slow = tonumber(too_slow or 0), isolation = isolation or '',
    failures = failures, failing_for_ms = failing_from_ms and failing_ms(database, lease_ms) - tonumber(failing_from_ms) or 0,
    database = database, care_plan = care_plan ~= '' and number(care_plan) or nil, user = user, seq = number(seq),
    strict = strict == '1', accepted_us = number(accepted_us or seq .. '000'), unsettled = unsettled == '1',
    moved = moved and number(moved) or nil, client = client, total = number(total), chunks = number(chunks), data_key = data_key or '',
    signature = signature or '', traceparent = traceparent or '', dry_run = dry_run == '1'})
end

-- Take the leases of ready chunks, in order of acceptance, while they fit and have the same care plan guard; append the
-- results of `take` to `taken`. A process that takes any counts as awake for a while. After an attempt that could not
-- reach the database none is taken: its circuit is open, or half open for one chunk.
local function take_ready(database, lease_ms, holder, room, most, guarded, taken)
  if redis.call('EXISTS', key('failures', database)) == 1 then return end
  for _, member in ipairs(redis.call('ZRANGE', key('ready', database), 0, most - 1)) do
    local job, n = string.match(member, '^(.*):(.*)$')
    local weight, care_plan, unsettled = unpack(redis.call('HMGET', key('job', job), 'weight', 'care_plan', 'unsettled'))
    local is_guarded = care_plan ~= ''
    if not is_for_groups(job, n, weight, unsettled) then
      redis.call('ZREM', key('ready', database), member) -- it is gone, or must be claimed alone: the sweep notifies for it
    elseif tonumber(weight) > room or #taken >= most then
      break
    elseif guarded == nil or is_guarded == guarded then
      local one = take(job, n, lease_ms, holder)
      if one.payload then
        room, guarded = room - tonumber(weight), is_guarded
        taken[#taken + 1] = one
      end
    end
  end
  if #taken > 0 then redis.call('SET', key('awake', database), '', 'PX', awake_ms) end
end

-- Return a reply whose values include chunks as `take` returns them; their raw payloads follow it.
local function reply_with(values, taken)
  local payloads = {}
  for _, one in ipairs(taken) do
    payloads[#payloads + 1], one.payload = one.payload, nil
  end
  return {reply(values), unpack(payloads)}
end

-- Claim the next work of a holder: a job to place, ready small chunks, or else the chunk `opened`.
local function following(database, lease_ms, holder, room, most, opened)
  local unplaced = redis.call('ZRANGE', key('unplaced', database), 0, 0)[1]
  if unplaced then return {{chunk = unplaced .. ':0', verdict = 'unplaced', database = database}} end
  local taken = {}
  take_ready(database, lease_ms, holder, room, most, nil, taken)
  if #taken == 0 and opened then
    local job, n = string.match(opened, '^(.*):(.*)$')
    taken[1] = take(job, n, lease_ms, holder)
  end
  return taken
end

-- Return the last ready chunk, if another process is worth a notification: as many are left as a process has just
-- taken. At most once per `awake_ms`, since the other process stays awake.
local function last_beyond(database, taken)
  local ready = key('ready', database)
  if redis.call('ZCARD', ready) < taken or not redis.call('SET', key('joined', database), '', 'PX', awake_ms, 'NX') then return end
  return redis.call('ZRANGE', ready, -1, -1)[1]
end

-- Return the opened chunks to notify for: without the caller's `own` and those that it takes. If it leaves as many as
-- it takes, also notify for one of the rest. If it takes none, also notify for a job to place, or for the first ready
-- chunk.
local function notify_for(database, to_notify, taken, own)
  for _, one in ipairs(taken) do own[one.chunk] = true end
  local wanted, is_ready_notified = {}, false
  for _, member in ipairs(to_notify) do
    if not own[member] then
      wanted[#wanted + 1], own[member] = member, true
      is_ready_notified = is_ready_notified or redis.call('ZSCORE', key('ready', database), member) ~= false
    end
  end
  if #taken > 0 then
    local last = last_beyond(database, #taken)
    if last and not own[last] then wanted[#wanted + 1] = last end
    return wanted
  end
  redis.call('DEL', key('awake', database))
  local unplaced = redis.call('ZRANGE', key('unplaced', database), 0, 0)[1]
  local first = unplaced and unplaced .. ':0' or redis.call('ZRANGE', key('ready', database), 0, 0)[1]
  if first then
    redis.call('SET', key('awake', database), '', 'PX', notified_ms)
    if unplaced or not is_ready_notified then wanted[#wanted + 1] = first end
  end
  return wanted
end
