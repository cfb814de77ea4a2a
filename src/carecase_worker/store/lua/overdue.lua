#!lua flags=allow-oom
-- overdue: choose the open chunks of a database to notify for now.
-- KEYS   1 prefix
-- ARGV   1 database, 2 renotify_after_ms, 3 notifications still waiting in the queue, 4 limit, 5 lease_ms
-- gives  "job:n"...; each is due renotify_after_ms later now, so that two sweepers do not notify for the same one; so
--        are small ones that are lined up, for which a few notifications are enough
-- moves  nothing
-- While notifications wait in the queue, most overdue chunks have theirs there: only the surplus is notified for, and
-- always a few of the oldest, in case theirs was lost. A database that is left alone is not notified for.
-- Things that have expired are taken off the counts of what is kept, so that these are right after each sweep.
local database, renotify_after_ms, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
leave(database, limit)
if paused(database, ARGV[5]) > 0 then return {} end
local due = key('due', database)
local members = redis.call('ZRANGEBYSCORE', due, now + longest_ms(ARGV[5]), '+inf', 'LIMIT', 0, limit)
local overdue = redis.call('ZCOUNT', due, '-inf', now)
local surplus = math.max(overdue - tonumber(ARGV[3]), math.min(overdue, 10))
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, math.min(surplus, limit))) do
  members[#members + 1] = member
end
local to_notify, small = {}, 0
for _, member in ipairs(members) do
  redis.call('ZADD', due, 'XX', now + renotify_after_ms, member)
  local job, n = string.match(member, '^(.*):(.*)$')
  if line_up_again(database, job, n) then
    if small % per_notification == 0 then to_notify[#to_notify + 1] = member end
    small = small + 1
  else
    to_notify[#to_notify + 1] = member
  end
end
return to_notify
