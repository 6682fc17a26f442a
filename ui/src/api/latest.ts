// What each order did last: as the stream says, else as its log says, else as its steps say.
import { useQueries, useQuery } from '@tanstack/react-query';
import { stepLabel } from '../lib/steps';
import { api } from './client';
import { activityOf, useActivities, useLiveState, type Activity } from './live';
import { POLL_MS } from './queries';
import type { Order } from './types';

/** The last lines of a log that are looked through for one that says something. */
const LINES = 10;
/** So many orders are asked for at once. */
const ASKED_MAX = 50;

async function read(id: string, signal: AbortSignal): Promise<Activity | null> {
  const { log_entries: lines } = await api.logs(id, { limit: LINES, tail: true }, signal);
  let found: Activity | null = null;
  for (const line of lines) found = activityOf(line, found ?? undefined) ?? found;
  if (found) return found;
  const step = (await api.steps(id, signal)).steps.at(-1);
  if (!step) return null;
  const ended = step.success !== null;
  return {
    text: `${stepLabel(step.step)}${ended ? (step.success ? ' done' : ' failed') : ' begins'}`,
    event: ended ? 'step_completed' : 'step_started',
    at: Date.parse(step.timestamp) + (step.duration_seconds ?? 0) * 1000,
    completed: null,
  };
}

const newer = (a: Activity | undefined, b: Activity | null | undefined): Activity | undefined =>
  b && (!a || b.at > a.at) ? b : a;

function options(id: string, isLive: boolean) {
  return {
    queryKey: ['order', id, 'latest'],
    queryFn: ({ signal }: { signal: AbortSignal }) => read(id, signal),
    refetchInterval: isLive ? (false as const) : POLL_MS,
  };
}

/** Of one order, in whatever state it is. */
export function useLatest(id: string): Activity | undefined {
  const heard = useActivities().get(id);
  const isLive = useLiveState() === 'open';
  const asked = useQuery({ ...options(id, isLive), enabled: !isLive || !heard });
  return newer(heard, asked.data);
}

/** Of those orders that run; of the others as far as something was heard. */
export function useActivitiesOf(orders: readonly Order[]): ReadonlyMap<string, Activity> {
  const heard = useActivities();
  const isLive = useLiveState() === 'open';
  const unheard = orders
    .filter((order) => order.status === 'running' && !(isLive && heard.has(order.agent_work_order_id)))
    .slice(0, ASKED_MAX)
    .map((order) => order.agent_work_order_id);
  const asked = useQueries({ queries: unheard.map((id) => options(id, isLive)) });
  const all = new Map(heard);
  unheard.forEach((id, at) => {
    const found = newer(all.get(id), asked[at]?.data);
    if (found) all.set(id, found);
  });
  return all;
}
