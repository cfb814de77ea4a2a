#!lua flags=allow-oom
-- purge: remove payload and result of a final job before they expire.
-- KEYS   1 prefix
-- ARGV   1 arguments: job
-- gives  'purged': they are removed, or were before; 'open': the job is not final; 'gone': there is no such job
-- moves  nothing. The record expires when it would have anyway; until then the job is reported as expired. Its data
--        key, which could open copies of Redis's files, and the digests of body and Idempotency-Key are removed.
local job = arg.job
local record = key('job', job)
local state, database, client, size, expires_ms, idempotency = unpack(redis.call('HMGET', record,
  'state', 'database', 'client', 'size', 'expires_ms', 'idempotency'))
if not state then return 'gone' end
if not is_final(state) then return 'open' end
redis.call('UNLINK', key('payload', job), key('outcome', job), key('tally', job))
if idempotency ~= '' and string.sub(redis.call('GET', idempotency) or '', -#job - 1) == '|' .. job then
  redis.call('UNLINK', idempotency)
end
if tonumber(expires_ms) > now then redis.call('HSET', record, 'expires_ms', now) end
redis.call('HSET', record, 'sha256', '', 'idempotency', '')
redis.call('HDEL', record, 'data_key', 'signature')
-- an expired result was subtracted from the usage counts before
if redis.call('ZREM', key('leaving', database), client .. '|' .. job .. '|result|' .. size) == 1 then
  forget(database, client, job, size)
end
return 'purged'
