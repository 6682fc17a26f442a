// What an order is doing now, or what it came to: step, progress, time, changes and cost.
import type { ReactNode } from 'react';
import { useActivities } from '../api/live';
import type { Order } from '../api/types';
import { ProgressBar } from '../components/status';
import { elapsedSeconds, isTerminal, progressOf } from '../lib/attention';
import { ago, cost, count, duration, plural } from '../lib/format';
import { useNow } from '../lib/now';
import { stepLabel } from '../lib/steps';

function Stat({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-soft">{name}</dt>
      <dd className="truncate font-medium tabular-nums">{children}</dd>
    </div>
  );
}

export function LiveStats({ order }: { order: Order }) {
  const running = order.status === 'running';
  const now = useNow(running);
  const activity = useActivities().get(order.agent_work_order_id);
  const elapsed = elapsedSeconds(order, now);
  const percent = progressOf(order);
  const { usage } = order;
  return (
    <section
      aria-label={isTerminal(order.status) ? 'Execution summary' : 'Real-time execution'}
      className="space-y-3"
    >
      <div className="flex items-baseline justify-between gap-3">
        <p className="min-w-0 truncate font-medium">
          {order.current_step ? stepLabel(order.current_step) : 'Not started'}{' '}
          <span className="text-soft">
            ({order.step_number}/{order.total_steps})
          </span>
        </p>
        <span className="text-sm text-soft tabular-nums">{percent}%</span>
      </div>
      <ProgressBar value={percent} status={order.status} label={`Progress of ${order.agent_work_order_id}`} />
      <dl className="grid grid-cols-2 gap-x-4 gap-y-2 sm:grid-cols-4">
        <Stat name="Elapsed">{elapsed === null ? '–' : duration(elapsed)}</Stat>
        <Stat name="Cost">{cost(usage.cost_usd)}</Stat>
        <Stat name="Tokens in / out">
          {count(usage.input_tokens)} / {count(usage.output_tokens)}
        </Stat>
        <Stat name="Attempt">{order.attempt}</Stat>
        <Stat name="Commits">{order.git_commit_count}</Stat>
        <Stat name="Files changed">{order.git_files_changed}</Stat>
        <Stat name="Lines">
          <span className="text-completed">+{order.git_lines_added}</span>{' '}
          <span className="text-failed">−{order.git_lines_removed}</span>
        </Stat>
        <Stat name="Turns">{usage.num_turns === undefined ? '–' : plural(usage.num_turns, 'turn')}</Stat>
      </dl>
      {activity && (
        <p className="truncate text-sm">
          <span className="text-soft">
            Latest activity, {ago(new Date(activity.at).toISOString(), Math.max(now, activity.at))}:{' '}
          </span>
          {activity.text}
        </p>
      )}
    </section>
  );
}
