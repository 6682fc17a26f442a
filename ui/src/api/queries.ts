// What the pages read, kept fresh: by the live stream, or every three seconds while there is none.
import {
  useInfiniteQuery,
  useMutation,
  useQueries,
  useQuery,
  useQueryClient,
  type InfiniteData,
  type QueryClient,
  type QueryFilters,
} from '@tanstack/react-query';
import { useMemo } from 'react';
import { toast } from '../lib/toasts';
import { api, type OrderAction } from './client';
import { ApiError, loggedOut } from './http';
import { useLiveState } from './live';
import { ofOrder, overtaken, remember } from './overtaken';
import type {
  Order,
  OrderListAnswer,
  OrderStatus,
  Repository,
  RepositoryAdd,
  RepositoryUpdate,
} from './types';

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

export interface OrderFilter {
  q?: string;
  repository_url?: string;
  status?: OrderStatus;
  /** Created at or after. */
  since?: string;
  /** Created before. */
  until?: string;
}

type OrderPages = InfiniteData<OrderListAnswer, string | null>;

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

// ---- changes of an order in everything that shows it

function matches(order: Order, filter: OrderFilter): boolean {
  if (filter.q) return false; // only the server knows what it looks through
  return (
    (!filter.status || filter.status === order.status) &&
    (!filter.repository_url || filter.repository_url === order.repository_url) &&
    (!filter.since || order.created_at >= filter.since) &&
    (!filter.until || order.created_at < filter.until)
  );
}

/** Puts an order where its age places it, unless that is on a page that was not read. */
function insert(pages: OrderListAnswer[], order: Order): void {
  const last = pages.at(-1);
  const newer = (o: Order) => o.created_at > order.created_at;
  let at = pages.findIndex((page) => !page.agent_work_orders.every(newer));
  if (at < 0 && !last?.has_more) at = pages.length - 1;
  const page = pages[at];
  if (!page) return;
  const orders = [...page.agent_work_orders];
  const place = orders.findIndex((o) => !newer(o));
  orders.splice(place < 0 ? orders.length : place, 0, order);
  pages[at] = { ...page, agent_work_orders: orders, total_count: page.total_count + 1 };
}

/** mayCome: whether the order may be added; to a page behind the first that is looked at alone it may not. */
function changePages(
  pages: OrderListAnswer[],
  id: string,
  order: Order | null,
  filter: OrderFilter,
  mayCome = true,
): OrderListAnswer[] {
  let found = false;
  const next = pages.map((page) => {
    const at = page.agent_work_orders.findIndex((o) => o.agent_work_order_id === id);
    if (at < 0) return page;
    found = true;
    const orders = [...page.agent_work_orders];
    if (order && (!filter.status || filter.status === order.status)) orders[at] = order;
    else orders.splice(at, 1);
    return { ...page, agent_work_orders: orders };
  });
  if (!found && mayCome && order && matches(order, filter)) insert(next, order);
  return next;
}

/** Puts an order's record (null: it is gone) into every list and page that has it. */
export function putOrder(client: QueryClient, id: string, order: Order | null): void {
  remember(id, order);
  if (order) client.setQueryData<Order>(['order', id], order);
  for (const [key, data] of client.getQueriesData<OrderPages>({ queryKey: ['orders'] })) {
    if (!data) continue;
    const pages = changePages(data.pages, id, order, key[1] as OrderFilter);
    client.setQueryData(key, { ...data, pages });
  }
}

const OPTIMISTIC: Partial<Record<OrderAction, OrderStatus>> = {
  start: 'running',
  pause: 'paused',
  resume: 'running',
  retry: 'pending',
  cancel: 'cancelled',
  approve: 'running',
};

const SAID: Record<OrderAction, string> = {
  start: 'Started',
  pause: 'Paused',
  resume: 'Resumes as soon as a slot is free',
  retry: 'Queued again',
  cancel: 'Cancelled',
  approve: 'Approved',
  reject: 'Rejected',
};

/** An order as it was read last, wherever that was. */
export function known(client: QueryClient, id: string): Order | undefined {
  const one = client.getQueryData<Order>(['order', id]);
  if (one) return one;
  for (const [, pages] of client.getQueriesData<OrderPages>({ queryKey: ['orders'] })) {
    const found = pages?.pages.flatMap((p) => p.agent_work_orders).find((o) => o.agent_work_order_id === id);
    if (found) return found;
  }
  return undefined;
}

interface ActionRequest {
  id: string;
  action: OrderAction;
  comment?: string;
  /** Told to the agent before the next step. */
  prompt?: string;
}

/** Acts on an order: shown at once, taken back when the service refuses. */
export function useOrderAction() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, action, comment, prompt }: ActionRequest) =>
      ofOrder(id, () =>
        api.act(id, action, {
          ...(comment && (action === 'cancel' ? { reason: comment } : { comment })),
          ...(prompt && { prompt_text: prompt }),
        }),
      ),
    onMutate: ({ id, action }) => {
      const before = known(client, id);
      const status = OPTIMISTIC[action];
      if (before && status) putOrder(client, id, { ...before, status });
      return before;
    },
    onSuccess: ({ agent_work_order, message }, { id, action }) => {
      putOrder(client, id, agent_work_order);
      readAgain(client, { queryKey: ['order', id] });
      toast.success(`${SAID[action]}: ${id}`, message);
    },
    onError: (error, { id, action }, before) => {
      // unless it was read since
      if (before && known(client, id)?.updated_at === before.updated_at) putOrder(client, id, before);
      readAgain(client, { queryKey: ['order', id] });
      toast.error(`Could not ${action} ${id}`, error.message);
    },
  });
}

export function useDeleteOrder() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api.deleteOrder(id),
    onMutate: (id) => {
      const before = known(client, id);
      putOrder(client, id, null);
      return before;
    },
    onSuccess: (_, id) => {
      client.removeQueries({ queryKey: ['order', id] });
      toast.success(`Deleted ${id}`);
    },
    onError: (error, id, before) => {
      const order = known(client, id) ?? before;
      if (order) putOrder(client, id, order);
      toast.error(`Could not delete ${id}`, error.message);
    },
  });
}

// ---- repositories

/** The id of a repository that the service has not answered for yet. */
export const UNCHECKED = 'unchecked';

/** A repository as it is shown while the service looks at it. */
function unchecked(added: RepositoryAdd): Repository {
  return {
    id: UNCHECKED,
    repository_url: added.repository_url,
    display_name: null,
    owner: null,
    default_branch: null,
    is_verified: false,
    last_verified_at: null,
    default_sandbox_type: added.default_sandbox_type ?? 'git_worktree',
    default_commands: added.default_commands ?? [],
    created_at: '',
    updated_at: '',
  };
}

export function useAddRepository() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.addRepository,
    onMutate: (added) => {
      const before = client.getQueryData<Repository[]>(['repositories']);
      client.setQueryData<Repository[]>(['repositories'], (all) => [...(all ?? []), unchecked(added)]);
      return before;
    },
    onError: (_, __, before) => client.setQueryData(['repositories'], before),
    onSuccess: (repository) => {
      client.setQueryData<Repository[]>(['repositories'], (all) => [
        ...(all ?? []).filter((r) => r.id !== UNCHECKED),
        repository,
      ]);
      readAgain(client, { queryKey: ['repositories'] });
      if (repository.is_verified)
        toast.success('Repository created successfully', repository.display_name ?? '');
      else
        toast.warning(
          'Repository is not accessible',
          'It was added. Check its address and your credentials.',
        );
    },
  });
}

export function useUpdateRepository() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, ...change }: RepositoryUpdate) => api.updateRepository(id, change),
    onMutate: ({ id, ...change }) => {
      const before = client.getQueryData<Repository[]>(['repositories']);
      client.setQueryData<Repository[]>(['repositories'], (all) =>
        all?.map((r) =>
          r.id === id
            ? {
                ...r,
                default_sandbox_type: change.default_sandbox_type ?? r.default_sandbox_type,
                default_commands: change.default_commands ?? r.default_commands,
              }
            : r,
        ),
      );
      return before;
    },
    onSuccess: () => toast.success('Repository updated successfully'),
    onError: (error, _, before) => {
      client.setQueryData(['repositories'], before);
      toast.error('Could not update the repository', error.message);
    },
    onSettled: () => readAgain(client, { queryKey: ['repositories'] }),
  });
}

export function useDeleteRepository() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.deleteRepository,
    onMutate: (id) => {
      const before = client.getQueryData<Repository[]>(['repositories']);
      client.setQueryData<Repository[]>(['repositories'], (all) => all?.filter((r) => r.id !== id));
      return before;
    },
    onSuccess: () => toast.success('Repository deleted successfully'),
    onError: (error, _, before) => {
      client.setQueryData(['repositories'], before);
      toast.error('Could not delete the repository', error.message);
    },
    onSettled: () => readAgain(client, { queryKey: ['repositories'] }),
  });
}

export function useVerifyRepository() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.verifyRepository,
    onSuccess: (answer) => {
      if (answer.is_accessible)
        toast.success('Repository verified', `Default branch ${answer.default_branch}`);
      else toast.warning('Repository is not accessible', answer.error_message ?? '');
    },
    onError: (error) => toast.error('Could not verify the repository', error.message),
    onSettled: () => readAgain(client, { queryKey: ['repositories'] }),
  });
}

/** Ends this browser's session; the page for those who are not logged in follows. */
export function useLogOut() {
  return useMutation({
    mutationFn: api.logOut,
    onSuccess: loggedOut,
    onError: (error) => toast.error('Could not log out', error.message),
  });
}

/** Whether to ask again after an error: what the service refused it will refuse again. */
export function worthRetrying(failures: number, error: Error): boolean {
  if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429)
    return false;
  return failures < 2;
}
