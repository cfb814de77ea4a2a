#!lua
-- stage: write chunk payloads to the staging hash, from which admit takes them.
-- KEYS   1 prefix, 2 job record, 3 payload
-- ARGV   1 arguments:
--          job, database, client
--          staged_for_ms: they expire after that unless admitted
--          bytes, chunks: the size of the batch staged so far, with these
--          limits: {client = {jobs, bytes}, database = {jobs, bytes}}: the storage limits
--        then chunk, payload... of each
-- gives  {verdict = 'staged'}
--        {verdict = 'used' or 'crowded', whose = 'client' or 'database'}: its storage limit is reached, see `no_room`
-- moves  nothing. A batch that is a job already is not touched.
local size = size_of(arg.bytes, arg.chunks)
if redis.call('EXISTS', KEYS[2]) == 1 then return reply{verdict = 'staged'} end
local why = refused(arg.database, arg.client, arg.job, size, arg.limits)
if why then return reply(why) end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[3], arg.staged_for_ms)
unstage(arg.database, arg.client, arg.job)
redis.call('HSET', key('kept', arg.database), 'staged:' .. arg.job, size)
redis.call('ZADD', key('leaving', arg.database), now + arg.staged_for_ms, arg.client .. '|' .. arg.job .. '|staged|0')
count(arg.database, arg.client, 'bytes', size)
return reply{verdict = 'staged'}
