#!lua
-- admit: make a staged batch a job, at one stroke.
-- KEYS   1 prefix, 2 job record, 3 payload (staged), 4 the client's jobs, 5 idempotency record, if any
-- ARGV   1 job, 2 now_ms, 3 ring_at_ms, 4 width, 5 max_jobs, 6 max_bytes, 7 bytes, 8 retention_ms, 9 fingerprint,
--        10 database, 11 care plan or "", 12 client, 13 user, 14 total, 15 chunks, 16 firsts, 17 sha256,
--        18 "1" if all or nothing is to be applied
-- gives  {'admitted', "job:n"...}: the job is there, queued, and these chunks are open
--        {'known', job}: the same key and the same batch gave this job before
--        {'reused'}: the same key came with another batch
--        {'full'}: the backlog is
--        {'lost'}: the staged chunks are not all there
-- moves  nothing -> queued. Anything but 'admitted' drops what was staged. A repeated call gives {'admitted'} alone.
local job, now, database, client = ARGV[1], tonumber(ARGV[2]), ARGV[10], ARGV[12]
local idempotency = KEYS[5] or ''

local state = redis.call('HGET', KEYS[2], 'state')
if state then
  -- staging again has put back chunks that are done, and its deadline on the live payload
  for _, n in ipairs(redis.call('HKEYS', KEYS[3])) do
    if redis.call('HEXISTS', key('outcome', job), n) == 1 then redis.call('HDEL', KEYS[3], n) end
  end
  if state == 'completed' or state == 'cancelled' then redis.call('PEXPIRE', KEYS[3], ARGV[8])
  else redis.call('PERSIST', KEYS[3]) end
  return {'admitted'}
end

if idempotency ~= '' then
  local known = redis.call('GET', idempotency)
  if known then
    redis.call('UNLINK', KEYS[3])
    local fingerprint, before = string.match(known, '^(.-)|(.*)$')
    if fingerprint == ARGV[9] then return {'known', before} end
    return {'reused'}
  end
end

local backlog = key('backlog', database)
local jobs, bytes = unpack(redis.call('HMGET', backlog, 'jobs', 'bytes'))
if tonumber(jobs or 0) + 1 > tonumber(ARGV[5]) or tonumber(bytes or 0) + tonumber(ARGV[7]) > tonumber(ARGV[6]) then
  redis.call('UNLINK', KEYS[3])
  return {'full'}
end

if redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[15]) then
  redis.call('UNLINK', KEYS[3])
  return {'lost'}
end
redis.call('PERSIST', KEYS[3])

local seq = math.max(tonumber(redis.call('GET', key('seq', database)) or 0) + 1, now)
redis.call('SET', key('seq', database), string.format('%.0f', seq))

-- the last turn takes the job if it is of the same care plan; else the job starts a turn of its own
local turns = key('turns', database)
local turn = redis.call('LINDEX', turns, -1)
if not turn or string.match(turn, '|(.*)$') ~= ARGV[11] then
  turn = string.format('%.0f', seq) .. '|' .. ARGV[11]
  redis.call('RPUSH', turns, turn)
end
redis.call('SADD', key('turn', database .. ':' .. turn), job)

redis.call('HSET', KEYS[2], 'client', client, 'user', ARGV[13], 'database', database, 'care_plan', ARGV[11],
  'seq', string.format('%.0f', seq), 'state', 'queued', 'total', ARGV[14], 'processed', 0, 'chunks', ARGV[15],
  'opened', 0, 'firsts', ARGV[16], 'sha256', ARGV[17], 'strict', ARGV[18], 'bytes', ARGV[7], 'turn', turn,
  'retention_ms', ARGV[8], 'width', ARGV[4], 'idempotency', idempotency)
redis.call('HINCRBY', backlog, 'jobs', 1)
redis.call('SADD', prefix .. 'busy', database)
redis.call('HINCRBY', backlog, 'bytes', ARGV[7])
redis.call('HINCRBY', key('pace', database), 'open', ARGV[14])
redis.call('ZADD', KEYS[4], now, job)
if idempotency ~= '' then redis.call('SET', idempotency, ARGV[9] .. '|' .. job) end

local answer = {'admitted'}
if redis.call('LINDEX', turns, 0) == turn then open_first(job, database, tonumber(ARGV[4]), ARGV[3], answer) end
return answer
