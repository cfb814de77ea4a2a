#!lua
-- stage: write chunk payloads to the staging hash, from which admit takes them.
-- KEYS   1 prefix, 2 job record, 3 payload
-- ARGV   1 job, 2 database, 3 client, 4 staged_for_ms (they expire after that unless admitted),
--        5 bytes and 6 chunks that are staged of the batch with these, 7 jobs and 8 bytes that a client may have kept,
--        9 jobs and 10 bytes that a database may, then chunk, payload...
-- gives  {'staged'}; {'used' or 'crowded', 'client' or 'database'}: no more may be kept of it, see `no_room`
-- moves  nothing. A batch that is a job already is not touched.
local job, database, client, size = ARGV[1], ARGV[2], ARGV[3], size_of(ARGV[5], ARGV[6])
if redis.call('EXISTS', KEYS[2]) == 1 then return {'staged'} end
local why = refused(database, client, job, size, {unpack(ARGV, 7, 10)})
if why then return why end
for i = 11, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[3], ARGV[4])
unstage(database, client, job)
redis.call('HSET', key('kept', database), 'staged:' .. job, size)
redis.call('ZADD', key('leaving', database), now + tonumber(ARGV[4]), client .. '|' .. job .. '|staged|0')
count(database, client, 'bytes', size)
return {'staged'}
