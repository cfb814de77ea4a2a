#!lua flags=allow-oom
-- overdue: select the open chunks of a database to notify for now.
-- KEYS   1 prefix
-- ARGV   1 arguments: database, renotify_after_ms, lease_ms, limit; waiting: notifications still in the queue
-- gives  "job:n"...; each becomes due renotify_after_ms later, so that two sweepers do not notify for the same one; so do
--        the ready small ones, for which a few notifications are enough
-- moves  nothing
-- While notifications wait in the queue, most overdue chunks have theirs there: only the surplus is notified for, and
-- always a few of the oldest, in case theirs was lost. A database with an open circuit is not notified for.
-- Expired entries are subtracted from the usage counts, so that these are right after each sweep.
local database, limit = arg.database, arg.limit
leave(database, limit)
if circuit_open_ms(database, arg.lease_ms) > 0 then return {} end
local due = key('due', database)
local members = redis.call('ZRANGEBYSCORE', due, now + longest_ms(arg.lease_ms), '+inf', 'LIMIT', 0, limit)
local overdue = redis.call('ZCOUNT', due, '-inf', now)
local surplus = math.max(overdue - arg.waiting, math.min(overdue, 10))
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, math.min(surplus, limit))) do
  members[#members + 1] = member
end
local to_notify, small = {}, 0
for _, member in ipairs(members) do
  redis.call('ZADD', due, 'XX', now + arg.renotify_after_ms, member)
  local job, n = string.match(member, '^(.*):(.*)$')
  if line_up_again(database, job, n) then
    if small % per_notification == 0 then to_notify[#to_notify + 1] = member end
    small = small + 1
  else
    to_notify[#to_notify + 1] = member
  end
end
return to_notify
