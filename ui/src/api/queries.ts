// What the pages read, kept fresh: by the live stream, or every three seconds while there is none.
import {
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
  type InfiniteData,
  type QueryClient,
} from '@tanstack/react-query';
import { useMemo } from 'react';
import { toast } from '../lib/toasts';
import { api, type OrderAction } from './client';
import { ApiError, loggedOut } from './http';
import { useLiveState } from './live';
import type { Order, OrderListAnswer, OrderStatus, Repository, RepositoryUpdate } from './types';

export const POLL_MS = 3000;
const PAGE = 200;

/** How often to ask: not at all while events say when something changed. */
function usePolling(): number | false {
  return useLiveState() === 'open' ? false : POLL_MS;
}

export interface OrderFilter {
  q?: string;
  repository_url?: string;
  status?: OrderStatus;
}

type OrderPages = InfiniteData<OrderListAnswer, string | null>;

export function useOrders(filter: OrderFilter = {}) {
  const query = useInfiniteQuery({
    queryKey: ['orders', filter],
    queryFn: ({ pageParam, signal }) =>
      api.orders({ ...filter, limit: PAGE, cursor: pageParam ?? undefined }, signal),
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

export const useOrder = (id: string) =>
  useQuery({
    queryKey: ['order', id],
    queryFn: async ({ signal }) => (await api.order(id, signal)).agent_work_order,
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

export const useHealth = () =>
  useQuery({ queryKey: ['health'], queryFn: ({ signal }) => api.health(signal), refetchInterval: 10_000 });

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
    (!filter.repository_url || filter.repository_url === order.repository_url)
  );
}

function changePages(pages: OrderPages, id: string, order: Order | null, filter: OrderFilter): OrderPages {
  let found = false;
  const next = pages.pages.map((page) => {
    const at = page.agent_work_orders.findIndex((o) => o.agent_work_order_id === id);
    if (at < 0) return page;
    found = true;
    const orders = [...page.agent_work_orders];
    if (order && (!filter.status || filter.status === order.status)) orders[at] = order;
    else orders.splice(at, 1);
    return { ...page, agent_work_orders: orders };
  });
  const first = next[0];
  if (!found && order && first && matches(order, filter)) {
    const newest = first.agent_work_orders[0];
    if (newest && newest.created_at > order.created_at) return pages; // on a page that was not read
    next[0] = {
      ...first,
      agent_work_orders: [order, ...first.agent_work_orders],
      total_count: first.total_count + 1,
    };
  }
  return { ...pages, pages: next };
}

/** Puts an order's record (null: it is gone) into every list and page that has it. */
export function putOrder(client: QueryClient, id: string, order: Order | null): void {
  if (order) client.setQueryData<Order>(['order', id], order);
  for (const [key, pages] of client.getQueriesData<OrderPages>({ queryKey: ['orders'] })) {
    if (pages) client.setQueryData(key, changePages(pages, id, order, key[1] as OrderFilter));
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

function known(client: QueryClient, id: string): Order | undefined {
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
      api.act(id, action, {
        ...(comment && (action === 'cancel' ? { reason: comment } : { comment })),
        ...(prompt && { prompt_text: prompt }),
      }),
    onMutate: ({ id, action }) => {
      const before = known(client, id);
      const status = OPTIMISTIC[action];
      if (before && status) putOrder(client, id, { ...before, status });
      return before;
    },
    onSuccess: ({ agent_work_order, message }, { id, action }) => {
      putOrder(client, id, agent_work_order);
      void client.invalidateQueries({ queryKey: ['order', id] });
      toast.success(`${SAID[action]}: ${id}`, message);
    },
    onError: (error, { id, action }, before) => {
      if (before) putOrder(client, id, before);
      void client.invalidateQueries({ queryKey: ['order', id] });
      toast.error(`Could not ${action} ${id}`, error.message);
    },
  });
}

export function useDeleteOrder() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => api.deleteOrder(id),
    onMutate: (id) => {
      const before = client.getQueriesData<OrderPages>({ queryKey: ['orders'] });
      putOrder(client, id, null);
      return before;
    },
    onSuccess: (_, id) => {
      client.removeQueries({ queryKey: ['order', id] });
      toast.success(`Deleted ${id}`);
    },
    onError: (error, id, before) => {
      before?.forEach(([key, pages]) => client.setQueryData(key, pages));
      toast.error(`Could not delete ${id}`, error.message);
    },
  });
}

// ---- repositories

export function useAddRepository() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: api.addRepository,
    onSuccess: (repository) => {
      client.setQueryData<Repository[]>(['repositories'], (all) => [...(all ?? []), repository]);
      void client.invalidateQueries({ queryKey: ['repositories'] });
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
    onSettled: () => void client.invalidateQueries({ queryKey: ['repositories'] }),
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
    onSettled: () => void client.invalidateQueries({ queryKey: ['repositories'] }),
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
    onSettled: () => void client.invalidateQueries({ queryKey: ['repositories'] }),
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
