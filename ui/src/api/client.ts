// The interface of the gateway, one function a route; shapes are those of proto/.
import { request } from './http';
import type * as T from './types';

/** Answers that have a log have its address beside it. */
export type OrderAnswer = T.OrderAnswer & { logs_url: string };

/** A line of an order's log: what every line has, and the fields of its event. */
export interface LogLine {
  seq: number;
  timestamp: string;
  level: T.LogLevel;
  event: string;
  agent_work_order_id: string;
  step?: string | null;
  [field: string]: unknown;
}

export type LogsAnswer = Omit<T.OrderLogsAnswer, 'log_entries'> & { log_entries: LogLine[] };

export interface Disk {
  path: string;
  total_bytes: number;
  free_bytes: number;
  free_percent: number;
}

export interface Dependency {
  available: boolean;
  version?: string;
  error?: string;
  authenticated?: boolean;
}

/** Load and memory of the machine that the orders run on. */
export interface Host {
  load_1m: number;
  processors: number;
  memory_total_bytes: number;
  memory_available_bytes: number;
}

export type Health = Omit<T.Health, 'disk' | 'dependencies' | 'queue' | 'database' | 'host'> & {
  disk: Disk;
  host?: Host;
  dependencies: Record<string, Dependency>;
  queue: { running: number; pending: number; max_concurrent: number };
  database: { status: string; tables_exist: boolean };
};

export type Metrics = Record<string, number | Record<string, number>>;

/** Who asks. auth: by a token, by a session of this browser, or not at all. */
export interface Session {
  user: string | null;
  scopes: string[];
  auth: 'none' | 'token' | 'session';
}

const ORDERS = '/agent-work-orders';
const order = (id: string) => `${ORDERS}/${encodeURIComponent(id)}`;
const repository = (id: string) => `/repositories/${encodeURIComponent(id)}`;
type Signal = AbortSignal | undefined;

export type OrderAction = 'start' | 'pause' | 'resume' | 'retry' | 'cancel' | 'approve' | 'reject';

export const api = {
  orders: (query: T.OrderList, signal?: Signal) =>
    request<T.OrderListAnswer>('GET', ORDERS, { query: { ...query }, signal }),
  order: (id: string, signal?: Signal) => request<OrderAnswer>('GET', order(id), { signal }),
  createOrder: (body: T.OrderCreate, key: string) =>
    request<OrderAnswer>('POST', ORDERS, { body, headers: { 'Idempotency-Key': key } }),
  act: (
    id: string,
    action: OrderAction,
    body: { comment?: string; reason?: string; prompt_text?: string } = {},
  ) => request<OrderAnswer>('POST', `${order(id)}/${action}`, { body }),
  prompt: (id: string, prompt_text: string) =>
    request<T.OrderPromptAnswer>('POST', `${order(id)}/prompt`, { body: { prompt_text } }),
  deleteOrder: (id: string) => request<T.OrderDeleteAnswer>('DELETE', order(id)),
  logs: (id: string, query: Omit<T.OrderLogs, 'agent_work_order_id'>, signal?: Signal) =>
    request<LogsAnswer>('GET', `${order(id)}/logs`, { query: { ...query }, signal }),
  steps: (id: string, signal?: Signal) => request<T.StepListAnswer>('GET', `${order(id)}/steps`, { signal }),
  progress: (id: string, signal?: Signal) =>
    request<T.GitProgress>('GET', `${order(id)}/git-progress`, { signal }),
  diff: (id: string, signal?: Signal) => request<T.OrderDiffAnswer>('GET', `${order(id)}/diff`, { signal }),
  artifacts: (id: string, signal?: Signal) =>
    request<T.ArtifactListAnswer>('GET', `${order(id)}/artifacts`, { signal }),
  artifact: (id: string, name: string, offset: number, signal?: Signal) =>
    request<T.ArtifactAnswer>(
      'GET',
      `${order(id)}/artifacts/${name.split('/').map(encodeURIComponent).join('/')}`,
      {
        query: { offset, limit: 262_144 },
        signal,
      },
    ),

  repositories: (signal?: Signal) => request<T.RepositoryListAnswer>('GET', '/repositories', { signal }),
  addRepository: (body: T.RepositoryAdd) => request<T.Repository>('POST', '/repositories', { body }),
  updateRepository: (id: string, body: Omit<T.RepositoryUpdate, 'id'>) =>
    request<T.Repository>('PATCH', repository(id), { body }),
  deleteRepository: (id: string) => request<T.DeletedAnswer>('DELETE', repository(id)),
  verifyRepository: (id: string) =>
    request<T.RepositoryVerifyAnswer>('POST', `${repository(id)}/verify`, { body: {} }),
  verifyAddress: (repository_url: string) =>
    request<T.RepositoryVerifyAnswer>('POST', '/github/verify-repository', { body: { repository_url } }),

  settings: (signal?: Signal) => request<T.SettingsAnswer>('GET', '/settings', { signal }),
  setSetting: (key: string, value: unknown) =>
    request<T.SettingsAnswer>('PATCH', '/settings', { body: { key, value } }),
  testSetting: (what: 'github' | 'agent') =>
    request<T.TestAnswer>('POST', `/settings/test/${what}`, { body: {} }),
  credentials: (signal?: Signal) => request<T.CredentialListAnswer>('GET', '/credentials', { signal }),
  setCredential: (body: T.CredentialSet) => request<T.Credential>('PUT', '/credentials', { body }),
  deleteCredential: (name: string) =>
    request<T.DeletedAnswer>('DELETE', `/credentials/${encodeURIComponent(name)}`),
  testCredential: (name: string) =>
    request<T.TestAnswer>('POST', `/credentials/${encodeURIComponent(name)}/test`, { body: {} }),
  tokens: (signal?: Signal) => request<T.TokenListAnswer>('GET', '/tokens', { signal }),
  createToken: (body: T.TokenCreate) => request<T.Token>('POST', '/tokens', { body }),
  revokeToken: (id: string) => request<T.DeletedAnswer>('DELETE', `/tokens/${encodeURIComponent(id)}`),

  workflows: (signal?: Signal) => request<T.WorkflowListAnswer>('GET', '/workflows', { signal }),
  validateWorkflow: (selected_commands: string[], signal?: Signal) =>
    request<T.WorkflowValidateAnswer>('POST', '/workflows/validate', { body: { selected_commands }, signal }),
  commands: (signal?: Signal) => request<T.CommandListAnswer>('GET', '/commands', { signal }),
  queue: (signal?: Signal) => request<T.QueueAnswer>('GET', '/queue', { signal }),
  session: (signal?: Signal) => request<Session>('GET', '/session', { signal }),
  logOut: () => request<null>('DELETE', '/session'),
  health: (signal?: Signal) => request<Health>('GET', '/health', { signal }),
  info: (signal?: Signal) => request<T.Info>('GET', '/info', { signal }),
  metrics: (signal?: Signal) => request<{ metrics: Metrics }>('GET', '/metrics', { signal }),
};
