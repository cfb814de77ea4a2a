#!lua flags=allow-oom
-- claim: take the lease of a chunk.
-- KEYS   1 prefix
-- ARGV   1 job, 2 chunk, 3 now_ms, 4 lease_ms, 5 holder
-- gives  {'apply' or 'cancel', payload, deaths, releases, faults, failures, database, care plan, user, seq, strict,
--         failing_since_ms or false}: the lease is the caller's until now + lease_ms; 'cancel' if the job is to be
--         cancelled. failures: attempts in a row that found the database away; failing_since_ms: the job's first one
--        {'done'}: it has its outcome
--        {'gone'}: there is no such job or payload
--        {'busy', holder}: another has the lease, or the chunk is not open yet (then holder is "")
--        {'held', ms}: its database is left alone for so long
-- moves  queued, waiting -> running ('apply'); queued, running, waiting -> waiting ('held')
return take(ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5])
