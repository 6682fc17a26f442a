// An order, and a stream, for unit tests.
import type { Order } from './api/types';
import { DEFAULT_STEPS } from './lib/steps';

export function anOrder(change: Partial<Order> = {}): Order {
  return {
    agent_work_order_id: 'wo-00000001',
    repository_url: 'https://github.com/octo/sample',
    sandbox_identifier: 'sandbox-wo-00000001',
    git_branch_name: null,
    agent_session_id: null,
    owner: 'me',
    sandbox_type: 'git_worktree',
    workflow_type: null,
    user_request: 'Add a greeting',
    selected_commands: DEFAULT_STEPS,
    github_issue_number: null,
    agent: 'claude',
    model: null,
    base_branch: 'main',
    priority: 0,
    status: 'pending',
    current_phase: null,
    current_step: null,
    step_number: 0,
    total_steps: 5,
    queue_position: null,
    attempt: 1,
    created_at: '2026-01-02T11:00:00Z',
    updated_at: '2026-01-02T11:00:00Z',
    execution_started_at: null,
    execution_completed_at: null,
    retry_at: null,
    github_pull_request_number: null,
    github_pull_request_state: null,
    github_pull_request_url: null,
    git_commit_count: 0,
    git_files_changed: 0,
    git_lines_added: 0,
    git_lines_removed: 0,
    error_message: null,
    error_category: null,
    usage: {},
    sandbox_layers: [],
    gates: [],
    gate: null,
    ...change,
  };
}

/** An EventSource that says what the test wants. */
export class FakeSource {
  static made: FakeSource[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string; lastEventId: string }) => void = () => undefined;
  onerror: () => void = () => undefined;
  closed = false;
  private readonly named = new Map<string, () => void>();
  constructor(readonly url: string) {
    FakeSource.made.push(this);
  }
  addEventListener(name: string, listener: () => void) {
    this.named.set(name, listener);
  }
  say(name: string) {
    this.named.get(name)?.();
  }
  close() {
    this.closed = true;
  }
}
