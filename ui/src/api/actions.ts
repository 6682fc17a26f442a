// What somebody does: shown at once, and taken back when the service refuses.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { toast } from '../lib/toasts';
import { api, type OrderAction } from './client';
import { loggedOut } from './http';
import { known, putOrder } from './orders';
import { ofOrder } from './overtaken';
import { readAgain } from './queries';
import type { OrderStatus, Repository, RepositoryAdd, RepositoryUpdate } from './types';

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

interface ActionRequest {
  id: string;
  action: OrderAction;
  comment?: string;
  /** Told to the agent before the next step. */
  prompt?: string;
}

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
    onSuccess: (repository) => {
      client.setQueryData<Repository[]>(['repositories'], (all) => [
        ...(all ?? []).filter((r) => r.id !== UNCHECKED),
        repository,
      ]);
      if (repository.is_verified)
        toast.success('Repository created successfully', repository.display_name ?? '');
      else
        toast.warning(
          'Repository is not accessible',
          'It was added. Check its address and your credentials.',
        );
    },
    onError: (_, __, before) => client.setQueryData(['repositories'], before),
    onSettled: () => readAgain(client, { queryKey: ['repositories'] }),
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
