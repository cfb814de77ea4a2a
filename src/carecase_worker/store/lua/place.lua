#!lua flags=allow-oom
-- place: store which earlier jobs some jobs of a database wait for, open those without waits, claim the next work.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          database, holder to claim for, or '', renotify_after_ms, lease_ms; group: {room, chunks} of a group, at most
--          placements: for each job {job, behind, after}: it waits for all jobs up to `behind` in the order of
--          acceptance, if not ''; and for each job in `after`
-- gives  {{verdicts = {}, shares, to_notify, following, final = {}}, payload...}, as `complete` does
-- moves  the jobs of following: queued, waiting -> running. A job is placed only once; no
--        job waits for a final one.
local database = arg.database
local to_notify = {}

-- Let a job wait for another one, unless that is final; return the number of new waits.
local function wait_for(job, earlier)
  local state = redis.call('HGET', key('job', earlier), 'state')
  if not state or is_final(state) then return 0 end
  return redis.call('SADD', key('after', earlier), job)
end

-- Let a job wait for all jobs up to another one, if any of them is open; return the number of new waits.
local function wait_behind(job, last)
  if last == '' then return 0 end
  local oldest = redis.call('ZRANGE', key('open', database), 0, 0, 'WITHSCORES')[2]
  local seq = redis.call('HGET', key('job', last), 'seq') or whole(redis.call('HGET', key('job', job), 'seq') - 1)
  if tonumber(oldest) > tonumber(seq) then return 0 end
  return redis.call('ZADD', key('behind', database), seq, job)
end

local function place(job, behind, after)
  if redis.call('ZREM', key('unplaced', database), job) == 0 then return end
  local record = key('job', job)
  local opened, width = unpack(redis.call('HMGET', record, 'opened', 'width'))
  if opened ~= '0' then return end -- it is being cancelled
  redis.call('ZREM', key('due', database), job .. ':0')
  local waits = wait_behind(job, behind)
  for _, one in ipairs(after) do waits = waits + wait_for(job, one) end
  if waits > 0 then redis.call('HSET', record, 'waits', waits)
  else open_first(job, database, tonumber(width), arg.renotify_after_ms, to_notify) end
end

for _, one in ipairs(arg.placements) do place(one.job, one.behind, one.after) end
local taken = arg.holder == '' and {}
  or following(database, arg.lease_ms, arg.holder, arg.group.room, arg.group.chunks, to_notify[1])
keep_observed()
return reply_with({verdicts = {}, shares = shares_of(database), to_notify = notify_for(database, to_notify, taken, {}),
  following = taken, final = {}}, taken)
