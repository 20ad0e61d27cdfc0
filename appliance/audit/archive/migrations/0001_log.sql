-- Each statement is run by itself, outside of any transaction, and may be run again: CockroachDB changes one thing of a
-- schema at a time, and a run may end between any two. Only what both databases understand. The columns' order is free.

CREATE TABLE IF NOT EXISTS log_trees (
	origin      text   NOT NULL PRIMARY KEY,
	name        text   NOT NULL,
	first_index bigint NOT NULL CHECK (first_index >= 0),
	previous    text   NOT NULL -- origin of the tree before, from its begin-tree entry; '' for the first
);

CREATE TABLE IF NOT EXISTS log_checkpoints (
	origin    text        NOT NULL,
	size      bigint      NOT NULL CHECK (size > 0),
	root      bytea       NOT NULL,
	note      text        NOT NULL, -- C2SP signed note; verify this and not the columns
	stored_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (origin, size)
);

CREATE TABLE IF NOT EXISTS log_entries (
	origin      text        NOT NULL,
	position    bigint      NOT NULL CHECK (position >= 0),
	log_index   bigint      NOT NULL,
	time        timestamptz NOT NULL,
	version     bigint      NOT NULL,
	tenant      text        NOT NULL,
	account     text        NOT NULL,
	actor       text        NOT NULL,
	request     text        NOT NULL,
	operation   text        NOT NULL,
	key         text        NOT NULL,
	subject     text        NOT NULL,
	key_version bigint      NOT NULL,
	macs        bigint      NOT NULL,
	outcome     text        NOT NULL,
	node        text        NOT NULL,
	module      text        NOT NULL,
	coalesced   bigint      NOT NULL,
	detail      text        NOT NULL,
	bytes       bytea       NOT NULL, -- exactly what was hashed; all but origin and position follows from it
	PRIMARY KEY (origin, position)
);

-- Every use of a key; which versions are in use.
CREATE INDEX IF NOT EXISTS log_entries_key ON log_entries (key, time);

-- Everything about one account.
CREATE INDEX IF NOT EXISTS log_entries_account ON log_entries (account, time);

-- What happened in a span of time.
CREATE INDEX IF NOT EXISTS log_entries_time ON log_entries (time);

-- Acts: policies, certificates, nodes, the narrow doors. Verifications are nearly all of a log, and are left out.
CREATE INDEX IF NOT EXISTS log_entries_act ON log_entries (operation, time) WHERE operation <> 'verify';

-- Refusals, and those that were counted and have no entry. The queries repeat this condition to the letter.
CREATE INDEX IF NOT EXISTS log_entries_refused ON log_entries (tenant, time)
	WHERE outcome NOT IN ('accepted', 'done') OR coalesced > 0;

-- Acts of operators: spiffe://<trust domain>/operator/<name>.
CREATE INDEX IF NOT EXISTS log_entries_operator ON log_entries (time) WHERE split_part(actor, '/', 4) = 'operator';
