#!lua flags=allow-oom
-- complete: keep the outcomes of chunks of a database, and open what comes next.
-- KEYS   1 prefix
-- ARGV   1 renotify_after_ms, 2 lease_ms, 3 holder for which to claim what is ready or opened now, or "",
--        4 room and 5 chunks of a group, at most,
--        then for each chunk: job, chunk, packed outcomes, keep the payload ("1") or not,
--        created, updated, superseded, failed, cancelled, "1" if the database answered
-- gives  {shares, {next...}, {"job:n"...}, {job...}, verdict...}
--        shares: see `shares_of`
--        next: {"job:n", reply of claim...} of each chunk that was claimed for the holder, or of one that stands for a
--        job that is to be placed. If the call is repeated, chunks that the first call claimed are given back, and
--        claimed again if they are of this database and it is not left alone
--        "job:n"...: these chunks are open and want to be notified for
--        job...: these jobs have become final by this call
--        verdicts, one for each chunk: 'kept': the outcomes were stored; 'done': earlier ones are there, and stay;
--        'gone': there is no such job
-- moves  running, waiting -> running; -> completed with the last chunk; cancelling -> cancelled with the last chunk
--        (completed, if nothing was left to cancel); the jobs of next: queued, waiting -> running.
--        The id of a job that becomes final is published on the channel `final`.
local renotify_after_ms, lease_ms, holder, room, most = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local names = {'created', 'updated', 'superseded', 'failed', 'cancelled'}
local database -- of all chunks
local sums, to_notify, own, final = {0, 0, 0, 0, 0}, {}, {}, {}

-- Note that a job waits for one thing less; open it if that was the last one.
local function wait_less(job)
  local record = key('job', job)
  local waits, width = unpack(redis.call('HMGET', record, 'waits', 'width'))
  if not waits then return end
  redis.call('HSET', record, 'waits', tonumber(waits) - 1)
  if waits == '1' then open_first(job, database, tonumber(width), renotify_after_ms, to_notify) end
end

-- Remove a final job from the open ones, and open the jobs that waited for it.
local function make_way(job, care_plan)
  local plans, open, behind = key('plans', database), key('open', database), key('behind', database)
  if redis.call('HINCRBY', plans, care_plan, -1) == 0 then redis.call('HDEL', plans, care_plan) end
  redis.call('ZREM', open, job .. '|' .. care_plan)
  redis.call('ZREM', key('unplaced', database), job)
  redis.call('SREM', key('working', database), job)
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

local function finish(job, record, client, state, size)
  local retention, bytes, idempotency, care_plan, cancelled = unpack(redis.call('HMGET', record,
    'retention_ms', 'bytes', 'idempotency', 'care_plan', 'cancelled'))
  local keys_bytes = redis.call('STRLEN', key('keys', job))
  if keys_bytes > 0 then
    size = redis.call('HINCRBY', record, 'size', -keys_bytes)
    count(database, client, 'bytes', -keys_bytes)
  end
  local expires_ms = whole(now + tonumber(retention))
  redis.call('HSET', record, 'state', tonumber(cancelled or 0) > 0 and state == 'cancelling' and 'cancelled' or 'completed',
    'finished_us', whole(now_us), 'expires_ms', expires_ms)
  redis.call('PEXPIRE', record, 2 * tonumber(retention))
  for _, kind in ipairs({'outcome', 'tally', 'payload'}) do redis.call('PEXPIRE', key(kind, job), retention) end
  redis.call('ZADD', key('leaving', database), expires_ms, client .. '|' .. job .. '|result|' .. whole(size))
  count(database, client, 'done', size)
  redis.call('PUBLISH', prefix .. 'final', job)
  final[#final + 1] = job
  redis.call('UNLINK', key('lease', job))
  if idempotency ~= '' then redis.call('PEXPIRE', idempotency, retention) end
  if redis.call('HINCRBY', key('backlog', database), 'jobs', -1) <= 0 then redis.call('SREM', prefix .. 'busy', database) end
  redis.call('HINCRBY', key('backlog', database), 'bytes', -tonumber(bytes))
  make_way(job, care_plan)
end

local function complete(job, n, packed, keep, counts, answered)
  local record, payload, member = key('job', job), key('payload', job), job .. ':' .. n
  local its_database, state, total, client = unpack(redis.call('HMGET', record, 'database', 'state', 'total', 'client'))
  if not its_database then return 'gone' end
  database = its_database
  redis.call('ZREM', key('due', database), member)
  redis.call('ZREM', key('ready', database), member)
  if state == 'completed' or state == 'cancelled' or redis.call('HSETNX', key('outcome', job), n, packed) == 0 then
    return 'done'
  end
  let_go(redis.call('HGET', key('lease', job), n .. ':holder'), member)
  redis.call('HDEL', key('lease', job),
    n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults', n .. ':too_slow')
  if answered == '1' then
    redis.call('HDEL', record, 'failing_since_ms')
    redis.call('DEL', key('failures', database), key('pause', database), key('trouble', database))
  end
  local grown = #packed
  if keep ~= '1' then
    grown = grown - redis.call('HSTRLEN', payload, n)
    redis.call('HDEL', payload, n)
  end
  local size = redis.call('HINCRBY', record, 'size', grown)
  count(database, client, 'bytes', grown)

  redis.call('HSET', key('tally', job), n, table.concat(counts, ','))
  local items = 0
  for i, name in ipairs(names) do
    local count = tonumber(counts[i])
    if count > 0 then
      items, sums[i] = items + count, sums[i] + count
      redis.call('HINCRBY', record, name, count)
    end
  end
  if redis.call('HINCRBY', record, 'processed', items) == tonumber(total) then
    finish(job, record, client, state, size)
  else
    if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
    open_next(job, database, renotify_after_ms, to_notify)
  end
  return 'kept'
end

-- Count the items, and measure the rate: items a second over windows of a second or more, each new one counting half;
-- after a gap of five seconds a new window begins. The rate is that of `completed_ms`.
local function measure()
  local items = 0
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

-- Claim what the holder does next. If the call is repeated, give back what the first call claimed.
local function going_on(kept)
  local opened = to_notify[1]
  if holder == '' then return {} end
  if not kept then
    for _, given in ipairs(give_back(holder, own)) do
      if given[2] == database then opened = opened or given[1] end
    end
    if paused(database, lease_ms) > 0 then return {} end
  end
  return following(database, lease_ms, holder, room, most, opened)
end

local verdicts, kept = {}, false
for i = 6, #ARGV, 10 do
  local verdict = complete(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], {unpack(ARGV, i + 4, i + 8)}, ARGV[i + 9])
  verdicts[#verdicts + 1], own[ARGV[i] .. ':' .. ARGV[i + 1]] = verdict, true
  kept = kept or verdict == 'kept'
end
if not database then return {1, {}, {}, {}, unpack(verdicts)} end
local shares = 1
if kept then
  measure()
  leave(database, 100)
  shares = shares_of(database)
end

local taken = going_on(kept)
return {shares, taken, notify_for(database, to_notify, taken, own), final, unpack(verdicts)}
