#!lua flags=allow-oom
-- cancel: cancel the chunks of a job that have not been applied.
-- KEYS   1 prefix
-- ARGV   1 job, 2 renotify_after_ms
-- gives  {'cancelling', "job:n"...}: chunks that are claimed from now on are cancelled; notify for these
--        {'final'}: too late
--        {'gone'}: there is no such job
-- moves  queued, running, waiting -> cancelling
-- A job that waits for others is opened at once: cancelling changes no case, so the order does not matter.
local record = key('job', ARGV[1])
local state, database, width, client = unpack(redis.call('HMGET', record, 'state', 'database', 'width', 'client'))
if not state then return {'gone'} end
if state == 'completed' or state == 'cancelled' then return {'final'} end
redis.call('HSET', record, 'state', 'cancelling')
redis.call('PUBLISH', prefix .. 'progress', ARGV[1] .. '|' .. client)
local answer = {'cancelling'}
open_first(ARGV[1], database, tonumber(width), tonumber(ARGV[2]), answer)
return answer
