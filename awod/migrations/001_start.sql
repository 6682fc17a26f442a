-- The first schema. Columns of work_orders, work_order_steps, repositories, credentials and api_tokens that have the
-- name of a field of the message are bound by the message's table; times are microseconds since 1970; lists are JSON.
CREATE TABLE meta (
	name TEXT PRIMARY KEY,
	value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE work_orders (
	order_rowid INTEGER PRIMARY KEY,
	agent_work_order_id TEXT NOT NULL,
	repository_url TEXT NOT NULL,
	sandbox_identifier TEXT NOT NULL,
	git_branch_name TEXT,
	agent_session_id TEXT,
	owner TEXT NOT NULL,
	sandbox_type TEXT,
	workflow_type TEXT,
	user_request TEXT,
	selected_commands TEXT NOT NULL,
	github_issue_number TEXT,
	agent TEXT,
	model TEXT,
	base_branch TEXT,
	priority INTEGER NOT NULL,
	status TEXT NOT NULL,
	current_phase TEXT,
	current_step TEXT,
	step_number INTEGER NOT NULL,
	total_steps INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	execution_started_at INTEGER,
	execution_completed_at INTEGER,
	retry_at INTEGER,
	github_pull_request_number TEXT,
	github_pull_request_state TEXT,
	github_pull_request_url TEXT,
	git_commit_count INTEGER NOT NULL,
	git_files_changed INTEGER NOT NULL,
	git_lines_added INTEGER NOT NULL,
	git_lines_removed INTEGER NOT NULL,
	error_message TEXT,
	error_category TEXT,
	usage TEXT NOT NULL,
	sandbox_layers TEXT NOT NULL,
	-- what only awod needs
	owner_uid INTEGER NOT NULL,
	canonical_url TEXT,
	log_date TEXT,
	journal_offset INTEGER NOT NULL,
	event_appended INTEGER NOT NULL,
	base_sha TEXT,
	head_sha TEXT,
	pushed_sha TEXT,
	plan_file TEXT,
	port_start INTEGER NOT NULL,
	timeout_seconds INTEGER NOT NULL,
	elapsed_us INTEGER NOT NULL,
	resume_step INTEGER NOT NULL,
	step_started_at INTEGER NOT NULL,
	tries_base INTEGER NOT NULL,
	worker_started INTEGER NOT NULL,
	wake INTEGER NOT NULL,
	jump INTEGER NOT NULL,
	cancel_requested INTEGER NOT NULL,
	workspace_removed INTEGER NOT NULL,
	request_id TEXT,
	idempotency_key TEXT
);
CREATE UNIQUE INDEX work_orders_id ON work_orders (agent_work_order_id);
CREATE INDEX work_orders_owner ON work_orders (owner_uid);
-- finds what is live at start, and pages of one state; as cheap for a new order as an index of the live ones alone
CREATE INDEX work_orders_status ON work_orders (status);
CREATE INDEX work_orders_ended ON work_orders (execution_completed_at) WHERE execution_completed_at IS NOT NULL;
CREATE UNIQUE INDEX work_orders_key ON work_orders (owner_uid, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE work_order_steps (
	step_rowid INTEGER PRIMARY KEY,
	order_rowid INTEGER NOT NULL,
	step TEXT NOT NULL,
	agent_name TEXT NOT NULL,
	step_number INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	success INTEGER,
	output TEXT,
	error_message TEXT,
	error_category TEXT,
	duration_seconds REAL,
	session_id TEXT,
	timestamp INTEGER NOT NULL,
	usage TEXT NOT NULL,
	artifacts TEXT NOT NULL
);
CREATE UNIQUE INDEX work_order_steps_key ON work_order_steps (order_rowid, attempt, step_number, step, timestamp);

-- ids are given by awod and never used twice: meta keeps the highest when events are deleted
CREATE TABLE events (
	id INTEGER PRIMARY KEY,
	order_rowid INTEGER,
	agent_work_order_id TEXT,
	event TEXT NOT NULL,
	line TEXT NOT NULL
);
CREATE INDEX events_order ON events (order_rowid) WHERE order_rowid IS NOT NULL;

CREATE TABLE prompts (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	order_rowid INTEGER NOT NULL,
	text TEXT NOT NULL,
	by_uid INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	done_at INTEGER
);
CREATE INDEX prompts_order ON prompts (order_rowid);

CREATE TABLE repositories (
	repository_rowid INTEGER PRIMARY KEY,
	owner_uid INTEGER NOT NULL,
	id TEXT NOT NULL,
	repository_url TEXT NOT NULL,
	display_name TEXT,
	owner TEXT,
	default_branch TEXT,
	is_verified INTEGER NOT NULL,
	last_verified_at INTEGER,
	default_sandbox_type TEXT,
	default_commands TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX repositories_id ON repositories (id);
CREATE UNIQUE INDEX repositories_url ON repositories (owner_uid, repository_url);

CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE credentials (
	credential_rowid INTEGER PRIMARY KEY,
	owner_uid INTEGER NOT NULL,
	shared INTEGER NOT NULL,
	name TEXT NOT NULL,
	kind TEXT,
	host TEXT,
	masked TEXT NOT NULL,
	owner TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	sealed BLOB NOT NULL
);
CREATE UNIQUE INDEX credentials_name ON credentials (owner_uid, name);
CREATE INDEX credentials_shared ON credentials (shared) WHERE shared;

CREATE TABLE api_tokens (
	token_rowid INTEGER PRIMARY KEY,
	owner_uid INTEGER NOT NULL,
	hash BLOB NOT NULL,
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	scopes TEXT NOT NULL,
	owner TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER,
	last_used_at INTEGER
);
CREATE UNIQUE INDEX api_tokens_id ON api_tokens (id);
CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (hash);
CREATE INDEX api_tokens_owner ON api_tokens (owner_uid);
