#!lua
-- admit: make a staged batch a job, atomically.
-- KEYS   1 prefix, 2 job record, 3 payload (the staged chunks), 4... idempotency records by which the batch may be
--        known, if any; the first one is written
-- ARGV   1 arguments:
--          job, database, client, user, total, chunks, strict, dry_run; care_plan: a number, or ''
--          firsts: the indices of the first items of its chunks, as text
--          body_sha256: '' if it is sealed with the data key
--          bytes: of its payload and its key set
--          weight: the room that its chunk takes in a group, or '' if it goes alone
--          retry_of: the final job whose items are resubmitted, or ''
--          webhooks: those that get the job's events, see `announce`
--          fingerprints: of the batch, one for each of KEYS 4...
--          data_key: wrapped, or ''
--          traceparent: of its request, or ''
--          width: chunks of a job that may be open at once
--          renotify_after_ms, retention_ms
--          backlog: {jobs, bytes} that may be open of a database
--          limits: {client = {jobs, bytes}, database = {jobs, bytes}} that may be kept
--        2 the set of its cases' keys, packed, or '' if it is unknown
--        3 and 4 the inner and outer block of HMAC-SHA-1 that sign the job's place in the order of acceptance; never
--        stored; '' if the job is not sealed
--        then chunk, payload... of the chunks that are not staged yet
-- gives  {verdict = 'admitted', seq, accepted_us, unsettled, open_items, items_per_second, completed_ms, to_notify}: the
--        job is queued; its facts, and the pace of its database; notify for the chunks `to_notify`, which are open or
--        stand for it
--        {verdict = 'known', job}: the same key and batch became this job before, or this job has the items resubmitted
--        {verdict = 'reused'}: the same key came with another batch
--        {verdict = 'full'}: the backlog is full
--        {verdict = 'used' or 'crowded', whose = 'client' or 'database'}: its storage limit is reached, see `no_room`
--        {verdict = 'lost'}: some staged chunks are missing
-- moves  nothing -> queued. Any verdict but 'admitted' drops the staged chunks. A repeated call only returns 'admitted'.
-- A dry run is not part of the order of acceptance: its seq is 0, it waits for no job, and no job waits for it.
local job, database, client, before = arg.job, arg.database, arg.client, arg.retry_of
local key_set, inner_block, outer_block = ARGV[2], ARGV[3], ARGV[4]
local idempotency, size = KEYS[4] or '', record_bytes + size_of(arg.bytes, arg.chunks)

if redis.call('EXISTS', KEYS[2]) == 1 then return reply{verdict = 'admitted'} end

local function bytes_of(hex)
  return (string.gsub(hex, '%x%x', function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Drop the staged chunks; return the reply.
local function dropped(values)
  redis.call('UNLINK', KEYS[3])
  unstage(database, client, job)
  return reply(values)
end

for i = 4, #KEYS do
  local known = redis.call('GET', KEYS[i])
  if known then
    local fingerprint, first = string.match(known, '^(.-)|(.*)$')
    if fingerprint == arg.fingerprints[i - 3] then return dropped{verdict = 'known', job = first} end
    return dropped{verdict = 'reused'}
  end
end
local retried_as = before ~= '' and redis.call('HGET', key('job', before), 'retried_as')
if retried_as then return dropped{verdict = 'known', job = retried_as} end

local backlog = key('backlog', database)
local jobs, bytes = unpack(redis.call('HMGET', backlog, 'jobs', 'bytes'))
if tonumber(jobs or 0) + 1 > arg.backlog.jobs or tonumber(bytes or 0) + arg.bytes > arg.backlog.bytes then
  return dropped{verdict = 'full'}
end
local why = refused(database, client, job, size, arg.limits)
if why then return dropped(why) end

if redis.call('HLEN', KEYS[3]) + (#ARGV - 4) / 2 ~= arg.chunks then return dropped{verdict = 'lost'} end
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('PERSIST', KEYS[3])
unstage(database, client, job)
count(database, client, 'jobs', 1)
count(database, client, 'bytes', size)

-- The place in the order of acceptance only grows, even if the clock is set back; so it is not a time. Versions of
-- cases derive from it: see targets/case_versions.py.
local seq = '0'
if not arg.dry_run then
  seq = whole(math.max(tonumber(redis.call('GET', key('seq', database)) or 0) + 1, now))
  redis.call('SET', key('seq', database), seq)
end
-- The versions that an earlier Redis left in the database are unknown: `settle` may still move the job up.
local unsettled = not arg.dry_run and redis.call('EXISTS', key('settled', database)) == 0 and '1' or '0'

-- the job may have to wait for open jobs of another care plan: `place` decides which
local plans, care_plan, others = key('plans', database), arg.care_plan, 0
if not arg.dry_run then
  others = redis.call('HLEN', plans) - redis.call('HEXISTS', plans, care_plan)
  redis.call('HINCRBY', plans, care_plan, 1)
  redis.call('ZADD', key('open', database), seq, job .. '|' .. care_plan)
end
if key_set ~= '' then redis.call('SET', key('keys', job), key_set) end

local accepted_us = whole(now_us)
local signature = ''
if arg.data_key ~= '' then
  local inner = redis.sha1hex(inner_block .. table.concat({seq, accepted_us, unsettled}, '|'))
  signature = redis.sha1hex(outer_block .. bytes_of(inner))
end
redis.call('HSET', KEYS[2], 'client', client, 'user', arg.user, 'database', database, 'care_plan', care_plan,
  'seq', seq, 'accepted_us', accepted_us, 'unsettled', unsettled, 'state', 'queued', 'total', arg.total,
  'processed', 0, 'chunks', arg.chunks, 'opened', 0, 'firsts', arg.firsts, 'sha256', arg.body_sha256,
  'strict', arg.strict and '1' or '0', 'bytes', arg.bytes, 'retention_ms', arg.retention_ms, 'width', arg.width,
  'idempotency', idempotency, 'size', size, 'data_key', arg.data_key, 'signature', signature, 'weight', arg.weight,
  'webhooks', arg.webhooks)
if arg.traceparent ~= '' then redis.call('HSET', KEYS[2], 'traceparent', arg.traceparent) end
if arg.dry_run then redis.call('HSET', KEYS[2], 'dry_run', '1') end
redis.call('HINCRBY', backlog, 'jobs', 1)
redis.call('SADD', prefix .. 'busy', database)
redis.call('HINCRBY', backlog, 'bytes', arg.bytes)
local open_items = redis.call('HINCRBY', key('pace', database), 'open', arg.total)
redis.call('ZADD', key('jobs', database .. ':' .. client), now_us, job)
if idempotency ~= '' then redis.call('SET', idempotency, arg.fingerprints[1] .. '|' .. job) end

-- from now on only the new job has the items, so that they are stored once, however often they are resubmitted
if before ~= '' and redis.call('EXISTS', key('job', before)) == 1 then
  redis.call('HSET', key('job', before), 'retried_as', job)
  drop_payload(database, client, before)
end

local pace = redis.call('HMGET', key('pace', database), 'items_per_second', 'completed_ms')
local to_notify = {}
if others == 0 then open_first(job, database, arg.width, arg.renotify_after_ms, to_notify)
else leave_unplaced(job, database, seq, arg.renotify_after_ms, to_notify) end
return reply{verdict = 'admitted', seq = tonumber(seq), accepted_us = tonumber(accepted_us), unsettled = unsettled == '1',
  open_items = open_items, items_per_second = tonumber(pace[1] or 0), completed_ms = tonumber(pace[2] or 0),
  to_notify = to_notify}
