// How the orders of the last days went: success, time, cost, and where it failed.
import { useQuery } from '@tanstack/react-query';
import { useEffect, type ReactNode } from 'react';
import { Link, useSearchParams } from 'wouter';
import { api } from '../api/client';
import type { Order } from '../api/types';
import { ButtonLink } from '../components/button';
import { Empty, Loading, Problem } from '../components/state';
import { figures, type Day, type Row } from '../lib/analytics';
import { cost, count, duration, plural, repositoryName } from '../lib/format';
import { useNow } from '../lib/now';

const PERIODS = { 7: 'Last 7 days', 30: 'Last 30 days', 90: 'Last 90 days' } as const;
const PAGE = 500;
/** More than these are not read: the figures are then those of the newest. */
const ORDERS_MAX = 5000;

async function ordersSince(since: string, signal: AbortSignal): Promise<{ orders: Order[]; total: number }> {
  const orders: Order[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await api.orders({ since, limit: PAGE, cursor }, signal);
    orders.push(...page.agent_work_orders);
    if (!page.has_more || !page.next_cursor || orders.length >= ORDERS_MAX) {
      return { orders, total: page.total_count };
    }
    cursor = page.next_cursor;
  }
}

function Figure({ name, value, more }: { name: string; value: string; more?: string }) {
  return (
    <div className="card p-4">
      <dt className="text-sm text-soft">{name}</dt>
      <dd className="text-2xl font-semibold tabular-nums">{value}</dd>
      {more && <dd className="text-sm text-soft">{more}</dd>}
    </div>
  );
}

const KINDS = [
  { key: 'completed', label: 'completed', look: 'bg-completed' },
  { key: 'failed', label: 'failed', look: 'bg-failed' },
  { key: 'cancelled', label: 'cancelled', look: 'bg-soft' },
  { key: 'open', label: 'not ended', look: 'bg-running' },
] as const;

const wordsOf = (day: Day): string =>
  KINDS.filter(({ key }) => day[key] > 0)
    .map(({ key, label }) => `${day[key]} ${label}`)
    .join(', ') || 'none';

function Days({ days }: { days: readonly Day[] }) {
  const totalOf = (day: Day) => KINDS.reduce((sum, { key }) => sum + day[key], 0);
  const most = Math.max(1, ...days.map(totalOf));
  return (
    <>
      <ol className="flex h-40 items-end gap-px sm:gap-1" aria-label="Orders of each day">
        {days.map((day) => (
          <li
            key={day.date}
            title={`${day.date}: ${wordsOf(day)}`}
            className="flex h-full min-w-0 grow flex-col justify-end rounded-sm bg-raised"
          >
            <span className="sr-only">
              {day.date}: {wordsOf(day)}
            </span>
            {[...KINDS].reverse().map(({ key, look }) => (
              <span
                key={key}
                aria-hidden
                className={`${look} ${day[key] > 0 ? 'min-h-0.5' : ''}`}
                style={{ height: `${(day[key] / most) * 100}%` }}
              />
            ))}
          </li>
        ))}
      </ol>
      <p className="mt-1 flex justify-between text-xs text-soft">
        <span>{days[0]?.date}</span>
        <span>{days.at(-1)?.date}</span>
      </p>
      <ul className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-sm">
        {KINDS.map(({ key, label, look }) => (
          <li key={key} className="inline-flex items-center gap-1.5">
            <span aria-hidden className={`size-3 rounded-sm ${look}`} /> {label}
          </li>
        ))}
      </ul>
    </>
  );
}

function Table({
  title,
  rows,
  name,
}: {
  title: string;
  rows: readonly Row[];
  name: (row: Row) => ReactNode;
}) {
  return (
    <section aria-label={title} className="card overflow-hidden">
      <h2 className="p-4 pb-2 font-semibold">{title}</h2>
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={`Table: ${title}`}>
        <table className="w-full text-sm">
          <thead className="text-left text-soft">
            <tr>
              <th className="px-4 py-1.5 font-medium">Name</th>
              {['Orders', 'Completed', 'Failed', 'Median time', 'Cost'].map((head) => (
                <th key={head} className="px-3 py-1.5 text-right font-medium whitespace-nowrap">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody className="divide-y divide-line border-t border-line">
            {rows.slice(0, 20).map((row) => (
              <tr key={row.name}>
                <td className="max-w-44 truncate px-4 py-1.5" title={row.name}>
                  {name(row)}
                </td>
                <td className="px-3 text-right tabular-nums">{row.orders}</td>
                <td className="px-3 text-right tabular-nums">{row.completed}</td>
                <td className={`px-3 text-right tabular-nums ${row.failed > 0 ? 'text-failed' : ''}`}>
                  {row.failed}
                </td>
                <td className="px-3 text-right whitespace-nowrap tabular-nums">
                  {row.medianSeconds === null ? '–' : duration(row.medianSeconds)}
                </td>
                <td className="px-3 pr-4 text-right tabular-nums">{cost(row.cost)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > 20 && <p className="px-4 py-2 text-sm text-soft">and {rows.length - 20} more</p>}
    </section>
  );
}

export function AnalyticsPage() {
  const [search, setSearch] = useSearchParams();
  const wanted = Number(search.get('days') ?? 30);
  const days = wanted in PERIODS ? wanted : 30;
  const now = useNow(false);
  // from the beginning of the first day, so that all bars are whole days
  const since = new Date(new Date(now - (days - 1) * 86_400_000).setHours(0, 0, 0, 0)).toISOString();
  const read = useQuery({
    queryKey: ['analytics', since],
    queryFn: ({ signal }) => ordersSince(since, signal),
    refetchInterval: 60_000,
  });
  useEffect(() => {
    document.title = 'Analytics · AWO';
  }, []);
  const f = read.data && figures(read.data.orders, now, days);
  return (
    <div className="space-y-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1 className="text-xl font-semibold">Analytics</h1>
        <select
          aria-label="Period"
          className="input w-auto"
          value={days}
          onChange={(event) => setSearch({ days: event.target.value })}
        >
          {Object.entries(PERIODS).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {read.isPending && <Loading what="the figures" />}
      {read.isError && (
        <Problem title="Failed to load the figures" error={read.error} onRetry={() => void read.refetch()} />
      )}
      {f?.orders === 0 && (
        <div className="card">
          <Empty title="No work orders in this time" text="Choose a longer one, or make the first order.">
            <ButtonLink small to="/agent-work-orders/new">
              New work order
            </ButtonLink>
          </Empty>
        </div>
      )}
      {read.data && f && f.orders > 0 && (
        <>
          {read.data.total > read.data.orders.length && (
            <p role="status" className="card p-3 text-sm text-waiting">
              These are the figures of the newest {count(read.data.orders.length)} of {count(read.data.total)}{' '}
              orders.
            </p>
          )}
          <dl className="grid grid-cols-2 gap-3 lg:grid-cols-3 xl:grid-cols-6">
            <Figure name="Orders" value={count(f.orders)} more={`${f.retried} needed another attempt`} />
            <Figure
              name="Success rate"
              value={f.successRate === null ? '–' : `${Math.round(f.successRate * 100)}%`}
              more={`${f.completed} completed, ${f.failed} failed, ${f.cancelled} cancelled`}
            />
            <Figure name="Median time" value={f.medianSeconds === null ? '–' : duration(f.medianSeconds)} />
            <Figure
              name="Cost"
              value={cost(f.cost)}
              more={f.completed > 0 ? `${cost(f.cost / f.completed)} for each completed` : undefined}
            />
            <Figure name="Tokens" value={count(f.tokens)} />
            <Figure
              name="Pull requests"
              value={count(f.pullRequests)}
              more={`${f.merged} merged, ${plural(f.linesChanged, 'line')} changed`}
            />
          </dl>
          <section aria-label="Orders by day" className="card p-4">
            <h2 className="mb-3 font-semibold">Orders by day</h2>
            <Days days={f.days} />
          </section>
          <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-4 xl:grid-cols-[repeat(2,minmax(0,1fr))]">
            <Table title="Repositories" rows={f.repositories} name={(row) => repositoryName(row.name)} />
            <Table title="Agents" rows={f.agents} name={(row) => row.name} />
            {f.failures.length > 0 && (
              <section aria-label="Why orders failed" className="card p-4">
                <h2 className="mb-2 font-semibold">Why orders failed</h2>
                <ul className="space-y-1 text-sm">
                  {f.failures.map(({ category, count: n }) => (
                    <li key={category} className="flex justify-between gap-3">
                      <span>{category}</span>
                      <span className="tabular-nums">{plural(n, 'order')}</span>
                    </li>
                  ))}
                </ul>
                <p className="mt-3 text-sm">
                  <Link href="/agent-work-orders?status=failed" className="text-accent underline">
                    Show the failed orders
                  </Link>
                </p>
              </section>
            )}
          </div>
        </>
      )}
    </div>
  );
}
