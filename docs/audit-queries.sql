-- What auditors ask the archived key-usage log. Each statement runs as it stands, on PostgreSQL and on CockroachDB:
--
--   psql -d 'service=audit' -f docs/audit-queries.sql
--
-- Put your key, account or span of time in place of the example's. What the columns mean is in the package comment of
-- appliance/audit. The outcome is 'accepted' or 'done' where somebody got what they asked for, and otherwise says why not.
-- In coalesced is how many more attempts on a locked account there were since the account's entry before; of a client that
-- was refused at the door ('refuse-request'), how many more refusals the entry stands for. Days and
-- quarters are UTC's.
--
-- An answer is as good as the rows: `strongroom audit archive check` proves first that they are what the log's signers
-- signed, all of it, and that the columns say what the signed bytes say. To prove a single row to somebody else, give them
-- its origin and position; any node has the receipt.

-- 1. Every use of a key in the last quarter. A key is a credential (its id) or a key of the cluster (wrapping, authority,
-- device-trust, code, pepper).
SELECT time, tenant, account, actor, operation, outcome, key_version, macs, node, module, origin, position
FROM log_entries
WHERE key = 'totp-1'
	AND time >= (date_trunc('quarter', now() AT TIME ZONE 'UTC') - interval '3 months') AT TIME ZONE 'UTC'
	AND time < date_trunc('quarter', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
ORDER BY log_index, origin;

-- 2. Everything about one account. The cluster tells an account's pseudonym until the account is erased.
SELECT time, operation, key, key_version, macs, outcome, coalesced, actor, request, node, module, detail, origin, position
FROM log_entries
WHERE account = '9f86d081884c7d659a2feaa0c55ad015'
ORDER BY log_index, origin;

-- 3. Refusals by tenant and day, with those that were only counted. The acts of the cluster have no tenant.
SELECT tenant, (time AT TIME ZONE 'UTC')::date AS day,
	count(*) FILTER (WHERE outcome NOT IN ('accepted', 'done')) AS refused,
	count(*) FILTER (WHERE outcome = 'refused-by-policy') AS by_policy,
	count(*) FILTER (WHERE outcome = 'locked') AS locked,
	CAST(sum(coalesced) AS bigint) AS coalesced
FROM log_entries
WHERE outcome NOT IN ('accepted', 'done') OR coalesced > 0
GROUP BY tenant, (time AT TIME ZONE 'UTC')::date
ORDER BY tenant, day;

-- 4. Everything that operators did or tried to do.
SELECT time, actor, operation, subject, key, outcome, node, detail, origin, position
FROM log_entries
WHERE split_part(actor, '/', 4) = 'operator'
ORDER BY log_index, origin;

-- 5. Changes of policy, and what each policy was from then on.
SELECT time, subject AS tenant, actor, outcome, detail, origin, position
FROM log_entries
WHERE operation = 'set-policy'
ORDER BY log_index, origin;

-- 6. Certificates that the cluster's authority signed, and for whom.
SELECT time, subject AS identity, actor, key_version, outcome, node, module, origin, position
FROM log_entries
WHERE operation = 'issue-certificate'
ORDER BY log_index, origin;

-- 7. Nodes that were admitted, joined or removed; detail has the module of the node, module is that of the node that acted.
SELECT time, operation, subject AS member, detail, outcome, actor, node, module, origin, position
FROM log_entries
WHERE operation IN ('found-cluster', 'admit-node', 'join-node', 'remove-node')
ORDER BY log_index, origin;

-- 8. The two doors through which a seed is seen outside of the hardware: shown as a QR code, or imported.
SELECT time, operation, tenant, account, key, outcome, actor, node, module, origin, position
FROM log_entries
WHERE operation IN ('reveal-seed', 'import-seed')
ORDER BY log_index, origin;

-- 9. Which versions of keys are still in use: under which the latest entry of each key was written, but for credentials that
-- were removed, and accounts that were deleted, since. Reads the whole log.
WITH latest AS (
	SELECT DISTINCT ON (account, key) account, key, key_version, operation, outcome, time, log_index
	FROM log_entries
	WHERE key <> ''
	ORDER BY account, key, log_index DESC
)
SELECT CASE WHEN account = '' THEN key ELSE 'seeds under the wrapping key' END AS kind, key_version, count(*) AS keys, max(time) AS last_use
FROM latest
WHERE NOT (operation = 'remove-credential' AND outcome = 'done')
	AND NOT EXISTS (
		SELECT 1 FROM log_entries AS d
		WHERE d.operation = 'delete-account' AND d.outcome = 'done' AND d.account = latest.account AND d.log_index > latest.log_index
	)
GROUP BY CASE WHEN account = '' THEN key ELSE 'seeds under the wrapping key' END, key_version
ORDER BY kind, key_version;

-- 10. The twenty accounts with most failed attempts, those included that were only counted because the account was locked.
SELECT tenant, account,
	CAST(count(*) FILTER (WHERE outcome IN ('wrong', 'spent', 'expired', 'locked')) + sum(coalesced) AS bigint) AS failed,
	CAST(sum(coalesced) AS bigint) AS coalesced,
	max(time) AS last_time
FROM log_entries
WHERE (outcome NOT IN ('accepted', 'done') OR coalesced > 0) AND account <> ''
GROUP BY tenant, account
ORDER BY failed DESC, tenant, account
LIMIT 20;

-- Is anything missing? Gaps between positions, at a tree's beginning and up to its newest checkpoint, and entries whose
-- index is not that of their place. No row means that nothing is; it is the check that proves it.
SELECT origin, 'missing' AS what, position + 1 AS first_position, following - 1 AS last_position
FROM (
	SELECT origin, position, lead(position) OVER (PARTITION BY origin ORDER BY position) AS following FROM log_entries
) AS neighbours
WHERE following > position + 1
UNION ALL
SELECT origin, 'missing', 0, min(position) - 1 FROM log_entries GROUP BY origin HAVING min(position) > 0
UNION ALL
SELECT c.origin, 'missing', COALESCE(e.highest, -1) + 1, c.size - 1
FROM (SELECT origin, max(size) AS size FROM log_checkpoints GROUP BY origin) AS c
LEFT JOIN (SELECT origin, max(position) AS highest FROM log_entries GROUP BY origin) AS e ON e.origin = c.origin
WHERE COALESCE(e.highest, -1) + 1 < c.size
UNION ALL
SELECT l.origin, 'of another place', l.position, l.position
FROM log_entries AS l JOIN log_trees AS t ON t.origin = l.origin
WHERE l.log_index <> t.first_index + l.position
ORDER BY 1, 3;
