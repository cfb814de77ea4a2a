#!lua flags=allow-oom
-- claim: take the lease of a chunk and, if it is small, of other small chunks that are ready.
-- KEYS   1 prefix
-- ARGV   1 arguments:
--          job, chunk, holder, lease_ms
--          group: {room, chunks} of a group, at most; without room one chunk is taken
-- gives  {{chunks = {one, another...}}, payload...}: the verdict on the chunk, then on the others whose leases were
--        taken; then the payloads of those to apply or cancel, in order.
--        The holder of a group holds no other chunk: if it does, a response was lost, and those chunks are given back.
--        each is {chunk = 'job:n', verdict = ...}, and with the verdict
--        'apply', 'cancel': the lease is the caller's for lease_ms; 'cancel' if the job is being cancelled. With it:
--          deaths, releases, faults, too_slow: failed attempts at the chunk
--          isolation: how far the search for the chunk's poison items has come, or ''
--          failures: consecutive attempts that could not reach the database
--          failing_for_ms: for how long the database has been failing the job, by its clock of failures
--          database, care_plan, user, client, total, chunks, strict, dry_run, seq, accepted_us, data_key, signature: of the
--          job. The first claim of a dry run stores the place up to which all jobs are final (`saw_seq`)
--          traceparent: of the job's request, or ''
--          unsettled: true if `settle` must come before anything of the job is applied
--          moved: how far `settle` has moved the job up, if it has
--        'done': it has its outcome
--        'gone': there is no such job or payload
--        'busy': another process, `holder`, has the lease, or the chunk is not open yet (then holder is '')
--        'unplaced': its job, of this `database`, must be placed first
--        'circuit_open': the circuit of its database is open for `open_ms`
-- moves  queued, waiting -> running ('apply'); queued, running, waiting -> waiting ('circuit_open')
local job, n, holder, room = arg.job, arg.chunk, arg.holder, arg.group.room
if room > 0 then give_back(holder, {[job .. ':' .. n] = true}) end
local taken = {take(job, n, arg.lease_ms, holder)}
if room > 0 and taken[1].payload then
  local database, weight, unsettled, care_plan = unpack(redis.call('HMGET', key('job', job),
    'database', 'weight', 'unsettled', 'care_plan'))
  if is_for_groups(job, n, weight, unsettled) then
    take_ready(database, arg.lease_ms, holder, room - tonumber(weight), arg.group.chunks, care_plan ~= '', taken)
  end
end
keep_observed()
return reply_with({chunks = taken}, taken)
