#!lua flags=allow-oom
-- complete: keep the outcomes of chunks of a database, and open what comes next.
-- KEYS   1 prefix
-- ARGV   1 ring_again_ms, 2 lease_ms, 3 holder that wants to go on with what is ready or opened now, or "",
--        4 room and 5 chunks of a group, at most,
--        then for each chunk: job, chunk, packed outcomes, keep the payload ("1") or not,
--        created, updated, superseded, failed, cancelled, "1" if the database answered
-- gives  {shares, {next...}, {"job:n"...}, verdict...}
--        shares: unfinished jobs of the database's present turn times databases that have work, at least 1
--        next: {"job:n", what claim gives...} of each chunk that was claimed for the holder. What the first one of repeated
--        calls claimed is given back, and claimed again if it is of the database, as long as that is not left alone
--        "job:n"...: these chunks are open and want to be rung for
--        verdicts, one for each chunk: 'kept': the outcome is; 'done': there was one before, and it stands;
--        'gone': there is no such job
-- moves  running, waiting -> running; -> completed with the last chunk; cancelling -> cancelled with the last chunk
--        (completed, if nothing was left to cancel); the jobs of next: queued, waiting -> running.
--        Whoever listens to the channel `final` is told of a job that is.
local ring_again_ms, lease_ms, holder, room, most = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local names = {'created', 'updated', 'superseded', 'failed', 'cancelled'}
local database -- of all chunks
local sums, rung, own = {0, 0, 0, 0, 0}, {}, {}

-- The last job of a turn gives the next turn way.
local function leave_turn(job, turn)
  local turns, mine = key('turns', database), key('turn', database .. ':' .. turn)
  redis.call('SREM', mine, job)
  if redis.call('SCARD', mine) > 0 then return end
  redis.call('LREM', turns, 1, turn)
  local next_turn = redis.call('LINDEX', turns, 0)
  if not next_turn then return end
  for _, waiting in ipairs(redis.call('SMEMBERS', key('turn', database .. ':' .. next_turn))) do
    open_first(waiting, database, tonumber(redis.call('HGET', key('job', waiting), 'width')), ring_again_ms, rung)
  end
end

local function finish(job, record, client, state, size)
  local retention, bytes, idempotency, turn, cancelled = unpack(redis.call('HMGET', record,
    'retention_ms', 'bytes', 'idempotency', 'turn', 'cancelled'))
  local expires_ms = whole(now + tonumber(retention))
  redis.call('HSET', record, 'state', tonumber(cancelled or 0) > 0 and state == 'cancelling' and 'cancelled' or 'completed',
    'finished_us', whole(now_us), 'expires_ms', expires_ms)
  redis.call('PEXPIRE', record, 2 * tonumber(retention))
  for _, kind in ipairs({'outcome', 'tally', 'payload'}) do redis.call('PEXPIRE', key(kind, job), retention) end
  redis.call('ZADD', key('leaving', database), expires_ms, client .. '|' .. job .. '|result|' .. whole(size))
  count(database, client, 'done', size)
  redis.call('PUBLISH', prefix .. 'final', job)
  redis.call('UNLINK', key('lease', job))
  if idempotency ~= '' then redis.call('PEXPIRE', idempotency, retention) end
  if redis.call('HINCRBY', key('backlog', database), 'jobs', -1) <= 0 then redis.call('SREM', prefix .. 'busy', database) end
  redis.call('HINCRBY', key('backlog', database), 'bytes', -tonumber(bytes))
  leave_turn(job, turn)
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
    open_next(job, database, ring_again_ms, rung)
  end
  return 'kept'
end

-- Counts the items, and measures the rate: items a second over windows of a second or more, each new one counting half;
-- a gap starts afresh. Whoever reads it goes by `completed_ms`: it is the rate of then.
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

-- Claims a chunk for the holder, to go on with.
local function take_member(member, taken)
  local job, n = string.match(member, '^(.*):(.*)$')
  taken[#taken + 1] = {member, unpack(take(job, n, lease_ms, holder))}
end

-- The chunks that the holder goes on with: small ones that are ready, or one that is open now.
local function following(kept)
  local taken, opened = {}, rung[1]
  if holder == '' then return taken end
  if not kept then
    for _, given in ipairs(give_back(holder, own)) do
      if given[2] == database then opened = opened or given[1] end
    end
    if paused(database, lease_ms) > 0 then return taken end
  end
  take_ready(database, lease_ms, holder, room, most, nil, taken)
  if #taken == 0 and opened then take_member(opened, taken) end
  return taken
end

local verdicts, kept = {}, false
for i = 6, #ARGV, 10 do
  local verdict = complete(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], {unpack(ARGV, i + 4, i + 8)}, ARGV[i + 9])
  verdicts[#verdicts + 1], own[ARGV[i] .. ':' .. ARGV[i + 1]] = verdict, true
  kept = kept or verdict == 'kept'
end
if not database then return {1, {}, {}, unpack(verdicts)} end
local shares = 1
if kept then
  measure()
  leave(database, 100)
  local present = redis.call('LINDEX', key('turns', database), 0)
  local jobs = present and redis.call('SCARD', key('turn', database .. ':' .. present)) or 1
  shares = math.max(1, jobs * redis.call('SCARD', prefix .. 'busy'))
end

local taken, wanted, is_ready_rung = following(kept), {}, false
for _, one in ipairs(taken) do own[one[1]] = true end
for _, member in ipairs(rung) do
  if not own[member] then
    wanted[#wanted + 1] = member
    is_ready_rung = is_ready_rung or redis.call('ZSCORE', key('ready', database), member) ~= false
  end
end
if #taken == 0 then
  -- nobody looks for what is ready now: who is rung for it does
  redis.call('DEL', key('awake', database))
  local first = redis.call('ZRANGE', key('ready', database), 0, 0)[1]
  if first then
    redis.call('SET', key('awake', database), '', 'PX', rung_ms)
    if not is_ready_rung then wanted[#wanted + 1] = first end
  end
end
return {shares, taken, wanted, unpack(verdicts)}
