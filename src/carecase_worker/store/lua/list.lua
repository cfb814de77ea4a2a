#!lua flags=allow-oom
-- list: select a page of a client's jobs, the newest first.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          client, databases
--          first, count: the index of the first job of the page, and the size of the page
--          state: one state, or '' for any; window: the number of newest jobs that are searched for it
-- gives  {total, jobs}: the number of jobs, and those of the page
-- moves  nothing. Expired jobs are first removed from the lists.
local lists, total = {}, 0
for _, database in ipairs(arg.databases) do
  leave(database, 1000)
  lists[#lists + 1] = key('jobs', database .. ':' .. arg.client)
  total = total + redis.call('ZCARD', lists[#lists])
end

-- Count the jobs of all lists that are newer than a time.
local function newer(than)
  local sum = 0
  for _, list in ipairs(lists) do sum = sum + redis.call('ZCOUNT', list, '(' .. whole(than), '+inf') end
  return sum
end

-- Return `count` jobs from an index on. The time of acceptance at that index is found by binary search, so that no
-- earlier entry of a list is read.
local function some(from, count)
  local below, till = -1, 2 ^ 53
  while from > 0 and till - below > 1 do
    local middle = math.floor((below + till) / 2)
    if newer(middle) <= from then till = middle else below = middle end
  end
  local found, skipped = {}, from - newer(till)
  for _, list in ipairs(lists) do
    local told = redis.call('ZRANGE', list, whole(till), '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, skipped + count, 'WITHSCORES')
    for i = 1, #told, 2 do found[#found + 1] = {told[i], tonumber(told[i + 1])} end
  end
  table.sort(found, function(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] > b[1] end)
  local jobs = {}
  for i = skipped + 1, math.min(skipped + count, #found) do jobs[#jobs + 1] = found[i][1] end
  return jobs
end

if arg.state == '' then return reply{total = total, jobs = some(arg.first, arg.count)} end
local jobs = {}
total = 0
for _, job in ipairs(some(0, arg.window)) do
  if redis.call('HGET', key('job', job), 'state') == arg.state then
    total = total + 1
    if total > arg.first and total <= arg.first + arg.count then jobs[#jobs + 1] = job end
  end
end
return reply{total = total, jobs = jobs}
