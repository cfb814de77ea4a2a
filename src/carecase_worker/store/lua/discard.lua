#!lua flags=allow-oom
-- discard: drop the staged chunks of a batch that is refused.
-- KEYS   1 prefix, 2 job record, 3 payload
-- ARGV   1 arguments: job, database, client
-- gives  'discarded'; 'known': it is already a job, and stays one
-- moves  nothing
if redis.call('EXISTS', KEYS[2]) == 1 then return 'known' end
redis.call('UNLINK', KEYS[3])
unstage(arg.database, arg.client, arg.job)
return 'discarded'
