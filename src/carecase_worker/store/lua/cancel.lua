#!lua flags=allow-oom
-- cancel: cancel the chunks of a job that have not been applied.
-- KEYS   1 prefix
-- ARGV   1 arguments: job, renotify_after_ms
-- gives  {verdict = 'cancelling', to_notify}: chunks that are claimed from now on are cancelled; notify for these
--        {verdict = 'final'}: too late
--        {verdict = 'gone'}: there is no such job
-- moves  queued, running, waiting -> cancelling
-- A job that waits for others is opened at once: cancelling changes no case, so the order does not matter.
local record = key('job', arg.job)
local state, database, width, client = unpack(redis.call('HMGET', record, 'state', 'database', 'width', 'client'))
if not state then return reply{verdict = 'gone'} end
if is_final(state) then return reply{verdict = 'final'} end
redis.call('HSET', record, 'state', 'cancelling')
redis.call('PUBLISH', prefix .. 'progress', arg.job .. '|' .. client)
local to_notify = {}
open_first(arg.job, database, tonumber(width), arg.renotify_after_ms, to_notify)
return reply{verdict = 'cancelling', to_notify = to_notify}
