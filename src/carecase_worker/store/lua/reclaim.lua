#!lua flags=allow-oom
-- reclaim: take back the chunks of a process that is no more.
-- KEYS   1 prefix
-- ARGV   1 holder
-- gives  database, "job:n"... of each chunk: it has one more process death and is due now; empty if it held none
-- moves  nothing
local holder, answer = ARGV[1], {}
for _, member in ipairs(held_by(holder)) do
  redis.call('HDEL', prefix .. 'holding', member)
  local job, n = string.match(member, '^(.*):(%d+)$')
  local database, lease = redis.call('HGET', key('job', job), 'database'), key('lease', job)
  if database and redis.call('HGET', lease, n .. ':holder') == holder then
    redis.call('HDEL', lease, n .. ':until', n .. ':holder')
    redis.call('HINCRBY', lease, n .. ':deaths', 1)
    redis.call('ZADD', key('due', database), 'XX', now, member)
    -- a pause that is a probe ends with the process that probes
    if redis.call('GET', key('pause', database)) == holder then redis.call('DEL', key('pause', database)) end
    observe(database, 'reclaimed')
    answer[#answer + 1], answer[#answer + 2] = database, member
  end
end
keep_observed()
return answer
