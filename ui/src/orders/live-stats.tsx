// What an order is doing now, or what it came to: step, progress, time, changes and cost.
import type { ReactNode } from 'react';
import { useLatest } from '../api/latest';
import type { Order } from '../api/types';
import { ProgressBar, StatusDot } from '../components/status';
import { elapsedSeconds, isTerminal, progressOf } from '../lib/attention';
import { ago, cost, count, duration, plural, timestamp } from '../lib/format';
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
  const id = order.agent_work_order_id;
  const now = useNow(order.status === 'running');
  const latest = useLatest(id);
  const elapsed = elapsedSeconds(order, now);
  const percent = progressOf(order, latest?.completed);
  const heading = isTerminal(order.status) ? 'Execution Summary' : 'Real-Time Execution';
  const { usage } = order;
  return (
    <section aria-label={heading} data-stats={id} className="space-y-3">
      <div className="flex flex-wrap items-baseline justify-between gap-x-3">
        <h2 className="flex items-center gap-2 font-semibold">
          <StatusDot status={order.status} /> {heading}
        </h2>
        <p className="min-w-0 truncate" data-current-step>
          {order.current_step ? stepLabel(order.current_step) : 'Not started'}{' '}
          <span className="text-soft">
            ({order.step_number}/{order.total_steps})
          </span>{' '}
          <span className="ml-2 font-medium tabular-nums">{percent}%</span>
        </p>
      </div>
      <ProgressBar value={percent} status={order.status} label={`Progress of ${id}`} />
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
      {/* its line is kept free until it is known: what stands below does not move */}
      {!latest && <p className="text-sm text-soft">Latest activity: –</p>}
      {latest && (
        <p className="truncate text-sm" data-latest title={timestamp(new Date(latest.at).toISOString())}>
          <span className="text-soft">
            Latest activity, {ago(new Date(latest.at).toISOString(), Math.max(now, latest.at))}:{' '}
          </span>
          {latest.text}
        </p>
      )}
    </section>
  );
}
