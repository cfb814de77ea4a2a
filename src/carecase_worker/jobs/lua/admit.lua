#!lua
-- admit: make a staged batch a job, at one stroke.
-- KEYS   1 prefix, 2 job record, 3 payload (staged), 4 the client's jobs, 5 idempotency record, if any
-- ARGV   1 job, 2 ring_again_ms, 3 width, 4 max_jobs, 5 max_bytes, 6 bytes, 7 retention_ms, 8 fingerprint,
--        9 database, 10 care plan or "", 11 client, 12 user, 13 total, 14 chunks, 15 firsts, 16 sha256,
--        17 "1" if all or nothing is to be applied
-- gives  {'admitted', "job:n"...}: the job is there, queued, and these chunks are open
--        {'known', job}: the same key and the same batch gave this job before
--        {'reused'}: the same key came with another batch
--        {'full'}: the backlog is
--        {'lost'}: the staged chunks are not all there
-- moves  nothing -> queued. Anything but 'admitted' drops what was staged. A repeated call gives {'admitted'} alone.
local job, ring_again_ms, database, client = ARGV[1], tonumber(ARGV[2]), ARGV[9], ARGV[11]
local idempotency = KEYS[5] or ''

local state = redis.call('HGET', KEYS[2], 'state')
if state then
  -- staging again has put back chunks that are done, and its deadline on the live payload
  for _, n in ipairs(redis.call('HKEYS', KEYS[3])) do
    if redis.call('HEXISTS', key('outcome', job), n) == 1 then redis.call('HDEL', KEYS[3], n) end
  end
  if state == 'completed' or state == 'cancelled' then redis.call('PEXPIRE', KEYS[3], ARGV[7])
  else redis.call('PERSIST', KEYS[3]) end
  return {'admitted'}
end

if idempotency ~= '' then
  local known = redis.call('GET', idempotency)
  if known then
    redis.call('UNLINK', KEYS[3])
    local fingerprint, before = string.match(known, '^(.-)|(.*)$')
    if fingerprint == ARGV[8] then return {'known', before} end
    return {'reused'}
  end
end

local backlog = key('backlog', database)
local jobs, bytes = unpack(redis.call('HMGET', backlog, 'jobs', 'bytes'))
if tonumber(jobs or 0) + 1 > tonumber(ARGV[4]) or tonumber(bytes or 0) + tonumber(ARGV[6]) > tonumber(ARGV[5]) then
  redis.call('UNLINK', KEYS[3])
  return {'full'}
end

if redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[14]) then
  redis.call('UNLINK', KEYS[3])
  return {'lost'}
end
redis.call('PERSIST', KEYS[3])

-- The place in the order of acceptance only grows, also where the clock is set back; so it is no moment.
local seq = whole(math.max(tonumber(redis.call('GET', key('seq', database)) or 0) + 1, now))
redis.call('SET', key('seq', database), seq)
-- Nobody knows yet what the database holds from before this Redis: `settle` may move the job up once somebody does.
local unsettled = redis.call('EXISTS', key('settled', database)) == 0 and '1' or '0'

-- the last turn takes the job if it is of the same care plan; else the job starts a turn of its own
local turns = key('turns', database)
local turn = redis.call('LINDEX', turns, -1)
if not turn or string.match(turn, '|(.*)$') ~= ARGV[10] then
  turn = seq .. '|' .. ARGV[10]
  redis.call('RPUSH', turns, turn)
end
redis.call('SADD', key('turn', database .. ':' .. turn), job)

redis.call('HSET', KEYS[2], 'client', client, 'user', ARGV[12], 'database', database, 'care_plan', ARGV[10],
  'seq', seq, 'accepted_us', whole(now_us), 'unsettled', unsettled, 'state', 'queued', 'total', ARGV[13],
  'processed', 0, 'chunks', ARGV[14], 'opened', 0, 'firsts', ARGV[15], 'sha256', ARGV[16], 'strict', ARGV[17],
  'bytes', ARGV[6], 'turn', turn, 'retention_ms', ARGV[7], 'width', ARGV[3], 'idempotency', idempotency)
redis.call('HINCRBY', backlog, 'jobs', 1)
redis.call('SADD', prefix .. 'busy', database)
redis.call('HINCRBY', backlog, 'bytes', ARGV[6])
redis.call('HINCRBY', key('pace', database), 'open', ARGV[13])
redis.call('ZADD', KEYS[4], now_us, job)
if idempotency ~= '' then redis.call('SET', idempotency, ARGV[8] .. '|' .. job) end

local answer = {'admitted'}
if redis.call('LINDEX', turns, 0) == turn then open_first(job, database, tonumber(ARGV[3]), ring_again_ms, answer) end
return answer
