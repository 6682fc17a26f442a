import { describe, expect, it } from 'vitest';
import { boundsOf, readCreated } from './created';

const of = (query: string) => readCreated(new URLSearchParams(query));

describe('orders by the day', () => {
  it('reads the address, and nothing that is none', () => {
    expect(of('created=7d')).toEqual({ span: '7d', from: '', to: '' });
    expect(of('created=days&from=2026-01-02&to=soon')).toEqual({ span: 'days', from: '2026-01-02', to: '' });
    expect(of('created=ever').span).toBe('');
  });
  it('has both days in it', () => {
    const { since, until } = boundsOf(of('created=days&from=2026-01-31&to=2026-01-31'), 0);
    expect(Date.parse(until ?? '') - Date.parse(since ?? '')).toBe(86_400_000);
    expect(new Date(since ?? '').getDate()).toBe(31);
    expect(boundsOf(of(''), 0)).toEqual({});
  });
  it('asks the same for a whole minute', () => {
    expect(boundsOf(of('created=1d'), 60_001)).toEqual(boundsOf(of('created=1d'), 119_999));
  });
});
