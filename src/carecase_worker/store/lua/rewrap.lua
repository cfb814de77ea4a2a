#!lua flags=allow-oom
-- rewrap: exchange the wrapped data key of a job for the same one wrapped anew, and its idempotency record's digests.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          job; wrapped, rewrapped: the data key as it is now, and as it is to be
--          idempotency: name of the record as it is to be, or ''; fingerprint: in it
-- gives  'wrapped': the record holds the data key as it is to be
--        'other': it holds another one by now, or there is none any more; nothing is changed
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
