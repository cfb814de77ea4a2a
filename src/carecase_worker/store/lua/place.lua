#!lua flags=allow-oom
-- place: note for which earlier jobs some jobs of a database wait, open those that wait for none, claim what is next.
-- KEYS   1 prefix
-- ARGV   1 database, 2 renotify_after_ms, 3 lease_ms, 4 holder to claim for, 5 room and 6 chunks of a group, at most,
--        then for each job: its id, the job up to which it waits for all in the order of acceptance, or "", how many
--        jobs it waits for one by one, and these
-- gives  {shares, {next...}, {"job:n"...}, {}}, as `complete` does
-- moves  the jobs of next: queued, waiting -> running. A job placed before stays so; nothing waits for a final job.
local database, renotify_after_ms, lease_ms, holder = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local to_notify = {}

-- Note that a job waits for another one, unless that is final; return the number of new waits.
local function wait_for(job, earlier)
  local state = redis.call('HGET', key('job', earlier), 'state')
  if not state or state == 'completed' or state == 'cancelled' then return 0 end
  return redis.call('SADD', key('after', earlier), job)
end

-- Note that a job waits for all up to another one, if any of them is open; return the number of new waits.
local function wait_behind(job, last)
  if last == '' then return 0 end
  local oldest = redis.call('ZRANGE', key('open', database), 0, 0, 'WITHSCORES')[2]
  local seq = redis.call('HGET', key('job', last), 'seq') or whole(redis.call('HGET', key('job', job), 'seq') - 1)
  if tonumber(oldest) > tonumber(seq) then return 0 end
  return redis.call('ZADD', key('behind', database), seq, job)
end

local function place(job, last, earlier)
  if redis.call('ZREM', key('unplaced', database), job) == 0 then return end
  local record = key('job', job)
  local opened, width = unpack(redis.call('HMGET', record, 'opened', 'width'))
  if opened ~= '0' then return end -- it is being cancelled
  redis.call('ZREM', key('due', database), job .. ':0')
  local waits = wait_behind(job, last)
  for _, one in ipairs(earlier) do waits = waits + wait_for(job, one) end
  if waits > 0 then redis.call('HSET', record, 'waits', waits)
  else open_first(job, database, tonumber(width), renotify_after_ms, to_notify) end
end

local i = 7
while i <= #ARGV do
  local till = i + 2 + tonumber(ARGV[i + 2])
  place(ARGV[i], ARGV[i + 1], {unpack(ARGV, i + 3, till)})
  i = till + 1
end
local taken = following(database, lease_ms, holder, tonumber(ARGV[5]), tonumber(ARGV[6]), to_notify[1])
return {shares_of(database), taken, notify_for(database, to_notify, taken, {}), {}}
