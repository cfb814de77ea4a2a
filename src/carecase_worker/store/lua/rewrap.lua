#!lua flags=allow-oom
-- rewrap: exchange the wrapped data key of a job for the same one wrapped anew, and its idempotency record's digests.
-- KEYS   1 prefix
-- ARGV   1 job, 2 data key as it is wrapped now, 3 as it is to be, 4 name of the idempotency record or "", 5 its fingerprint
-- gives  'wrapped': the record holds the data key as it is to be
--        'other': it holds another one by now, or there is none any more; nothing is changed
-- moves  nothing
-- A record that was deleted meanwhile stays deleted, and its data key with it.
local record, anew = key('job', ARGV[1]), ARGV[4]
local held, idempotency = unpack(redis.call('HMGET', record, 'data_key', 'idempotency'))
if held ~= ARGV[2] then return 'other' end
redis.call('HSET', record, 'data_key', ARGV[3])
if anew ~= '' and anew ~= idempotency and redis.call('EXISTS', idempotency) == 1 then
  redis.call('RENAME', idempotency, anew)
  redis.call('SET', anew, ARGV[5] .. '|' .. ARGV[1], 'KEEPTTL')
  redis.call('HSET', record, 'idempotency', anew)
end
return 'wrapped'
