#!lua flags=allow-oom
-- reclaim: take back the chunks of a dead process.
-- KEYS   1 prefix
-- ARGV   1 arguments: holder
-- gives  {chunks}: {database, chunk = 'job:n'} of each; it has one more process death and is due now
-- moves  nothing
local holder, chunks = arg.holder, {}
for _, member in ipairs(held_by(holder)) do
  redis.call('HDEL', prefix .. 'holding', member)
  local job, n = string.match(member, '^(.*):(%d+)$')
  local database, lease = redis.call('HGET', key('job', job), 'database'), key('lease', job)
  if database and redis.call('HGET', lease, n .. ':holder') == holder then
    redis.call('HDEL', lease, n .. ':until', n .. ':holder')
    redis.call('HINCRBY', lease, n .. ':deaths', 1)
    redis.call('ZADD', key('due', database), 'XX', now, member)
    -- the probe of a half-open circuit ends with its process
    if redis.call('GET', key('circuit', database)) == holder then redis.call('DEL', key('circuit', database)) end
    observe(database, 'reclaimed')
    chunks[#chunks + 1] = {database = database, chunk = member}
  end
end
keep_observed()
return reply{chunks = chunks}
