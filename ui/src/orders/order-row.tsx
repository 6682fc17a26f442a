// One order in the list: what it is, how it stands, and the one thing to do about it.
import { ChevronDown, ChevronRight, GitBranch } from 'lucide-react';
import { lazy, Suspense } from 'react';
import { Link } from 'wouter';
import type { Activity } from '../api/live';
import type { Order } from '../api/types';
import { Button, ButtonLink, IconButton, OutLink } from '../components/button';
import { Loading } from '../components/state';
import { ProgressBar, StatusPill } from '../components/status';
import { ACTION_LABEL, type Doing } from '../lib/actions';
import { elapsedSeconds, progressOf, type Verdict } from '../lib/attention';
import { ago, cost, duration, repositoryName, safeLink, title } from '../lib/format';
import { stepLabel } from '../lib/steps';
import { LiveStats } from './live-stats';
import { OrderMenu } from './order-menu';

// most lists are read without opening a log
const RowLog = lazy(() => import('./row-log'));

interface Props {
  order: Order;
  verdict: Verdict;
  activity: Activity | undefined;
  now: number;
  showRepository: boolean;
  /** Whether its numbers are shown. */
  open: boolean;
  onOpen: (open: boolean) => void;
  /** Whether its log is shown when it is open. */
  log: boolean;
  onLog: (show: boolean) => void;
  onDo: (id: string, what: Doing) => void;
}

const FIRST_ACTION: Partial<Record<Order['status'], Doing>> = {
  pending: 'start',
  paused: 'resume',
  failed: 'retry',
  cancelled: 'retry',
};

export const orderPath = (id: string): string => `/agent-work-orders/${id}`;

function FirstAction({ order, onDo }: { order: Order; onDo: Props['onDo'] }) {
  const id = order.agent_work_order_id;
  const action = FIRST_ACTION[order.status];
  const pull = safeLink(order.github_pull_request_url);
  if (action) {
    return (
      <Button small onClick={() => onDo(id, action)} aria-label={`${ACTION_LABEL[action]} ${id}`}>
        {ACTION_LABEL[action]}
      </Button>
    );
  }
  if (order.status === 'completed' && pull) {
    return (
      <OutLink small href={pull}>
        Pull request
      </OutLink>
    );
  }
  return (
    <ButtonLink small to={orderPath(id)} look={order.status === 'waiting' ? 'primary' : 'plain'}>
      {order.status === 'waiting' ? 'Review' : 'Details'}
    </ButtonLink>
  );
}

function Facts({ order, showRepository }: { order: Order; showRepository: boolean }) {
  return (
    <p className="flex min-w-0 flex-wrap items-center gap-x-2 text-sm text-soft">
      <span className="font-mono text-xs">{order.agent_work_order_id}</span>
      {showRepository && <span className="truncate">{repositoryName(order.repository_url)}</span>}
      <span
        className="inline-flex min-w-0 items-center gap-1"
        title={order.git_branch_name ?? 'No branch yet'}
      >
        <GitBranch role="img" aria-label="Branch" size={13} className="shrink-0" />
        <span className="truncate" data-branch>
          {order.git_branch_name ?? '–'}
        </span>
      </span>
    </p>
  );
}

function Standing({ order, verdict, activity, now }: Pick<Props, 'order' | 'verdict' | 'activity' | 'now'>) {
  const elapsed = elapsedSeconds(order, now);
  const running = order.status === 'running';
  const showsStep = order.status !== 'completed' && order.step_number > 0;
  return (
    <div className="min-w-0 space-y-1">
      {(running || showsStep) && (
        <>
          <p className="flex justify-between gap-2 text-sm">
            <span className="truncate">
              {order.current_step ? stepLabel(order.current_step) : 'Preparing'}{' '}
              <span className="text-soft">
                {order.step_number}/{order.total_steps}
              </span>
            </span>
          </p>
          <ProgressBar
            value={progressOf(order, activity?.completed)}
            status={order.status}
            label={`Progress of ${order.agent_work_order_id}`}
          />
        </>
      )}
      {running && activity && verdict.group === 'running' && (
        <p className="truncate text-xs text-soft">{activity.text}</p>
      )}
      <p className="text-xs text-soft tabular-nums">
        {elapsed === null ? ago(order.created_at, now) : duration(elapsed)}
        {order.usage.cost_usd !== undefined && ` · ${cost(order.usage.cost_usd)}`}
        {order.git_commit_count > 0 && ` · +${order.git_lines_added} −${order.git_lines_removed}`}
      </p>
    </div>
  );
}

/** What a row shows when it is opened. */
function Opened({ order, log, onLog }: { order: Order; log: boolean; onLog: (show: boolean) => void }) {
  return (
    <div className="space-y-3 border-t border-line bg-raised/40 px-4 py-3">
      <LiveStats order={order} />
      <Button small aria-expanded={log} onClick={() => onLog(!log)}>
        {log ? 'Hide' : 'Show'} Execution Logs
      </Button>
      {log && (
        <Suspense fallback={<Loading what="the log" />}>
          <RowLog order={order} />
        </Suspense>
      )}
    </div>
  );
}

export function OrderRow(props: Props) {
  const { order, verdict, activity, now, showRepository, open, onOpen, log, onLog, onDo } = props;
  const id = order.agent_work_order_id;
  const Chevron = open ? ChevronDown : ChevronRight;
  const urgent = verdict.group === 'attention';

  function act(what: Doing): void {
    if (what === 'start') onOpen(true);
    onDo(id, what);
  }

  return (
    <li data-order={id} data-status={order.status} className="border-t border-line first:border-t-0">
      <div className="grid grid-cols-[1fr_auto] items-center gap-x-3 gap-y-2 px-3 py-2.5 hover:bg-raised/50 md:grid-cols-[8.5rem_minmax(0,1fr)_13rem_auto]">
        <StatusPill status={order.status} />
        <div className="order-3 col-span-2 min-w-0 md:order-none md:col-span-1">
          <Link
            href={orderPath(id)}
            data-row-link
            className="block truncate font-medium hover:underline"
            title={title(order)}
          >
            {title(order)}
          </Link>
          <Facts order={order} showRepository={showRepository} />
          {verdict.why && (
            <p
              className={`line-clamp-2 text-sm break-words ${urgent ? 'font-medium text-failed' : 'text-soft'}`}
            >
              {verdict.why}
            </p>
          )}
        </div>
        <div className="order-4 col-span-2 min-w-0 md:order-none md:col-span-1">
          <Standing order={order} verdict={verdict} activity={activity} now={now} />
        </div>
        <div className="order-2 flex items-center justify-end gap-1 md:order-none md:min-w-40">
          <FirstAction order={order} onDo={(_, what) => act(what)} />
          <IconButton
            label={`${open ? 'Hide' : 'Show'} numbers of ${id}`}
            aria-expanded={open}
            onClick={() => onOpen(!open)}
          >
            <Chevron aria-hidden size={18} />
          </IconButton>
          <OrderMenu order={order} onDo={act} />
        </div>
      </div>
      {open && <Opened order={order} log={log} onLog={onLog} />}
    </li>
  );
}
