#!lua flags=allow-oom
-- claim: take the lease of a chunk, and of small ones that are lined up behind it, if it is small.
-- KEYS   1 prefix
-- ARGV   1 job, 2 chunk, 3 lease_ms, 4 holder, 5 room and 6 chunks of a group, at most; without room one chunk is taken
-- gives  {one, {"job:n", one...}...}: the verdict on the chunk, then those on others whose leases were taken, too.
--        A holder of a group holds nothing else: if it does, a response was lost, and that is given back.
--        `one` is
--        {'apply' or 'cancel', payload, deaths, releases, faults, too_slow, failures, failing_for_ms, database, care plan,
--         user, seq, strict, accepted_us, unsettled, moved, client, total, chunks, data key, signature, traceparent}:
--         the lease is the caller's for lease_ms; 'cancel' if the job is to be cancelled.
--         failures: attempts in a row that found the database away; failing_for_ms: for how long it has been failing
--         the job; unsettled: "1" if `settle` must come before anything of the job is applied; moved: by how much
--         it has moved the job up, or ""
--        {'done'}: it has its outcome
--        {'gone'}: there is no such job or payload
--        {'busy', holder}: another process has the lease, or the chunk is not open yet (then holder is "")
--        {'unplaced', database}: its job is to be placed first
--        {'held', ms}: its database is left alone for so long
-- moves  queued, waiting -> running ('apply'); queued, running, waiting -> waiting ('held')
local job, n, lease_ms, holder, room, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
if room > 0 then give_back(holder, {[job .. ':' .. n] = true}) end
local one = take(job, n, lease_ms, holder)
local answer = {one}
if room > 0 and (one[1] == 'apply' or one[1] == 'cancel') then
  local database, weight, unsettled, care_plan = unpack(redis.call('HMGET', key('job', job),
    'database', 'weight', 'unsettled', 'care_plan'))
  if is_for_groups(job, n, weight, unsettled) then
    take_ready(database, lease_ms, holder, room - tonumber(weight), most, care_plan ~= '', answer)
  end
end
return answer
