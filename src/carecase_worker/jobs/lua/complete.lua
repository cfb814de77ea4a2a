#!lua flags=allow-oom
-- complete: keep the outcome of a chunk, and open what comes next.
-- KEYS   1 prefix
-- ARGV   1 job, 2 chunk, 3 ring_again_ms, 4 packed outcomes, 5 keep the payload ("1") or not,
--        6 created, 7 updated, 8 superseded, 9 failed, 10 cancelled, 11 "1" if the database answered,
--        12 lease_ms, 13 holder that wants to go on with a chunk that is opened now, or ""
-- gives  {'kept', shares, next, "job:n"...}: the outcome is kept, these chunks are open now and want to be rung for;
--        shares: unfinished jobs of the database's present turn times databases that have work, at least 1
--        {'done', 1, next}: there was an outcome before; it stands
--        {'gone', 1, false}: there is no such job
--        next: {"job:n", what claim gives...}, a chunk that was claimed for the holder; or false. A repeated call gives
--        the one that the first call claimed, unless its database is left alone meanwhile
-- moves  running, waiting -> running; -> completed with the last chunk; cancelling -> cancelled with the last chunk
--        (completed, if nothing was left to cancel); the job of next: queued, waiting -> running.
--        Whoever listens to the channel `final` is told of a job that is.
local job, n, ring_again_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local record, payload, holder = key('job', job), key('payload', job), ARGV[13]

local function taken(member)
  if not member or holder == '' then return false end
  local its_job, its_n = string.match(member, '^(.*):(.*)$')
  return {member, unpack(take(its_job, its_n, ARGV[12], holder))}
end

local database, state, total, turn, bytes, retention, idempotency, client = unpack(redis.call('HMGET', record,
  'database', 'state', 'total', 'turn', 'bytes', 'retention_ms', 'idempotency', 'client'))
if not database then return {'gone', 1, false} end
redis.call('ZREM', key('due', database), job .. ':' .. n)
if state == 'completed' or state == 'cancelled' or redis.call('HSETNX', key('outcome', job), n, ARGV[4]) == 0 then
  local held = paused(database, ARGV[12]) == 0 and redis.call('HGET', prefix .. 'holding', holder)
  return {'done', 1, taken(held)}
end
let_go(redis.call('HGET', key('lease', job), n .. ':holder'), job .. ':' .. n)
redis.call('HDEL', key('lease', job),
  n .. ':until', n .. ':holder', n .. ':deaths', n .. ':releases', n .. ':faults', n .. ':too_slow')
if ARGV[11] == '1' then
  redis.call('HDEL', record, 'failing_since_ms')
  redis.call('DEL', key('failures', database), key('pause', database), key('trouble', database))
end
local grown = #ARGV[4]
if ARGV[5] ~= '1' then
  grown = grown - redis.call('HSTRLEN', payload, n)
  redis.call('HDEL', payload, n)
end
local size = redis.call('HINCRBY', record, 'size', grown)
count(database, client, 'bytes', grown)

redis.call('HSET', key('tally', job), n, table.concat({ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]}, ','))
local items = 0
for i, name in ipairs({'created', 'updated', 'superseded', 'failed', 'cancelled'}) do
  local count = tonumber(ARGV[5 + i])
  if count > 0 then
    items = items + count
    redis.call('HINCRBY', record, name, count)
    redis.call('HINCRBY', prefix .. 'stats', database .. '|' .. name, count)
  end
end
local processed = redis.call('HINCRBY', record, 'processed', items)

-- the rate: items a second over windows of a second or more, each new one counting half; a gap starts afresh. Whoever
-- reads it goes by `completed_ms`: it is the rate of then
local pace = key('pace', database)
redis.call('HINCRBY', pace, 'open', -items)
redis.call('HSET', pace, 'completed_ms', now)
local began, seen, rate = unpack(redis.call('HMGET', pace, 'window_began_ms', 'window_items', 'items_per_second'))
began, seen, rate = tonumber(began or 0), tonumber(seen or 0) + items, tonumber(rate or 0)
local length = now - began
if length > 5000 then
  redis.call('HSET', pace, 'window_began_ms', now, 'window_items', 0)
elseif length >= 1000 then
  local measured = seen * 1000 / length
  redis.call('HSET', pace, 'window_began_ms', now, 'window_items', 0,
    'items_per_second', math.ceil(rate > 0 and (rate + measured) / 2 or measured))
else
  redis.call('HSET', pace, 'window_items', seen)
end

local rung = {}
local function kept()
  local following = taken(rung[1])
  local present = redis.call('LINDEX', key('turns', database), 0)
  local jobs = present and redis.call('SCARD', key('turn', database .. ':' .. present)) or 1
  local answer = {'kept', math.max(1, jobs * redis.call('SCARD', prefix .. 'busy')), following}
  for i = following and 2 or 1, #rung do answer[#answer + 1] = rung[i] end
  return answer
end

if processed < tonumber(total) then
  if state ~= 'cancelling' then redis.call('HSET', record, 'state', 'running') end
  open_next(job, database, ring_again_ms, rung)
  return kept()
end

local expires_ms = whole(now + tonumber(retention))
local cancelled = tonumber(redis.call('HGET', record, 'cancelled') or 0)
redis.call('HSET', record, 'state', cancelled > 0 and state == 'cancelling' and 'cancelled' or 'completed',
  'finished_us', whole(now_us), 'expires_ms', expires_ms)
redis.call('PEXPIRE', record, 2 * tonumber(retention))
redis.call('PEXPIRE', key('outcome', job), retention)
redis.call('PEXPIRE', key('tally', job), retention)
redis.call('PEXPIRE', payload, retention)
redis.call('ZADD', key('leaving', database), expires_ms, client .. '|' .. job .. '|result|' .. whole(size))
count(database, client, 'done', size)
leave(database, 100)
redis.call('PUBLISH', prefix .. 'final', job)
redis.call('UNLINK', key('lease', job))
if idempotency ~= '' then redis.call('PEXPIRE', idempotency, retention) end
if redis.call('HINCRBY', key('backlog', database), 'jobs', -1) <= 0 then redis.call('SREM', prefix .. 'busy', database) end
redis.call('HINCRBY', key('backlog', database), 'bytes', -tonumber(bytes))

-- the last job of a turn gives the next turn way
local turns, mine = key('turns', database), key('turn', database .. ':' .. turn)
redis.call('SREM', mine, job)
if redis.call('SCARD', mine) == 0 then
  redis.call('LREM', turns, 1, turn)
  local next_turn = redis.call('LINDEX', turns, 0)
  if next_turn then
    for _, waiting in ipairs(redis.call('SMEMBERS', key('turn', database .. ':' .. next_turn))) do
      open_first(waiting, database, tonumber(redis.call('HGET', key('job', waiting), 'width')), ring_again_ms, rung)
    end
  end
end
return kept()
