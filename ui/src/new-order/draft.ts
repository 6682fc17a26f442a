// A work order that is being written, and what it still lacks.
import type { OrderCreate, SandboxType } from '../api/types';
import { usableGates } from '../lib/own-workflows';

export const REQUEST_MIN = 10;

export interface Draft {
  repositoryUrl: string;
  sandbox: SandboxType;
  /** '' means the steps below. */
  workflow: string;
  /** Which of the person's own workflows the steps are; '' means none. */
  own: string;
  steps: string[];
  /** Steps behind which the order waits for approval. */
  gates: string[];
  request: string;
  issue: string;
  agent: string;
  model: string;
  baseBranch: string;
  priority: string;
}

export type Problems = Partial<Record<keyof Draft, string>>;

export function problemsOf(draft: Draft): Problems {
  const problems: Problems = {};
  if (draft.repositoryUrl.trim() === '') problems.repositoryUrl = 'Repository URL is required';
  if (draft.workflow === '' && draft.steps.length === 0) {
    problems.steps = 'At least one workflow step must be selected';
  }
  const length = draft.request.trim().length;
  if (length < REQUEST_MIN && !(length === 0 && draft.issue !== '')) {
    problems.request = `Request must be at least ${REQUEST_MIN} characters`;
  }
  if (draft.issue !== '' && !/^[1-9]\d{0,18}$/.test(draft.issue))
    problems.issue = 'The number of an issue, like 42';
  if (!/^-?\d{1,3}$/.test(draft.priority) || Math.abs(Number(draft.priority)) > 100) {
    problems.priority = 'A whole number from -100 to 100';
  }
  return problems;
}

/** planned: the steps that the order will have. */
export function toRequest(draft: Draft, planned: readonly string[]): OrderCreate {
  const gates = usableGates(draft.gates, planned);
  return {
    repository_url: draft.repositoryUrl.trim(),
    user_request: draft.request.trim() || undefined,
    sandbox_type: draft.sandbox,
    ...(draft.workflow ? { workflow_type: draft.workflow } : { selected_commands: draft.steps }),
    gates: gates.length > 0 ? gates : undefined,
    github_issue_number: draft.issue || undefined,
    agent: draft.agent || undefined,
    model: draft.model.trim() || undefined,
    base_branch: draft.baseBranch.trim() || undefined,
    priority: Number(draft.priority),
  };
}
