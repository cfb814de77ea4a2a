#!lua
-- admit: make a staged batch a job, at one stroke.
-- KEYS   1 prefix, 2 job record, 3 payload (the staged chunks), 4... idempotency records by which the batch may be
--        known, if any; the first one is written
-- ARGV   1 job, 2 renotify_after_ms, 3 width, 4 max_jobs, 5 max_bytes, 6 bytes, 7 retention_ms, 8 fingerprint,
--        9 database, 10 care plan or "", 11 client, 12 user, 13 total, 14 chunks, 15 firsts, 16 sha256,
--        17 "1" if the batch is strict, 18 jobs and 19 bytes that a client may have kept,
--        20 jobs and 21 bytes that a database may, 22 the final job whose items are sent again, or "",
--        23 wrapped data key or "", 24 and 25 the blocks of HMAC-SHA-1 that sign the job's place in the order of
--        acceptance; they are kept nowhere; 26 the room that its chunk takes in a group, or "" if it goes alone;
--        27 the set of its cases' keys, packed, or "" if it is unknown; 28 the traceparent of its request, or "";
--        29... fingerprints for KEYS 5..., then chunk, payload... of the chunks that are not staged yet
-- gives  {'admitted', {seq, accepted_us, unsettled, open items, items a second, completed_ms}, "job:n"...}: the
--        job is queued; facts of the job, pace of its database; notify for these chunks, which are open or stand for it
--        {'known', job}: the same key and batch became this job before; or this job has the items that are sent again
--        {'reused'}: the same key came with another batch
--        {'full'}: the backlog is full
--        {'used' or 'crowded', 'client' or 'database'}: no more may be kept of it, see `no_room`
--        {'lost'}: the staged chunks are not all there
-- moves  nothing -> queued. Anything but 'admitted' drops what was staged. A repeated call gives {'admitted', {}}.
local job, renotify_after_ms, database, client, before = ARGV[1], tonumber(ARGV[2]), ARGV[9], ARGV[11], ARGV[22]
local idempotency, size = KEYS[4] or '', record_bytes + size_of(ARGV[6], ARGV[14])

if redis.call('EXISTS', KEYS[2]) == 1 then return {'admitted', {}} end

local function bytes_of(hex)
  return (string.gsub(hex, '%x%x', function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Drop the staged chunks; return the verdict.
local function dropped(...)
  redis.call('UNLINK', KEYS[3])
  unstage(database, client, job)
  return {...}
end

for i = 4, #KEYS do
  local known = redis.call('GET', KEYS[i])
  if known then
    local fingerprint, first = string.match(known, '^(.-)|(.*)$')
    if fingerprint == (i == 4 and ARGV[8] or ARGV[24 + i]) then return dropped('known', first) end
    return dropped('reused')
  end
end
local retried_as = before ~= '' and redis.call('HGET', key('job', before), 'retried_as')
if retried_as then return dropped('known', retried_as) end

local backlog = key('backlog', database)
local jobs, bytes = unpack(redis.call('HMGET', backlog, 'jobs', 'bytes'))
if tonumber(jobs or 0) + 1 > tonumber(ARGV[4]) or tonumber(bytes or 0) + tonumber(ARGV[6]) > tonumber(ARGV[5]) then
  return dropped('full')
end
local why = refused(database, client, job, size, {unpack(ARGV, 18, 21)})
if why then return dropped(unpack(why)) end

local last = 29 + math.max(0, #KEYS - 4)
if redis.call('HLEN', KEYS[3]) + (#ARGV - last + 1) / 2 ~= tonumber(ARGV[14]) then return dropped('lost') end
for i = last, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('PERSIST', KEYS[3])
unstage(database, client, job)
count(database, client, 'jobs', 1)
count(database, client, 'bytes', size)

-- The place in the order of acceptance only grows, even if the clock is set back; so it is not a moment.
local seq = whole(math.max(tonumber(redis.call('GET', key('seq', database)) or 0) + 1, now))
redis.call('SET', key('seq', database), seq)
-- The versions that the database holds from before this Redis are unknown: `settle` may still move the job up.
local unsettled = redis.call('EXISTS', key('settled', database)) == 0 and '1' or '0'

-- the job may have to wait for open jobs of another care plan: `place` decides for which
local plans, care_plan = key('plans', database), ARGV[10]
local others = redis.call('HLEN', plans) - redis.call('HEXISTS', plans, care_plan)
redis.call('HINCRBY', plans, care_plan, 1)
redis.call('ZADD', key('open', database), seq, job .. '|' .. care_plan)
if ARGV[27] ~= '' then redis.call('SET', key('keys', job), ARGV[27]) end

local accepted_us = whole(now_us)
local data_key, signature = ARGV[23], ''
if data_key ~= '' then
  local inner = redis.sha1hex(ARGV[24] .. table.concat({seq, accepted_us, unsettled}, '|'))
  signature = redis.sha1hex(ARGV[25] .. bytes_of(inner))
end
redis.call('HSET', KEYS[2], 'client', client, 'user', ARGV[12], 'database', database, 'care_plan', care_plan,
  'seq', seq, 'accepted_us', accepted_us, 'unsettled', unsettled, 'state', 'queued', 'total', ARGV[13],
  'processed', 0, 'chunks', ARGV[14], 'opened', 0, 'firsts', ARGV[15], 'sha256', ARGV[16], 'strict', ARGV[17],
  'bytes', ARGV[6], 'retention_ms', ARGV[7], 'width', ARGV[3], 'idempotency', idempotency,
  'size', size, 'data_key', data_key, 'signature', signature, 'weight', ARGV[26])
if ARGV[28] ~= '' then redis.call('HSET', KEYS[2], 'traceparent', ARGV[28]) end
redis.call('HINCRBY', backlog, 'jobs', 1)
redis.call('SADD', prefix .. 'busy', database)
redis.call('HINCRBY', backlog, 'bytes', ARGV[6])
local open = redis.call('HINCRBY', key('pace', database), 'open', ARGV[13])
redis.call('ZADD', key('jobs', database .. ':' .. client), now_us, job)
if idempotency ~= '' then redis.call('SET', idempotency, ARGV[8] .. '|' .. job) end

-- the items belong to the new job from now on, so that they are kept once, however often they are sent again
if before ~= '' and redis.call('EXISTS', key('job', before)) == 1 then
  redis.call('HSET', key('job', before), 'retried_as', job)
  drop_payload(database, client, before)
end

local pace = redis.call('HMGET', key('pace', database), 'items_per_second', 'completed_ms')
local answer = {'admitted', {seq, accepted_us, unsettled, open, pace[1] or '0', pace[2] or '0'}}
if others == 0 then open_first(job, database, tonumber(ARGV[3]), renotify_after_ms, answer)
else leave_unplaced(job, database, seq, renotify_after_ms, answer) end
return answer
