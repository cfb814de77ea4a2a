#!lua flags=allow-oom
-- settle: start the order of acceptance above the places that an earlier Redis left in a database, once.
-- KEYS   1 prefix
-- ARGV   1 arguments: database; highest: the highest place in the order of acceptance in it, 0 if none;
--        it is that of the highest version, see targets/case_versions.py
-- gives  'settled': the jobs admitted so far have their final place; 'known': they already had it, and nothing is changed
-- moves  nothing
-- Jobs keep their order. If they must move up, they do so together, and by `margin` more: a process may still write a
-- chunk that it claimed from the lost Redis.
local database, highest, margin = arg.database, arg.highest, 60000
if redis.call('EXISTS', key('settled', database)) == 1 then return 'known' end

local jobs, least = {}, nil
for _, member in ipairs(redis.call('ZRANGE', key('open', database), 0, -1)) do
  local job = string.match(member, '^(.-)|')
  local seq, unsettled = unpack(redis.call('HMGET', key('job', job), 'seq', 'unsettled'))
  if unsettled == '1' then
    jobs[#jobs + 1] = {job, member, tonumber(seq)}
    least = math.min(least or tonumber(seq), tonumber(seq))
  end
end

local up = least and highest >= least and highest + 1 + margin - least or 0
for _, job in ipairs(jobs) do
  local seq = whole(job[3] + up)
  redis.call('HSET', key('job', job[1]), 'seq', seq, 'unsettled', '0', 'moved', whole(up))
  redis.call('ZADD', key('open', database), seq, job[2])
  redis.call('ZADD', key('unplaced', database), 'XX', seq, job[1])
end
-- jobs that wait for all up to one of these wait for its new place
for _, job in ipairs(redis.call('ZRANGE', key('behind', database), 0, -1)) do
  if up > 0 then redis.call('ZINCRBY', key('behind', database), up, job) end
end

local last = tonumber(redis.call('GET', key('seq', database)) or 0) + up
if highest >= last then last = highest + (highest >= now and margin or 0) end
redis.call('SET', key('seq', database), whole(last))
redis.call('SET', key('settled', database), whole(highest))
return 'settled'
