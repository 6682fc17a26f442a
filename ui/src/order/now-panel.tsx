// The top of one order: what it is, how it stands, and what can be done about it.
import { CircleDot, ExternalLink, GitBranch, GitPullRequest } from 'lucide-react';
import { Link } from 'wouter';
import { useRepositories } from '../api/queries';
import type { Order } from '../api/types';
import { Button, OutLink } from '../components/button';
import { StatusPill } from '../components/status';
import { ACTION_LABEL, allowedActions, type Doing } from '../lib/actions';
import { branchAddress, issueAddress, repositoryLabel, repositoryName, safeLink, title } from '../lib/format';

interface Props {
  order: Order;
  busy: boolean;
  onDo: (what: Doing) => void;
}

const IN_PANEL: Doing[] = ['approve', 'reject'];

export function OrderHeader({ order, busy, onDo }: Props) {
  const repository = useRepositories().data?.find((r) => r.repository_url === order.repository_url);
  const pull = safeLink(order.github_pull_request_url);
  const branch = order.git_branch_name && branchAddress(order.repository_url, order.git_branch_name);
  const issue = order.github_issue_number && issueAddress(order.repository_url, order.github_issue_number);
  return (
    <header className="space-y-3">
      <nav aria-label="Breadcrumbs">
        <ol className="flex min-w-0 flex-wrap items-center gap-x-2 text-sm text-soft">
          <li>
            <Link href="/agent-work-orders" className="text-accent hover:underline">
              Work orders
            </Link>
          </li>
          <li aria-hidden>/</li>
          <li className="min-w-0 break-all">
            {repository ? (
              <Link href={`/agent-work-orders?repo=${repository.id}`} className="text-accent hover:underline">
                {repositoryLabel(repository)}
              </Link>
            ) : (
              repositoryName(order.repository_url)
            )}
          </li>
          <li aria-hidden>/</li>
          <li aria-current="page" className="font-mono text-xs">
            {order.agent_work_order_id}
          </li>
        </ol>
      </nav>
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div className="min-w-0 grow basis-80">
          <h1 className="text-xl font-semibold break-words">{title(order).slice(0, 200)}</h1>
          <p className="mt-1 flex flex-wrap items-center gap-x-3 gap-y-1 text-sm text-soft">
            <StatusPill status={order.status} />
            <span className="inline-flex min-w-0 items-center gap-1">
              <GitBranch aria-hidden size={14} className="shrink-0" />
              <span className="font-mono text-xs break-all">{order.git_branch_name ?? 'no branch yet'}</span>
            </span>
            {order.queue_position !== null && <span>Number {order.queue_position} in the queue</span>}
          </p>
        </div>
        <div className="flex flex-wrap gap-2">
          {branch && (
            <OutLink small href={branch}>
              <ExternalLink aria-hidden size={15} /> View branch
            </OutLink>
          )}
          {pull && (
            <OutLink small href={pull} look="primary">
              <GitPullRequest aria-hidden size={15} /> View PR #{order.github_pull_request_number}
            </OutLink>
          )}
          {issue && (
            <OutLink small href={issue}>
              <CircleDot aria-hidden size={15} /> Issue #{order.github_issue_number}
            </OutLink>
          )}
          {allowedActions(order.status)
            .filter((what) => !IN_PANEL.includes(what))
            .map((what) => (
              <Button
                key={what}
                small
                disabled={busy}
                look={what === 'cancel' || what === 'delete' ? 'danger' : 'plain'}
                onClick={() => onDo(what)}
              >
                {ACTION_LABEL[what]}
              </Button>
            ))}
        </div>
      </div>
      {order.error_message && (
        <div role="alert" className="card border-l-4 border-l-failed p-3">
          <p className="font-medium text-failed">
            {order.status === 'pending' ? 'The last attempt failed' : 'It failed'}
            {order.error_category ? ` (${order.error_category})` : ''}
          </p>
          <p className="text-sm break-words whitespace-pre-wrap">{order.error_message}</p>
          {order.status === 'failed' && (
            <p className="mt-1 text-sm text-soft">{REMEDY[order.error_category ?? 'internal']}</p>
          )}
        </div>
      )}
    </header>
  );
}

const REMEDY: Record<string, string> = {
  transient: 'This may pass. Retry continues at the step that failed.',
  permanent:
    'Another attempt alone will not help: change the request, then prompt the agent or make a new order.',
  timeout: 'It took longer than it may. Raise the timeout in Settings, or retry with a smaller request.',
  cancelled: 'Retry continues at the step that was stopped.',
  resource: 'A limit was reached. Look at Queue and host, then retry.',
  agent: 'The log says what the agent did. Tell it more in a prompt, or retry.',
  git: 'Verify the repository and your credentials, then retry.',
  github: 'Test the GitHub token in Settings, then retry.',
  internal: 'The log and the daemon’s own log have more. Retry when the cause is mended.',
};
