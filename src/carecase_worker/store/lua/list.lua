#!lua flags=allow-oom
-- list: choose among a client's jobs, the newest first.
-- KEYS   1 prefix
-- ARGV   1 client, 2 first (the place of the first one wanted), 3 how many are wanted,
--        4 a state, or "" for any, 5 how many of the newest are searched for it, then the databases
-- gives  {how many there are, job...}
-- moves  nothing. Expired jobs are first removed from the lists.
local client, first, wanted = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local lists, total = {}, 0
for i = 6, #ARGV do
  leave(ARGV[i], 1000)
  lists[#lists + 1] = key('jobs', ARGV[i] .. ':' .. client)
  total = total + redis.call('ZCARD', lists[#lists])
end

-- Count the jobs, of all lists together, that are newer than a moment.
local function newer(than)
  local sum = 0
  for _, list in ipairs(lists) do sum = sum + redis.call('ZCOUNT', list, '(' .. whole(than), '+inf') end
  return sum
end

-- Return `count` jobs from a place on. The moment of acceptance at that place is searched for by halving, so that no
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

if ARGV[4] == '' then return {total, unpack(some(first, wanted))} end
local answer = {0}
for _, job in ipairs(some(0, tonumber(ARGV[5]))) do
  if redis.call('HGET', key('job', job), 'state') == ARGV[4] then
    answer[1] = answer[1] + 1
    if answer[1] > first and answer[1] <= first + wanted then answer[#answer + 1] = job end
  end
end
return answer
