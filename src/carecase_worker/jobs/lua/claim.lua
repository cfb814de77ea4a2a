#!lua flags=allow-oom
-- claim: take the lease of a chunk.
-- KEYS   1 prefix
-- ARGV   1 job, 2 chunk, 3 lease_ms, 4 holder
-- gives  {'apply' or 'cancel', payload, deaths, releases, faults, too_slow, failures, failing_for_ms, database, care plan, user, seq,
--         strict, accepted_us, unsettled, moved, client, total, chunks, data key, signature}: the lease is the caller's for lease_ms; 'cancel' if the job is to be cancelled.
--         failures: attempts in a row that found the database away; failing_for_ms: for how long it has been failing the
--         job; unsettled: "1" if `settle` must come before anything of the job is applied; moved: by how much
--         it has moved the job up, or ""
--        {'done'}: it has its outcome
--        {'gone'}: there is no such job or payload
--        {'busy', holder}: another has the lease, or the chunk is not open yet (then holder is "")
--        {'held', ms}: its database is left alone for so long
-- moves  queued, waiting -> running ('apply'); queued, running, waiting -> waiting ('held')
return take(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
