// What runs, what waits and why, and how the host is.
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useHealth, useMetrics, useOrders, useQueue } from '../api/queries';
import { ButtonLink } from '../components/button';
import { Empty, Loading, Problem } from '../components/state';
import { elapsedSeconds } from '../lib/attention';
import { ago, bytes, count, duration, plural, repositoryName, title } from '../lib/format';
import { useNow } from '../lib/now';
import { usePageTitle } from '../lib/title';
import { orderPath } from '../orders/order-row';

const REASON: Record<string, string> = {
  next: 'Runs next.',
  slots: 'Every slot is taken.',
  user_limit: 'As many of your orders run as may (max_concurrent_per_user).',
  repository_limit: 'As many orders of this repository run as may (max_concurrent_per_repository).',
  retry_at: 'Tries again later.',
};

function Meter({ name, value, max, text }: { name: string; value: number; max: number; text: string }) {
  const part = max > 0 ? Math.min(100, (value / max) * 100) : 0;
  return (
    <div>
      <p className="flex justify-between gap-3 text-sm">
        <span>{name}</span>
        <span className="text-soft tabular-nums">{text}</span>
      </p>
      <div
        role="meter"
        aria-label={name}
        aria-valuenow={Math.round(part)}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuetext={text}
        className="mt-1 h-2 overflow-hidden rounded-full bg-raised"
      >
        <div className={`h-full ${part > 90 ? 'bg-failed' : 'bg-accent'}`} style={{ width: `${part}%` }} />
      </div>
    </div>
  );
}

function Panel({ title: heading, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={heading} className="card p-4">
      <h2 className="mb-3 font-semibold">{heading}</h2>
      {children}
    </section>
  );
}

function Host() {
  const health = useHealth();
  if (health.isPending) return <Loading what="the host" />;
  if (health.isError) return <Problem title="Failed to load the host’s state" error={health.error} />;
  const { status, problems, disk, dependencies, version, uptime, queue, host } = health.data;
  const used = disk.total_bytes - disk.free_bytes;
  return (
    <div className="space-y-3">
      <p className="text-sm">
        <span className={`font-medium ${status === 'healthy' ? 'text-completed' : 'text-waiting'}`}>
          {status}
        </span>
        <span className="text-soft">
          {' '}
          · version {version} · up {duration(uptime)}
        </span>
      </p>
      {problems.length > 0 && (
        <ul className="list-disc pl-5 text-sm text-waiting">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      <Meter
        name="Slots"
        value={queue.running}
        max={queue.max_concurrent}
        text={`${queue.running} of ${queue.max_concurrent}`}
      />
      {host && (
        <>
          <Meter
            name="Processor load"
            value={host.load_1m}
            max={host.processors}
            text={`${host.load_1m.toFixed(1)} on ${plural(host.processors, 'processor')}`}
          />
          <Meter
            name="Memory"
            value={host.memory_total_bytes - host.memory_available_bytes}
            max={host.memory_total_bytes}
            text={`${bytes(host.memory_available_bytes)} of ${bytes(host.memory_total_bytes)} available`}
          />
        </>
      )}
      <Meter
        name="Disk"
        value={used}
        max={disk.total_bytes}
        text={`${bytes(disk.free_bytes)} of ${bytes(disk.total_bytes)} free`}
      />
      <ul className="flex flex-wrap gap-x-4 gap-y-1 text-sm">
        {Object.entries(dependencies).map(([name, d]) => (
          <li key={name} title={d.error ?? d.version ?? ''}>
            {name}:{' '}
            <span className={d.available ? 'text-completed' : 'text-waiting'}>
              {d.available ? (d.version ?? 'available') : 'not available'}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Counters() {
  const metrics = useMetrics();
  if (!metrics.data) return null;
  const rows = Object.entries(metrics.data).flatMap(([name, value]): [string, number][] =>
    typeof value === 'number'
      ? [[name, value]]
      : Object.entries(value).map(([label, n]): [string, number] => [`${name} ${label}`, n]),
  );
  return (
    <details className="card p-4">
      <summary className="font-semibold">Counters of the daemon</summary>
      <dl className="mt-3 grid grid-cols-[1fr_auto] gap-x-4 text-sm">
        {rows.map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="min-w-0 font-mono text-xs break-all text-soft">{name}</dt>
            <dd className="text-right tabular-nums">
              {Number.isInteger(value) ? count(value) : value.toFixed(2)}
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

export function QueuePage() {
  const queue = useQueue();
  const { orders } = useOrders();
  const now = useNow();
  usePageTitle('Queue and host');
  const byId = new Map(orders.map((order) => [order.agent_work_order_id, order]));
  const running = orders.filter((order) => order.status === 'running');
  const name = (id: string): string => {
    const order = byId.get(id);
    return order ? title(order) : id;
  };
  return (
    <div className="space-y-4">
      <h1 className="text-xl font-semibold">Queue and host</h1>
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-4 lg:grid-cols-[repeat(2,minmax(0,1fr))]">
        <div className="space-y-4">
          <Panel title="Running">
            {running.length === 0 ? (
              <p className="text-sm text-soft">Nothing runs.</p>
            ) : (
              <ul className="space-y-2">
                {running.map((order) => (
                  <li key={order.agent_work_order_id} className="flex justify-between gap-3">
                    <Link
                      href={orderPath(order.agent_work_order_id)}
                      className="min-w-0 truncate hover:underline"
                    >
                      {title(order)}
                    </Link>
                    <span className="shrink-0 text-sm text-soft tabular-nums">
                      {duration(elapsedSeconds(order, now) ?? 0)}
                    </span>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
          <Panel title="Waiting">
            {queue.isPending && <Loading what="the queue" />}
            {queue.isError && <Problem title="Failed to load the queue" error={queue.error} />}
            {queue.data?.entries.length === 0 && (
              <Empty title="Nothing waits" text="A new order would run at once.">
                <ButtonLink small to="/agent-work-orders/new">
                  New work order
                </ButtonLink>
              </Empty>
            )}
            <ol className="space-y-2">
              {queue.data?.entries.map((entry) => (
                <li key={entry.agent_work_order_id} className="flex gap-3">
                  <span className="w-6 shrink-0 text-right text-soft tabular-nums">
                    {entry.queue_position}.
                  </span>
                  <span className="min-w-0">
                    <Link
                      href={orderPath(entry.agent_work_order_id)}
                      className="block truncate hover:underline"
                    >
                      {name(entry.agent_work_order_id)}
                    </Link>
                    <span className="block text-sm text-soft">
                      {repositoryName(entry.repository_url)} · priority {entry.priority} ·{' '}
                      {ago(entry.created_at, now)} · {REASON[entry.reason] ?? entry.reason}
                      {entry.retry_at && ` ${ago(entry.retry_at, now)}`}
                    </span>
                  </span>
                </li>
              ))}
            </ol>
          </Panel>
        </div>
        <div className="space-y-4">
          <Panel title="Host">
            <Host />
          </Panel>
          <Counters />
        </div>
      </div>
    </div>
  );
}
