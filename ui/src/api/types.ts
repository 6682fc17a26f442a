// Made from the tables in proto/ by `npm run types`; do not edit.

/** Where an order is in its life. */
export const ORDER_STATUS = [
  'pending',
  'running',
  'waiting',
  'paused',
  'completed',
  'failed',
  'cancelled',
] as const;
export type OrderStatus = (typeof ORDER_STATUS)[number];

/** What kind of work the order is at, read from git. */
export const ORDER_PHASE = ['planning', 'implementing', 'testing', 'completed'] as const;
export type OrderPhase = (typeof ORDER_PHASE)[number];

/** Where an order's work tree lives. */
export const SANDBOX_TYPE = ['git_worktree', 'git_branch', 'e2b', 'dagger'] as const;
export type SandboxType = (typeof SANDBOX_TYPE)[number];

/** Whose fault a failure was, which decides whether it is tried again. */
export const ERROR_CATEGORY = [
  'transient',
  'permanent',
  'timeout',
  'cancelled',
  'resource',
  'agent',
  'git',
  'github',
  'internal',
] as const;
export type ErrorCategory = (typeof ERROR_CATEGORY)[number];

/** State of a pull request. */
export const PULL_REQUEST_STATE = ['open', 'closed', 'merged'] as const;
export type PullRequestState = (typeof PULL_REQUEST_STATE)[number];

/** Level of a log line. */
export const LOG_LEVEL = ['debug', 'info', 'warning', 'error'] as const;
export type LogLevel = (typeof LOG_LEVEL)[number];

/** What a credential is for. */
export const CREDENTIAL_KIND = [
  'github_token',
  'git_password',
  'ssh_key',
  'agent_key',
  'webhook_secret',
] as const;
export type CredentialKind = (typeof CREDENTIAL_KIND)[number];

/** What became of a webhook's delivery. */
export const WEBHOOK_ACTION = ['created', 'prompted', 'updated', 'ignored', 'duplicate'] as const;
export type WebhookAction = (typeof WEBHOOK_ACTION)[number];

/** What order.diff answers with. */
export const DIFF_FORMAT = ['patch', 'stat'] as const;
export type DiffFormat = (typeof DIFF_FORMAT)[number];

/** What was used, as far as known. */
export interface Usage {
  /** tokens the model read, cache included */
  input_tokens?: number;
  /** tokens the model wrote */
  output_tokens?: number;
  /** cost in US dollars as the agent reported it */
  cost_usd?: number;
  /** turns of the agent */
  num_turns?: number;
  /** processor time of the agent and its tools */
  cpu_seconds?: number;
  /** largest resident size of one process of the agent */
  memory_peak_bytes?: number;
  /** elapsed time of the steps */
  wall_seconds?: number;
}

/** An agent work order. */
export interface Order {
  /** wo- and 8 hexadecimal digits */
  agent_work_order_id: string;
  /** canonical URL of the repository */
  repository_url: string;
  /** sandbox-<id> */
  sandbox_identifier: string;
  /** the order's branch, when there is one */
  git_branch_name: string | null;
  /** the agent's newest session */
  agent_session_id: string | null;
  /** user name of the creator */
  owner: string;
  /** kind of workspace */
  sandbox_type: SandboxType;
  /** workflow that the order was created with */
  workflow_type: string | null;
  /** what is to be done */
  user_request: string | null;
  /** the steps, in order */
  selected_commands: string[];
  /** decimal */
  github_issue_number: string | null;
  /** agent adapter */
  agent: string;
  /** model, when one was asked for */
  model: string | null;
  /** branch that the work starts from and the pull request aims at */
  base_branch: string | null;
  /** higher runs first */
  priority: number;
  /** where the order is in its life */
  status: OrderStatus;
  /** phase, read from git */
  current_phase: OrderPhase | null;
  /** step that runs, or ran last */
  current_step: string | null;
  /** its number, from 1 */
  step_number: number;
  /** how many steps there are */
  total_steps: number;
  /** pending orders only; 1 is next */
  queue_position: number | null;
  /** 1, and one more with each retry */
  attempt: number;
  /** when it was handed in */
  created_at: string;
  /** when the record last changed */
  updated_at: string;
  /** when it first got a slot */
  execution_started_at: string | null;
  /** when it became terminal */
  execution_completed_at: string | null;
  /** pending orders: not before this */
  retry_at: string | null;
  /** decimal */
  github_pull_request_number: string | null;
  /** as last seen */
  github_pull_request_state: PullRequestState | null;
  /** address of the pull request */
  github_pull_request_url: string | null;
  /** commits on the branch since its merge base */
  git_commit_count: number;
  /** files changed since the merge base */
  git_files_changed: number;
  /** lines added */
  git_lines_added: number;
  /** lines removed */
  git_lines_removed: number;
  /** why it failed */
  error_message: string | null;
  /** kind of failure */
  error_category: ErrorCategory | null;
  /** summed over the steps */
  usage: Usage;
  /** confinement in force, and no-<layer> for what was not */
  sandbox_layers: string[];
  /** steps behind which the order waits until a person approves */
  gates: string[];
  /** waiting orders: the step behind which it waits now */
  gate: string | null;
}

/** Hand in an order. */
export interface OrderCreate {
  /** https, http, ssh or file URL, git@host:path, absolute path or owner/repo */
  repository_url: string;
  /** what is to be done; may be left out with github_issue_number */
  user_request?: string;
  /** default git_worktree */
  sandbox_type?: SandboxType;
  /** a named sequence of steps */
  workflow_type?: string;
  /** the steps; wins over workflow_type */
  selected_commands?: string[];
  /** decimal */
  github_issue_number?: string;
  /** agent adapter; default agents.default */
  agent?: string;
  /** model */
  model?: string;
  /** default: the remote's HEAD */
  base_branch?: string;
  /** default 0 */
  priority?: number;
  /** steps behind which the order waits until a person approves */
  gates?: string[];
  /** limit for the whole order; default none */
  timeout_seconds?: number;
  /** a repeated create with the same key returns the first order */
  idempotency_key?: string;
  /** carried into the log */
  request_id?: string;
}

/** One order. */
export interface OrderRef {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
}

/** One order, perhaps refreshed. */
export interface OrderGet {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** ask GitHub for the pull request's state first */
  refresh?: boolean;
}

/** One order and where its log is. */
export interface OrderAnswer {
  /** the order */
  agent_work_order: Order;
  /** for people */
  message?: string;
}

/** Which orders to list, newest first. */
export interface OrderList {
  /** only these */
  status?: OrderStatus;
  /** only those in one of these states */
  statuses?: string[];
  /** only of this repository */
  repository_url?: string;
  /** only of this user (administrators; others see their own) */
  owner?: string;
  /** text in request, repository, branch or id */
  q?: string;
  /** created at or after */
  since?: string;
  /** created before */
  until?: string;
  /** default 50 */
  limit?: number;
  /** skip so many */
  offset?: number;
  /** next_cursor of the page before */
  cursor?: string;
  /** administrators: every user's orders */
  all?: boolean;
}

/** A page of orders. */
export interface OrderListAnswer {
  /** newest first */
  agent_work_orders: Order[];
  /** how many match in all */
  total_count: number;
  /** whether there are more */
  has_more: boolean;
  /** for the next page */
  next_cursor: string | null;
}

/** Cancel an order. */
export interface OrderCancel {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** recorded in the log */
  reason?: string;
}

/** Tell a running order something, or re-open one that has ended. */
export interface OrderPrompt {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** text, or /command and its arguments */
  prompt_text: string;
}

/** What became of a prompt. */
export interface OrderPromptAnswer {
  /** id */
  agent_work_order_id: string;
  /** true */
  prompt_accepted: boolean;
  /** when it will run */
  message: string;
  /** number of the prompt */
  prompt_id: number;
}

/** Let an order pass its gate. */
export interface OrderApprove {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** recorded with the decision */
  comment?: string;
  /** told to the agent before the next step, as order.prompt would */
  prompt_text?: string;
}

/** Stop an order at its gate. */
export interface OrderReject {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** recorded with the decision */
  comment?: string;
}

/** Part of an order's log. */
export interface OrderLogs {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** default 100 */
  limit?: number;
  /** skip so many matching lines */
  offset?: number;
  /** only lines after this seq */
  after_seq?: number;
  /** only lines of at least this level */
  level?: LogLevel;
  /** only lines of this step */
  step?: string;
  /** only lines not older than this */
  since?: string;
  /** the last lines instead of the first */
  tail?: boolean;
}

/** Part of an order's log. */
export interface OrderLogsAnswer {
  /** id */
  agent_work_order_id: string;
  /** array of lines as objects, each with its seq */
  log_entries: unknown;
  /** lines in the log */
  total: number;
  /** the same */
  total_count: number;
  /** lines that match */
  filtered_total: number;
  /** as asked */
  limit: number;
  /** as asked */
  offset: number;
  /** whether more lines match */
  has_more: boolean;
  /** after_seq for what comes next */
  next_seq: number;
}

/** Follow an order's log: what is there, then what comes. */
export interface OrderWatch {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** only lines after this seq */
  after_seq?: number;
  /** only lines of at least this level */
  level?: LogLevel;
  /** only lines of this step */
  step?: string;
  /** only lines not older than this */
  since?: string;
}

/** A stream has begun; its notifications carry this number. */
export interface StreamAnswer {
  /** number of the stream on this connection */
  subscription: number;
  /** the order, in full */
  agent_work_order_id?: string;
}

/** A stream of this connection. */
export interface StreamRef {
  /** number of the stream on this connection */
  subscription: number;
}

/** Notification log_line: one line of a log that is followed. */
export interface LogLine {
  /** number of the stream */
  subscription: number;
  /** resume with after_seq = this */
  seq: number;
  /** the line: one JSON object, without seq */
  line: string;
}

/** Notifications stream_end and stream_overflow: nothing follows on this stream. */
export interface StreamEnd {
  /** number of the stream */
  subscription: number;
  /** last seq that was sent */
  seq: number;
  /** order_ended, slow_reader, order_removed, access_ended or stopping */
  reason: string;
}

/** A file that a step left. */
export interface Artifact {
  /** as order.artifact takes it: prompts/02-planning.txt */
  name: string;
  /** bytes */
  size: number;
  /** last written */
  modified_at: string;
}

/** The files of an order. */
export interface ArtifactListAnswer {
  /** id */
  agent_work_order_id: string;
  /** by name */
  artifacts: Artifact[];
}

/** Part of one file of an order. */
export interface ArtifactGet {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** as listed */
  name: string;
  /** first byte */
  offset?: number;
  /** bytes; default 1 MiB */
  limit?: number;
}

/** Part of one file of an order. */
export interface ArtifactAnswer {
  /** as listed */
  name: string;
  /** bytes of the whole file */
  size: number;
  /** first byte of this part */
  offset: number;
  /** this part; bytes that are not UTF-8 are replaced */
  content: string;
  /** whether the file goes on */
  has_more: boolean;
  /** offset of the next part */
  next_offset: number;
}

/** A step's result. */
export interface Step {
  /** name of the step */
  step: string;
  /** who does it */
  agent_name: string;
  /** from 1 */
  step_number: number;
  /** the order's attempt that it belongs to */
  attempt: number;
  /** not set while it runs */
  success: boolean | null;
  /** what it came to: a branch, a plan file, a URL, the agent's last words */
  output: string | null;
  /** why it failed */
  error_message: string | null;
  /** kind of failure */
  error_category: ErrorCategory | null;
  /** elapsed */
  duration_seconds: number | null;
  /** the agent's session */
  session_id: string | null;
  /** when it began */
  timestamp: string;
  /** what it used */
  usage: Usage;
  /** files it left */
  artifacts: string[];
}

/** The step history of an order. */
export interface StepListAnswer {
  /** id */
  agent_work_order_id: string;
  /** in the order in which they ran */
  steps: Step[];
}

/** A stretch of the history of phases. */
export interface PhaseEntry {
  /** phase */
  phase: OrderPhase;
  /** time of its first commit, or of its step */
  started_at: string;
  /** when the next one began */
  completed_at: string | null;
  /** commits of it */
  commits: number;
}

/** What git says about an order's branch. */
export interface GitProgress {
  /** id */
  agent_work_order_id: string;
  /** phase */
  current_phase: OrderPhase | null;
  /** branch */
  git_branch_name: string | null;
  /** commits since the merge base */
  git_commit_count: number;
  /** files changed since the merge base */
  git_files_changed: number;
  /** lines added */
  git_lines_added: number;
  /** lines removed */
  git_lines_removed: number;
  /** of the branch's tip */
  latest_commit_message: string | null;
  /** of the branch's tip */
  latest_commit_sha: string | null;
  /** when this was computed */
  snapshot_timestamp: string;
  /** oldest first */
  phase_history: PhaseEntry[];
}

/** What an order changed. */
export interface OrderDiff {
  /** id, or a unique prefix of it */
  agent_work_order_id: string;
  /** default patch */
  format?: DiffFormat;
  /** only this file or directory */
  path?: string;
}

/** Changes of one file. */
export interface DiffFile {
  /** path in the repository */
  path: string;
  /** added, modified, deleted, renamed or typechange */
  status: string;
  /** lines added; 0 for binary files */
  lines_added: number;
  /** lines removed; 0 for binary files */
  lines_removed: number;
  /** whether it is binary */
  binary: boolean;
}

/** What an order changed. */
export interface OrderDiffAnswer {
  /** id */
  agent_work_order_id: string;
  /** merge base */
  base_sha: string | null;
  /** tip of the branch */
  head_sha: string | null;
  /** by path */
  files: DiffFile[];
  /** unified diff, at most 3 MiB */
  patch: string | null;
  /** whether the patch was cut */
  truncated: boolean;
}

/** An order was removed. */
export interface OrderDeleteAnswer {
  /** id */
  agent_work_order_id: string;
  /** true */
  deleted: boolean;
}

/** A repository that a user has registered. */
export interface Repository {
  /** UUID */
  id: string;
  /** canonical URL */
  repository_url: string;
  /** owner/repo */
  display_name: string | null;
  /** owner on the host */
  owner: string | null;
  /** the remote's HEAD */
  default_branch: string | null;
  /** whether the last verification succeeded */
  is_verified: boolean;
  /** when it was verified */
  last_verified_at: string | null;
  /** for orders that name none */
  default_sandbox_type: SandboxType;
  /** for orders that name none */
  default_commands: string[];
  /** when it was registered */
  created_at: string;
  /** when it last changed */
  updated_at: string;
}

/** Register a repository. */
export interface RepositoryAdd {
  /** as for order.create */
  repository_url: string;
  /** check access now (default true) */
  verify?: boolean;
  /** default git_worktree */
  default_sandbox_type?: SandboxType;
  /** default: the five steps */
  default_commands?: string[];
}

/** One registered repository. */
export interface RepositoryRef {
  /** UUID or URL */
  id: string;
}

/** Change a registered repository. */
export interface RepositoryUpdate {
  /** UUID or URL */
  id: string;
  /** for orders that name none */
  default_sandbox_type?: SandboxType;
  /** for orders that name none */
  default_commands?: string[];
}

/** The caller's repositories. */
export interface RepositoryListAnswer {
  /** by display name */
  repositories: Repository[];
  /** how many */
  total_count: number;
}

/** Check access to a repository. */
export interface RepositoryVerify {
  /** as for order.create */
  repository_url?: string;
  /** or the UUID of a registered one, which is then updated */
  id?: string;
}

/** Whether a repository can be read. */
export interface RepositoryVerifyAnswer {
  /** whether it can be read */
  is_accessible: boolean;
  /** the same */
  verification_success: boolean;
  /** name on the host */
  repository_name: string | null;
  /** owner on the host */
  repository_owner: string | null;
  /** canonical URL */
  repository_url: string;
  /** the remote's HEAD */
  default_branch: string | null;
  /** why not, and what to do */
  error_message: string | null;
  /** now */
  access_verified_at: string;
}

/** Nothing. */
export type Empty = Record<string, never>;

/** One setting, its effective value and where it came from. */
export interface Setting {
  /** dotted name in the configuration file */
  key: string;
  /** effective value; secrets are masked */
  value: unknown;
  /** default, file:line, environment NAME, command line or stored */
  source: string;
  /** not to be changed here: set by environment or command line, or read from the file alone */
  fixed: boolean;
  /** takes effect after a restart */
  restart_required: boolean;
  /** what it does */
  help: string;
  /** what awod runs with until it is started again, where that is another value; empty when none is set */
  running_value?: unknown;
}

/** Which settings. */
export interface SettingsGet {
  /** one key, or a section; default all */
  key?: string;
}

/** Settings. */
export interface SettingsAnswer {
  /** by key */
  settings: Setting[];
  /** whether a stored change waits for a restart */
  restart_required?: boolean;
}

/** Change a setting at run time. */
export interface SettingsSet {
  /** dotted name */
  key: string;
  /** new value; null removes the stored one */
  value?: unknown;
}

/** Try what a setting is for. */
export interface SettingsTest {
  /** github or agent */
  what: string;
  /** which agent; default agents.default */
  agent?: string;
}

/** Whether it works. */
export interface TestAnswer {
  /** whether it works */
  success: boolean;
  /** what was found, and what to do */
  message: string;
  /** of the agent program */
  version?: string;
}

/** A stored credential; its value is never shown. */
export interface Credential {
  /** a name of the owner's choice; for agent_key the environment variable */
  name: string;
  /** what it is for */
  kind: CredentialKind;
  /** host that it is for; default github.com for github_token */
  host: string | null;
  /** *** and the last four characters */
  masked: string;
  /** user name; * when an administrator shares it with all */
  owner: string;
  /** when it was stored */
  created_at: string;
  /** when it last changed */
  updated_at: string;
}

/** Store a credential. */
export interface CredentialSet {
  /** letters, digits, . _ - */
  name: string;
  /** what it is for */
  kind: CredentialKind;
  /** host that it is for */
  host?: string;
  /** the secret */
  value: string;
  /** administrators: for every user's orders */
  shared?: boolean;
}

/** One credential. */
export interface CredentialRef {
  /** its name */
  name: string;
}

/** The caller's credentials. */
export interface CredentialListAnswer {
  /** by name */
  credentials: Credential[];
}

/** It is gone. */
export interface DeletedAnswer {
  /** true */
  deleted: boolean;
}

/** Make an access token for the HTTP gateway. */
export interface TokenCreate {
  /** what it is for */
  name: string;
  /** read, write, admin, each with those before it; default read and write */
  scopes?: string[];
  /** default: never */
  expires_seconds?: number;
}

/** An access token; only its hash is stored. */
export interface Token {
  /** public part */
  id: string;
  /** what it is for */
  name: string;
  /** what it may do */
  scopes: string[];
  /** for whom it acts */
  owner: string;
  /** the same as a number, only in the answer to token.verify */
  uid?: number;
  /** when it was made */
  created_at: string;
  /** when it ends */
  expires_at: string | null;
  /** when it was last used */
  last_used_at: string | null;
  /** the token itself, only in the answer to token.create */
  token?: string;
}

/** One access token. */
export interface TokenRef {
  /** public part */
  id: string;
}

/** Whose token is this. */
export interface TokenVerify {
  /** as presented */
  token: string;
}

/** The caller's access tokens. */
export interface TokenListAnswer {
  /** newest first */
  tokens: Token[];
}

/** What the gateway adds to the request map of any method, to act for somebody else. */
export interface OnBehalf {
  /** the access token or session that was presented to it */
  auth?: string;
}

/** Make a one-time link that logs a browser in. */
export interface SessionCreate {
  /** read, write, admin; default all that the caller may have */
  scopes?: string[];
}

/** A login link. */
export interface SessionCreateAnswer {
  /** opens one session, once */
  login_token: string;
  /** when it ends if nobody uses it */
  expires_at: string;
  /** where the gateway is to be found: http://127.0.0.1:8053 */
  address: string;
}

/** Exchange a login link for a session. */
export interface SessionOpen {
  /** as presented */
  login_token: string;
}

/** One session. */
export interface SessionRef {
  /** as presented */
  session: string;
}

/** A browser that has logged in; only its hash is stored. */
export interface Session {
  /** public part */
  id: string;
  /** for whom it acts */
  user: string;
  /** the same as a number */
  uid: number;
  /** what it may do */
  scopes: string[];
  /** when it was opened */
  created_at: string;
  /** when it ends */
  expires_at: string;
  /** the session itself, only in the answer to session.open */
  session?: string;
}

/** A webhook, as it came in. */
export interface WebhookDeliver {
  /** X-GitHub-Delivery */
  delivery_id: string;
  /** X-GitHub-Event */
  event: string;
  /** X-Hub-Signature-256 */
  signature: string;
  /** the body, byte for byte */
  body: string;
}

/** What became of a webhook. */
export interface WebhookAnswer {
  /** what was done */
  action: WebhookAction;
  /** the order that it is about */
  agent_work_order_id?: string;
  /** why */
  reason: string;
}

/** A named sequence of steps. */
export interface Workflow {
  /** as workflow_type takes it */
  name: string;
  /** the steps */
  steps: string[];
  /** what it is for */
  description?: string;
}

/** One workflow. */
export interface WorkflowRef {
  /** its name */
  name: string;
}

/** The workflows. */
export interface WorkflowListAnswer {
  /** by name */
  workflows: Workflow[];
}

/** Check a sequence of steps. */
export interface WorkflowValidate {
  /** a name, or */
  workflow_type?: string;
  /** the steps themselves */
  selected_commands?: string[];
}

/** Whether a sequence of steps can run. */
export interface WorkflowValidateAnswer {
  /** whether it can run */
  valid: boolean;
  /** the steps it comes to */
  steps: string[];
  /** what is wrong */
  errors: string[];
}

/** A command file that steps and prompts can use. */
export interface Command {
  /** name of the step or prompt */
  name: string;
  /** from its front matter */
  description?: string;
  /** where it was found */
  source: string;
}

/** The trusted command files. */
export interface CommandListAnswer {
  /** by name */
  commands: Command[];
}

/** A pending order and why it waits. */
export interface QueueEntry {
  /** id */
  agent_work_order_id: string;
  /** 1 is next */
  queue_position: number;
  /** user name */
  owner: string;
  /** canonical URL */
  repository_url: string;
  /** higher runs first */
  priority: number;
  /** slots, user_limit, repository_limit, retry_at or next */
  reason: string;
  /** when it was handed in */
  created_at: string;
  /** not before this */
  retry_at: string | null;
}

/** The queue. */
export interface QueueAnswer {
  /** orders that have a slot */
  running: number;
  /** orders that wait */
  pending: number;
  /** slots */
  max_concurrent: number;
  /** the caller's pending orders, next first */
  entries: QueueEntry[];
}

/** Whether the service is well. */
export interface Health {
  /** healthy or degraded */
  status: string;
  /** agent-work-orders */
  service: string;
  /** version */
  version: string;
  /** true */
  enabled: boolean;
  /** sqlite or memory */
  storage_type: string;
  /** status, tables_exist */
  database: unknown;
  /** claude_cli, git, github and others, each with available */
  dependencies: unknown;
  /** running, pending, max_concurrent */
  queue: unknown;
  /** path, total_bytes, free_bytes, free_percent */
  disk: unknown;
  /** load_1m, processors, memory_total_bytes, memory_available_bytes */
  host?: unknown;
  /** seconds */
  uptime: number;
  /** how often the broker has died and was started again, since awod's start */
  broker_restarts?: number;
  /** when it last was */
  broker_restarted_at?: string;
  /** why it is degraded, and what to do */
  problems: string[];
}

/** A sandbox type and whether it can be used. */
export interface SandboxInfo {
  /** name */
  name: SandboxType;
  /** whether orders may name it */
  available: boolean;
  /** why not */
  reason: string | null;
}

/** An agent and whether its program is there. */
export interface AgentInfo {
  /** as orders name it */
  name: string;
  /** claude, codex, opencode, gemini or command */
  adapter: string;
  /** program as configured */
  program: string;
  /** whether it was found */
  available: boolean;
  /** where */
  path: string | null;
}

/** What this instance is. */
export interface Info {
  /** version */
  version: string;
  /** system or user */
  mode: string;
  /** the caller, as awod knows it */
  user: string;
  /** whether the caller may see everything */
  is_admin: boolean;
  /** path */
  socket: string;
  /** path */
  state_directory: string;
  /** path, when there is one */
  config_file: string | null;
  /** of the broker process */
  pid: number;
  /** when this process started */
  started_at: string;
  /** what orders may name */
  sandbox_types: SandboxInfo[];
  /** what orders may name */
  agents: AgentInfo[];
  /** built-in steps */
  steps: string[];
  /** features that were probed, each true or false */
  kernel: unknown;
}

/** Remove what retention says. */
export interface Cleanup {
  /** only say what would be removed */
  dry_run?: boolean;
}

/** What was removed. */
export interface CleanupAnswer {
  /** how many */
  removed: number;
  /** how many */
  kept: number;
  /** bytes */
  bytes_freed: number;
  /** what could not be removed, and why */
  errors: string[];
  /** one line for each thing removed */
  details: string[];
}

/** Copy the database. */
export interface Backup {
  /** absolute path of a file that is not there yet, in a directory that the broker may write */
  path: string;
}

/** The database was copied. */
export interface BackupAnswer {
  /** path */
  path: string;
  /** bytes */
  size: number;
}

/** Counters. */
export interface MetricsAnswer {
  /** object of name to number, or to an object of label to number */
  metrics: unknown;
}

/** Follow the events of all orders that the caller may see. */
export interface EventsWatch {
  /** replay stored events after this id first; default: only what comes */
  after_id?: number;
}

/** Notification event: something happened to an order. */
export interface Event {
  /** number of the stream */
  subscription: number;
  /** of a stored event; 0 for lines of workers */
  id: number;
  /** the line: one JSON object; empty once, when all that was stored up to id has been sent */
  line: string;
}

/** Events of an order that change its record. */
export const STATE_EVENTS: ReadonlySet<string> = new Set([
  'agent_work_order_created',
  'agent_work_order_started',
  'agent_work_order_completed',
  'agent_work_order_failed',
  'agent_work_order_cancelled',
  'agent_work_order_paused',
  'agent_work_order_resumed',
  'agent_work_order_approved',
  'agent_work_order_retried',
  'prompt_queued',
  'journal_truncated',
  'sandbox_created',
  'workspace_created',
  'workflow_started',
  'workflow_gate_reached',
  'workflow_completed',
  'workflow_failed',
  'workflow_phase_started',
  'workflow_phase_completed',
  'workflow_phase_transition',
  'step_started',
  'step_completed',
  'git_branch_created',
  'git_commit_created',
  'git_push_completed',
  'github_pull_request_created',
]);
