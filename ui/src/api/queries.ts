// What the pages read, kept fresh: by the live stream, or every three seconds while there is none.
import {
  useInfiniteQuery,
  useQueries,
  useQuery,
  type QueryClient,
  type QueryFilters,
} from '@tanstack/react-query';
import { useMemo } from 'react';
import { api } from './client';
import { ApiError } from './http';
import { useLiveState } from './live';
import { changePages, type OrderFilter } from './orders';
import { ofOrder, overtaken } from './overtaken';
import type { Order, OrderStatus } from './types';

export const POLL_MS = 3000;
const PAGE = 200;
const COUNT_MS = 15_000;

const awaited = new WeakSet<Promise<unknown>>();

/**
 * What the filters name is read again, as far as somebody looks at it. A first answer that is on its way may be older than
 * the reason to read again; the library leaves such a request alone, so that it has to be asked for once more.
 */
export function readAgain(client: QueryClient, filters: QueryFilters = {}): void {
  for (const query of client.getQueryCache().findAll({ ...filters, fetchStatus: 'fetching' })) {
    const first = query.state.data === undefined ? query.promise : undefined;
    if (!first || awaited.has(first)) continue;
    awaited.add(first);
    const again = () => client.invalidateQueries({ queryKey: query.queryKey, exact: true });
    void first.then(again, () => undefined);
  }
  void client.invalidateQueries(filters);
}

/** How often to ask: not at all while events say when something changed. */
function usePolling(): number | false {
  return useLiveState() === 'open' ? false : POLL_MS;
}

export function useOrders(filter: OrderFilter = {}, enabled = true) {
  const query = useInfiniteQuery({
    enabled,
    queryKey: ['orders', filter],
    queryFn: ({ pageParam, signal }) =>
      overtaken(
        () => api.orders({ ...filter, limit: PAGE, cursor: pageParam ?? undefined }, signal),
        (page, id, order) => changePages([page], id, order, filter, pageParam === null)[0] ?? page,
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => (last.has_more ? last.next_cursor : null),
    refetchInterval: usePolling(),
    // a tab in the background still counts in its title who needs somebody
    refetchIntervalInBackground: true,
    placeholderData: (previous) => previous,
  });
  const orders = useMemo(
    () => query.data?.pages.flatMap((page) => page.agent_work_orders) ?? [],
    [query.data],
  );
  return { ...query, orders, total: query.data?.pages[0]?.total_count ?? 0 };
}

/**
 * Those that are not over, and those that failed, however old they are: with more orders than a page holds the one that
 * has waited longest is not among the newest.
 */
export function useUnfinished(filter: OrderFilter, enabled: boolean): Order[] {
  const of = (status: OrderStatus): OrderFilter => ({ ...filter, status });
  const waiting = useOrders(of('waiting'), enabled).orders;
  const failed = useOrders(of('failed'), enabled).orders;
  const running = useOrders(of('running'), enabled).orders;
  const paused = useOrders(of('paused'), enabled).orders;
  const pending = useOrders(of('pending'), enabled).orders;
  return useMemo(
    () => (enabled ? [...waiting, ...failed, ...running, ...paused, ...pending] : []),
    [enabled, waiting, failed, running, paused, pending],
  );
}

/** How many orders a repository has in all, and how many that are completed. */
export function useCounts(urls: readonly string[], enabled: boolean) {
  const count = (filter: OrderFilter) => ({
    queryKey: ['count', filter],
    queryFn: async ({ signal }: { signal: AbortSignal }) =>
      (await api.orders({ ...filter, limit: 1 }, signal)).total_count,
    refetchInterval: COUNT_MS,
    enabled,
  });
  const totals = useQueries({ queries: urls.map((repository_url) => count({ repository_url })) });
  const done = useQueries({
    queries: urls.map((repository_url) => count({ repository_url, status: 'completed' })),
  });
  return urls.map((url, at) => ({ url, total: totals[at]?.data, done: done[at]?.data }));
}

export const useOrder = (id: string) =>
  useQuery({
    queryKey: ['order', id],
    queryFn: async ({ signal }) => (await ofOrder(id, () => api.order(id, signal))).agent_work_order,
    refetchInterval: usePolling(),
  });

export const useSteps = (id: string) =>
  useQuery({
    queryKey: ['order', id, 'steps'],
    queryFn: async ({ signal }) => (await api.steps(id, signal)).steps,
    refetchInterval: usePolling(),
  });

export const useProgress = (id: string) =>
  useQuery({
    queryKey: ['order', id, 'progress'],
    queryFn: ({ signal }) => api.progress(id, signal),
    refetchInterval: usePolling(),
  });

export const useDiff = (id: string) =>
  useQuery({ queryKey: ['order', id, 'diff'], queryFn: ({ signal }) => api.diff(id, signal) });

export const useArtifacts = (id: string) =>
  useQuery({
    queryKey: ['order', id, 'artifacts'],
    queryFn: async ({ signal }) => (await api.artifacts(id, signal)).artifacts,
  });

export const useRepositories = () =>
  useQuery({
    queryKey: ['repositories'],
    queryFn: async ({ signal }) => (await api.repositories(signal)).repositories,
    staleTime: 30_000,
  });

export const useInfo = () =>
  useQuery({ queryKey: ['info'], queryFn: ({ signal }) => api.info(signal), staleTime: 60_000 });

export const useSession = () =>
  useQuery({ queryKey: ['session'], queryFn: ({ signal }) => api.session(signal), staleTime: 60_000 });

/** Whether the service answers: asked more often while something is wrong. */
export function useHealth() {
  const polling = usePolling();
  return useQuery({
    queryKey: ['health'],
    queryFn: ({ signal }) => api.health(signal),
    refetchInterval: ({ state }) => polling || (state.status === 'error' ? POLL_MS : 10_000),
    retry: false,
  });
}

export const useQueue = () =>
  useQuery({ queryKey: ['queue'], queryFn: ({ signal }) => api.queue(signal), refetchInterval: POLL_MS });

export const useMetrics = () =>
  useQuery({
    queryKey: ['metrics'],
    queryFn: async ({ signal }) => (await api.metrics(signal)).metrics,
    refetchInterval: 10_000,
  });

export const useWorkflows = () =>
  useQuery({
    queryKey: ['workflows'],
    queryFn: async ({ signal }) => (await api.workflows(signal)).workflows,
    staleTime: 60_000,
  });

export const useCommands = () =>
  useQuery({
    queryKey: ['commands'],
    queryFn: async ({ signal }) => (await api.commands(signal)).commands,
    staleTime: 60_000,
  });

export const useSettings = () =>
  useQuery({ queryKey: ['settings'], queryFn: ({ signal }) => api.settings(signal) });

export const useCredentials = () =>
  useQuery({
    queryKey: ['credentials'],
    queryFn: async ({ signal }) => (await api.credentials(signal)).credentials,
  });

export const useTokens = () =>
  useQuery({ queryKey: ['tokens'], queryFn: async ({ signal }) => (await api.tokens(signal)).tokens });

/** Whether to ask again after an error: what the service refused it will refuse again. */
export function worthRetrying(failures: number, error: Error): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429)
    return false;
  return failures < 2;
}
