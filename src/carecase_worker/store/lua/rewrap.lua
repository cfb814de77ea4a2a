#!lua flags=allow-oom
-- rewrap: replace the wrapped data key of a job by the same key wrapped anew, and its idempotency record's digests.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          job; wrapped, rewrapped: the current wrapped data key, and the new one
--          idempotency: the record's new key, or ''; fingerprint: its new content
-- gives  'wrapped': the record has the new wrapped data key
--        'other': it has another one by now, or none; nothing is changed
-- moves  nothing
-- A record that was deleted meanwhile stays deleted, and its data key with it.
local record, anew = key('job', arg.job), arg.idempotency
local held, idempotency = unpack(redis.call('HMGET', record, 'data_key', 'idempotency'))
if held ~= arg.wrapped then return 'other' end
redis.call('HSET', record, 'data_key', arg.rewrapped)
if anew ~= '' and anew ~= idempotency and redis.call('EXISTS', idempotency) == 1 then
  redis.call('RENAME', idempotency, anew)
  redis.call('SET', anew, arg.fingerprint .. '|' .. arg.job, 'KEEPTTL')
  redis.call('HSET', record, 'idempotency', anew)
end
return 'wrapped'
