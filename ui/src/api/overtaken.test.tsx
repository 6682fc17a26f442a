import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { act, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { anOrder, FakeSource } from '../testing';
import { startLive } from './live';
import { useAddRepository, useDeleteOrder, useOrderAction } from './actions';
import { putOrder } from './orders';
import { useOrders, useRepositories, useUnfinished } from './queries';
import type { Order } from './types';

const ID = 'wo-00000001';
const running = anOrder({ status: 'running', updated_at: '2026-01-01T00:00:01.000000Z' });
const completed = anOrder({ status: 'completed', updated_at: '2026-01-01T00:00:02.000000Z' });
const other = { agent_work_order_id: 'wo-00000002', created_at: '2025-01-01T00:00:00Z' };

interface Asked {
  what: string;
  answer: (body: unknown, status?: number) => Promise<void>;
}
let asked: Asked[];
let client: QueryClient;

const list = (...orders: Order[]) => ({
  agent_work_orders: orders,
  total_count: orders.length,
  has_more: false,
  next_cursor: null,
});

beforeEach(() => {
  asked = [];
  // a stream that is open: nothing is asked again by the clock
  vi.stubGlobal('EventSource', FakeSource);
  const stop = startLive({ onOrder: vi.fn(), onMissed: vi.fn(), onOpen: vi.fn() });
  FakeSource.made.at(-1)?.onopen();
  vi.stubGlobal('fetch', (url: string, { method }: RequestInit) => {
    return new Promise<Response>((resolve) => {
      const answer = (body: unknown, status = 200) =>
        act(async () => {
          resolve(new Response(JSON.stringify(body), { status }));
          await new Promise((done) => setTimeout(done, 20));
        });
      asked.push({ what: `${method} ${url}`, answer });
    });
  });
  client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return stop;
});

const told = (orders: readonly Order[]) =>
  orders.map((o) => `${o.agent_work_order_id.at(-1)} ${o.status}`).join(', ') || 'none';

function All() {
  const doing = useOrderAction();
  const removing = useDeleteOrder();
  return (
    <>
      <p data-testid="shown">{told(useOrders().orders)}</p>
      <button onClick={() => doing.mutate({ id: ID, action: 'pause' })}>pause</button>
      <button onClick={() => removing.mutate(ID)}>delete</button>
    </>
  );
}

function Unfinished() {
  return <p data-testid="shown">{told(useUnfinished({}, true))}</p>;
}

function Repositories() {
  const adding = useAddRepository();
  return (
    <>
      <p data-testid="shown">
        {useRepositories()
          .data?.map((r) => r.repository_url)
          .join(', ') ?? 'not read'}
      </p>
      <button onClick={() => adding.mutate({ repository_url: 'https://git.example/a' })}>add</button>
    </>
  );
}

const PARTS = { all: All, unfinished: Unfinished, repositories: Repositories };

function show(what: keyof typeof PARTS) {
  const Part = PARTS[what];
  render(
    <QueryClientProvider client={client}>
      <Part />
    </QueryClientProvider>,
  );
}

const shows = (text: string) => waitFor(() => expect(screen.getByTestId('shown').textContent).toBe(text));
const next = async (what: string): Promise<Asked> => {
  await waitFor(() => expect(asked.some((a) => a.what.includes(what))).toBe(true));
  const at = asked.findIndex((a) => a.what.includes(what));
  return asked.splice(at, 1)[0] as Asked;
};

describe('an event that overtakes the list', () => {
  it('says how an order is', async () => {
    show('all');
    const first = await next('GET');
    act(() => putOrder(client, ID, completed));
    await first.answer(list(running));
    await shows('1 completed');
  });
  it('holds also when the clock was set back', async () => {
    show('all');
    act(() => putOrder(client, ID, { ...running, updated_at: '2027-01-01T00:00:00.000000Z' }));
    void client.invalidateQueries();
    await (await next('GET')).answer(list(running));
    void client.invalidateQueries();
    await (await next('GET')).answer(list(completed));
    await shows('1 completed');
  });
  it('moves it from one list to another', async () => {
    show('unfinished');
    await waitFor(() => expect(asked).toHaveLength(5));
    for (const { what, answer } of asked.splice(0)) {
      await answer(what.includes('running') ? list(running) : list());
    }
    await shows('1 running');
    void client.invalidateQueries();
    await waitFor(() => expect(asked).toHaveLength(5));
    act(() => putOrder(client, ID, { ...completed, status: 'waiting' }));
    for (const { what, answer } of asked.splice(0)) {
      await answer(what.includes('running') ? list(running) : list());
    }
    await shows('1 waiting');
  });
  it('adds one that is new, and takes away one that is gone', async () => {
    show('all');
    const first = await next('GET');
    act(() => putOrder(client, ID, running));
    act(() => putOrder(client, other.agent_work_order_id, null));
    await first.answer(list(anOrder(other)));
    await shows('1 running');
  });
});

describe('an event that overtakes an action', () => {
  beforeEach(async () => {
    show('all');
    await (await next('GET')).answer(list(running, anOrder({ ...other, status: 'running' })));
    await shows('1 running, 2 running');
  });
  it('which is answered', async () => {
    await userEvent.click(screen.getByText('pause'));
    await shows('1 paused, 2 running');
    const pausing = await next('POST');
    act(() => putOrder(client, ID, completed));
    await pausing.answer({ agent_work_order: running, message: '' });
    await shows('1 completed, 2 running');
  });
  it('which is refused', async () => {
    await userEvent.click(screen.getByText('pause'));
    const pausing = await next('POST');
    act(() => putOrder(client, ID, completed));
    await pausing.answer({ detail: 'it has ended' }, 409);
    await shows('1 completed, 2 running');
  });
  it('which is refused, and was of another order', async () => {
    await userEvent.click(screen.getByText('delete'));
    await shows('2 running');
    const deleting = await next('DELETE');
    act(() => putOrder(client, other.agent_work_order_id, anOrder({ ...completed, ...other })));
    await deleting.answer({ detail: 'it runs' }, 409);
    await shows('1 running, 2 completed');
  });
});

describe('a repository that is refused', () => {
  it('goes also from a list that could not be read', async () => {
    show('repositories');
    await (await next('GET')).answer({ detail: 'no' }, 500);
    await userEvent.click(screen.getByText('add'));
    await shows('https://git.example/a');
    await (await next('POST')).answer({ detail: 'it is there already' }, 409);
    await (await next('GET')).answer({ repositories: [] });
    await shows('');
  });
});
