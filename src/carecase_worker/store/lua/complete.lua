#!lua flags=allow-oom
-- complete: store the outcomes of chunks of a database, and open the next chunks.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          holder: for which to claim the chunks that are ready or opened now, or ''
--          renotify_after_ms, lease_ms; group: {room, chunks} of a group, at most
--          done: for each chunk {job, chunk, keep, counts, answered}: true to keep the payload; the number of items by
--          outcome; true if the database responded
--        2... the packed outcomes of each chunk
-- gives  {{verdicts, shares, to_notify, following, final}, payload...}
--        verdicts: for each chunk 'kept': the outcomes were stored; 'done': earlier outcomes are stored, and stay;
--        'gone': there is no such job
--        shares: see `shares_of`
--        final: the jobs that have become final by this call
--        to_notify: 'job:n' of open chunks that need a notification
--        following: for each chunk claimed for the holder, or one that represents an unplaced job, the reply of
--        `claim`, with their payloads. If the call is repeated, chunks that the first call claimed are given back, and
--        claimed again if they are of this database and its circuit is closed
-- moves  running, waiting -> running; -> completed with the last chunk; cancelling -> cancelled with the last chunk
--        (completed, if all chunks had been applied); the jobs of following: queued, waiting -> running.
--        Jobs that become final are published on the channel `final`, one line each, with the client; jobs with a
--        completed chunk that are not final yet, on `progress`.
local names = {'created', 'updated', 'superseded', 'failed', 'cancelled'}
local database -- of all chunks
local sums, rehearsed, to_notify, own, finished = {0, 0, 0, 0, 0}, 0, {}, {}, {}
local published = {final = {}, progress = {}} -- to channels: 'job|client' of each

-- Remove one wait of a job; open the job if that was the last one.
local function wait_less(job)
  local record = key('job', job)
  local waits, width = unpack(redis.call('HMGET', record, 'waits', 'width'))
  if not waits then return end
  redis.call('HSET', record, 'waits', tonumber(waits) - 1)
  if waits == '1' then open_first(job, database, tonumber(width), arg.renotify_after_ms, to_notify) end
end

-- Remove a final job from the open ones, and open the jobs that waited for it. Does not apply to dry runs.
local function make_way(job, care_plan, dry_run)
  redis.call('SREM', key('working', database), job)
  if dry_run then return end
  local plans, open, behind = key('plans', database), key('open', database), key('behind', database)
  if redis.call('HINCRBY', plans, care_plan, -1) == 0 then redis.call('HDEL', plans, care_plan) end
  redis.call('ZREM', open, job .. '|' .. care_plan)
  redis.call('ZREM', key('unplaced', database), job)
  local after = redis.call('SMEMBERS', key('after', job))
  table.sort(after)
  for _, waiting in ipairs(after) do wait_less(waiting) end
  redis.call('UNLINK', key('after', job), key('keys', job))
  if redis.call('EXISTS', behind) == 0 then return end
  local oldest = redis.call('ZRANGE', open, 0, 0, 'WITHSCORES')[2]
  for _, waiting in ipairs(redis.call('ZRANGEBYSCORE', behind, '-inf', oldest and '(' .. oldest or '+inf')) do
    redis.call('ZREM', behind, waiting)
    wait_less(waiting)
  end
end

local function finish(job, record, client, state, size, dry_run)
  local retention, bytes, idempotency, care_plan, cancelled, webhooks, accepted_us, seq = unpack(redis.call('HMGET',
    record, 'retention_ms', 'bytes', 'idempotency', 'care_plan', 'cancelled', 'webhooks', 'accepted_us', 'seq'))
  local keys_bytes = redis.call('STRLEN', key('keys', job))
  if keys_bytes > 0 then
    size = redis.call('HINCRBY', record, 'size', -keys_bytes)
    count(database, client, 'bytes', -keys_bytes)
  end
  local expires_ms = whole(now + tonumber(retention))
  local final = tonumber(cancelled or 0) > 0 and state == 'cancelling' and 'cancelled' or 'completed'
  redis.call('HSET', record, 'state', final,
    'finished_us', whole(now_us), 'expires_ms', expires_ms)
  redis.call('PEXPIRE', record, 2 * tonumber(retention))
  for _, kind in ipairs({'outcome', 'tally', 'payload'}) do redis.call('PEXPIRE', key(kind, job), retention) end
  redis.call('ZADD', key('leaving', database), expires_ms, client .. '|' .. job .. '|result|' .. whole(size))
  count(database, client, 'done', size)
  table.insert(published.final, job .. '|' .. client)
  finished[#finished + 1] = job
  if webhooks and webhooks ~= '' then announce(job, webhooks, final) end
  if not dry_run then observe_since(database, 'final', accepted_us or seq .. '000') end
  redis.call('UNLINK', key('lease', job))
  if idempotency ~= '' then redis.call('PEXPIRE', idempotency, retention) end
  if redis.call('HINCRBY', key('backlog', database), 'jobs', -1) <= 0 then redis.call('SREM', prefix .. 'busy', database) end
  redis.call('HINCRBY', key('backlog', database), 'bytes', -tonumber(bytes))
  make_way(job, care_plan, dry_run)
end

local function complete(one, outcomes)
  local job, n = one.job, one.chunk
  local record, payload, member = key('job', job), key('payload', job), job .. ':' .. n
  local its_database, state, total, client, mode = unpack(redis.call('HMGET', record, 'database', 'state', 'total', 'client',
    'dry_run'))
  if not its_database then return 'gone' end
  local dry_run = mode == '1'
  database = its_database
  redis.call('ZREM', key('due', database), member)
  redis.call('ZREM', key('ready', database), member)
  if is_final(state) or redis.call('HSETNX', key('outcome', job), n, outcomes) == 0 then
    return 'done'
  end
  clear_holder(redis.call('HGET', key('lease', job), n .. ':holder'), member)
  redis.call('HDEL', key('lease', job),
    n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults', n .. ':too_slow',
    n .. ':isolation')
  if one.answered then
    redis.call('HDEL', record, 'failing_from_ms')
    redis.call('DEL', key('failures', database), key('circuit', database), key('trouble', database))
  else
    note_failure(database, arg.lease_ms)
  end
  local grown = #outcomes
  if not one.keep then
    grown = grown - redis.call('HSTRLEN', payload, n)
    redis.call('HDEL', payload, n)
  end
  local size = redis.call('HINCRBY', record, 'size', grown)
  count(database, client, 'bytes', grown)

  local items, tally = 0, {}
  for i, name in ipairs(names) do
    local count = one.counts[name] or 0
    tally[i] = count
    if count > 0 then
      items = items + count
      if dry_run then rehearsed = rehearsed + count else sums[i] = sums[i] + count end
      redis.call('HINCRBY', record, name, count)
    end
  end
  redis.call('HSET', key('tally', job), n, table.concat(tally, ','))
  if redis.call('HINCRBY', record, 'processed', items) == tonumber(total) then
    finish(job, record, client, state, size, dry_run)
  else
    if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
    table.insert(published.progress, job .. '|' .. client)
    open_next(job, database, arg.renotify_after_ms, to_notify)
  end
  return 'kept'
end

-- Count the items, those of dry runs separately, and measure the rate: items a second over windows of a second or more,
-- each new one with a weight of one half;
-- after a gap of five seconds a new window begins. The rate is that of `completed_ms`.
local function measure()
  local items = rehearsed
  if rehearsed > 0 then redis.call('HINCRBY', prefix .. 'stats', database .. '|dry_run', rehearsed) end
  for i, name in ipairs(names) do
    if sums[i] > 0 then redis.call('HINCRBY', prefix .. 'stats', database .. '|' .. name, sums[i]) end
    items = items + sums[i]
  end
  local pace = key('pace', database)
  redis.call('HINCRBY', pace, 'open', -items)
  local began, seen, rate = unpack(redis.call('HMGET', pace, 'window_began_ms', 'window_items', 'items_per_second'))
  began, seen, rate = tonumber(began or 0), tonumber(seen or 0) + items, tonumber(rate or 0)
  local length = now - began
  if length > 5000 then
    redis.call('HSET', pace, 'completed_ms', now, 'window_began_ms', now, 'window_items', 0)
  elseif length >= 1000 then
    local measured = seen * 1000 / length
    redis.call('HSET', pace, 'completed_ms', now, 'window_began_ms', now, 'window_items', 0,
      'items_per_second', math.ceil(rate > 0 and (rate + measured) / 2 or measured))
  else
    redis.call('HSET', pace, 'completed_ms', now, 'window_items', seen)
  end
end

-- Claim the holder's next work. If the call is repeated, give back the claims of the first call.
local function going_on(kept)
  local opened = to_notify[1]
  if arg.holder == '' then return {} end
  if not kept then
    for _, given in ipairs(give_back(arg.holder, own)) do
      if given[2] == database then opened = opened or given[1] end
    end
    if circuit_open_ms(database, arg.lease_ms) > 0 then return {} end
  end
  return following(database, arg.lease_ms, arg.holder, arg.group.room, arg.group.chunks, opened)
end

local verdicts, kept = {}, false
for i, one in ipairs(arg.done) do
  local verdict = complete(one, ARGV[1 + i])
  verdicts[#verdicts + 1], own[one.job .. ':' .. one.chunk] = verdict, true
  kept = kept or verdict == 'kept'
end
if not database then return reply_with({verdicts = verdicts, shares = 1, to_notify = {}, following = {}, final = {}}, {}) end
for _, channel in ipairs({'final', 'progress'}) do
  if #published[channel] > 0 then redis.call('PUBLISH', prefix .. channel, table.concat(published[channel], '\n')) end
end
local shares = 1
if kept then
  measure()
  leave(database, 100)
  shares = shares_of(database)
end

local taken = going_on(kept)
keep_observed()
return reply_with({verdicts = verdicts, shares = shares, to_notify = notify_for(database, to_notify, taken, own),
  following = taken, final = finished}, taken)
