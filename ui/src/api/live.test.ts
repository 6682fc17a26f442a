import { expect, it, vi } from 'vitest';
import { anOrder, FakeSource } from '../testing';
import { startLive } from './live';

it('an order that changed is read again; where that fails, what is known of it is said to be old', async () => {
  vi.stubGlobal('EventSource', FakeSource);
  const answers = [
    new Response(JSON.stringify({ detail: 'too many' }), { status: 429 }),
    new Response(JSON.stringify({ agent_work_order: anOrder() })),
    new Response(JSON.stringify({ detail: 'no such order' }), { status: 404 }),
  ];
  vi.stubGlobal('fetch', () => Promise.resolve(answers.shift()));
  const onOrder = vi.fn();
  const onMissed = vi.fn();
  const stop = startLive({ onOrder, onMissed, onOpen: vi.fn() });
  const id = 'wo-00000001';
  const say = () =>
    FakeSource.made.at(-1)?.onmessage({
      data: JSON.stringify({ event: 'agent_work_order_failed', agent_work_order_id: id }),
      lastEventId: '1',
    });
  say();
  await vi.waitFor(() => expect(onMissed).toHaveBeenCalledExactlyOnceWith(id));
  expect(onOrder).not.toHaveBeenCalled();
  say();
  await vi.waitFor(() => expect(onOrder).toHaveBeenCalledExactlyOnceWith(id, anOrder()));
  say();
  await vi.waitFor(() => expect(onOrder).toHaveBeenLastCalledWith(id, null));
  expect(onMissed).toHaveBeenCalledOnce();
  stop();
});
