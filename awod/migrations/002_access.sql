-- Sessions of browsers and the links that open them; what webhooks have brought; what webhooks look orders up by.
CREATE TABLE sessions (
	session_rowid INTEGER PRIMARY KEY,
	owner_uid INTEGER NOT NULL,
	is_login INTEGER NOT NULL,
	hash BLOB NOT NULL,
	id TEXT NOT NULL,
	user TEXT NOT NULL,
	scopes TEXT NOT NULL,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_owner ON sessions (owner_uid, is_login);

-- object: what a delivery speaks of, which may come in several deliveries
CREATE TABLE deliveries (
	delivery_id TEXT PRIMARY KEY,
	object TEXT NOT NULL,
	agent_work_order_id TEXT NOT NULL,
	created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX deliveries_object ON deliveries (object);
CREATE INDEX deliveries_created ON deliveries (created_at);

-- hosts like GitHub take names in any case
CREATE INDEX repositories_any_case ON repositories (repository_url COLLATE NOCASE);
CREATE INDEX work_orders_pull_request ON work_orders (github_pull_request_number, canonical_url COLLATE NOCASE)
	WHERE github_pull_request_number IS NOT NULL;
CREATE INDEX work_orders_issue ON work_orders (github_issue_number, canonical_url COLLATE NOCASE)
	WHERE github_issue_number IS NOT NULL;
