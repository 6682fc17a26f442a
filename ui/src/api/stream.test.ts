import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeSource } from '../testing';
import { openStream, type StreamState } from './stream';

let seq = 0;
let states: StreamState[];

function hide(hidden: boolean) {
  vi.spyOn(document, 'hidden', 'get').mockReturnValue(hidden);
  document.dispatchEvent(new Event('visibilitychange'));
}

function start() {
  return openStream({
    url: () => `/logs?after_seq=${seq}`,
    onMessage: (_, id) => (seq = Number(id)),
    onState: (state) => states.push(state),
    ends: true,
  });
}

beforeEach(() => {
  seq = 0;
  states = [];
  FakeSource.made = [];
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', FakeSource);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('a stream', () => {
  it('comes back by itself, and goes on where it was', () => {
    const stop = start();
    const [first] = FakeSource.made;
    first?.onopen();
    first?.onmessage({ data: '{}', lastEventId: '42' });
    first?.onerror();
    expect(states).toEqual(['connecting', 'open', 'waiting']);
    vi.advanceTimersByTime(500);
    FakeSource.made[1]?.onerror();
    vi.advanceTimersByTime(999);
    expect(FakeSource.made.map((s) => s.url)).toEqual(['/logs?after_seq=0', '/logs?after_seq=42']);
    vi.advanceTimersByTime(1);
    expect(FakeSource.made).toHaveLength(3);
    stop();
    FakeSource.made[2]?.onerror();
    vi.advanceTimersByTime(60_000);
    expect(FakeSource.made).toHaveLength(3);
  });
  it('stays closed after its end', () => {
    start();
    FakeSource.made[0]?.say('end');
    FakeSource.made[0]?.onerror();
    vi.advanceTimersByTime(60_000);
    expect(FakeSource.made).toHaveLength(1);
    expect(states.at(-1)).toBe('ended');
  });
  it('gives its connection back while nobody sees the page', () => {
    const stop = start();
    hide(true);
    vi.advanceTimersByTime(9_999);
    expect(FakeSource.made[0]?.closed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(FakeSource.made[0]?.closed).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(FakeSource.made).toHaveLength(1);
    hide(false);
    expect(FakeSource.made).toHaveLength(2);
    stop();
  });
});
