// All that is known of an order.
import type { ReactNode } from 'react';
import type { GitProgress, Order, Step } from '../api/types';
import { stepLabel } from '../lib/steps';
import { branchAddress, bytes, duration, issueAddress, safeLink, timestamp } from '../lib/format';
import { STATUS_LABEL } from '../components/status';
import { SANDBOX_LABEL } from '../repositories/repository-dialogs';

/** Text that leads to another site, where there is one. */
function linked(url: string | null, text: string | null): ReactNode {
  const href = safeLink(url);
  if (!href || !text) return text;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer" className="text-accent underline">
      {text}
    </a>
  );
}

interface Props {
  order: Order;
  progress: GitProgress | undefined;
  steps: readonly Step[];
}

export function Details({ order, progress, steps }: Props) {
  const done = new Set(steps.filter((step) => step.success).map((step) => step.step));
  const branch = order.git_branch_name && branchAddress(order.repository_url, order.git_branch_name);
  const pull = order.github_pull_request_url;
  const issue = order.github_issue_number && issueAddress(order.repository_url, order.github_issue_number);
  const rows: [string, ReactNode][] = [
    ['Work order', order.agent_work_order_id],
    ['Status', STATUS_LABEL[order.status]],
    ['Owner', order.owner],
    ['Repository', linked(order.repository_url, order.repository_url)],
    ['Sandbox', `${SANDBOX_LABEL[order.sandbox_type]}, ${order.sandbox_identifier}`],
    ['Confinement', order.sandbox_layers.join(', ') || null],
    ['Agent', [order.agent, order.model].filter(Boolean).join(', ')],
    ['Agent session', order.agent_session_id],
    ['Workflow', order.workflow_type ?? order.selected_commands.join(', ')],
    ['Waits for approval after', order.gates.map(stepLabel).join(', ')],
    ['Branch', linked(branch, order.git_branch_name)],
    [
      'Pull request',
      linked(pull, order.github_pull_request_number && `#${order.github_pull_request_number}`),
    ],
    ['Issue', linked(issue, order.github_issue_number && `#${order.github_issue_number}`)],
    ['Base branch', order.base_branch],
    [
      'Newest commit',
      progress?.latest_commit_sha &&
        `${progress.latest_commit_sha.slice(0, 8)} ${progress.latest_commit_message ?? ''}`,
    ],
    ['Priority', order.priority],
    ['Created', timestamp(order.created_at)],
    ['Started', order.execution_started_at && timestamp(order.execution_started_at)],
    ['Ended', order.execution_completed_at && timestamp(order.execution_completed_at)],
    ['Tries again', order.retry_at && timestamp(order.retry_at)],
    ['Processor time', order.usage.cpu_seconds === undefined ? null : duration(order.usage.cpu_seconds)],
    [
      'Largest memory',
      order.usage.memory_peak_bytes === undefined ? null : bytes(order.usage.memory_peak_bytes),
    ],
  ];
  const statistics: [string, ReactNode][] = [
    ['Commits', order.git_commit_count],
    ['Files changed', order.git_files_changed],
    ['Lines', `+${order.git_lines_added} −${order.git_lines_removed}`],
    ['Steps completed', `${done.size}/${order.total_steps}`],
  ];
  return (
    <div className="space-y-4">
      <section aria-label="Request" className="card p-4">
        <h2 className="mb-1 font-semibold">Request</h2>
        <p className="break-words whitespace-pre-wrap">
          {order.user_request ?? `Issue #${order.github_issue_number}`}
        </p>
      </section>
      <section aria-label="Statistics" className="card p-4">
        <h2 className="mb-2 font-semibold">Statistics</h2>
        <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
          {statistics.map(([name, value]) => (
            <div key={name}>
              <dt className="text-xs text-soft">{name}</dt>
              <dd className="text-lg font-semibold tabular-nums">{value}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section aria-label="Details" className="card p-4">
        <h2 className="mb-2 font-semibold">Details</h2>
        <dl className="grid gap-x-6 gap-y-2 sm:grid-cols-[auto_1fr]">
          {rows
            .filter(([, value]) => value !== null && value !== undefined && value !== '')
            .map(([name, value]) => (
              <div key={name} className="contents">
                <dt className="text-sm text-soft">{name}</dt>
                <dd className="min-w-0 text-sm break-words">{value}</dd>
              </div>
            ))}
        </dl>
      </section>
    </div>
  );
}
