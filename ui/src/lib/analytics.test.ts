import { describe, expect, it } from 'vitest';
import { anOrder } from '../testing';
import { dateOf, figures, median } from './analytics';

const now = Date.parse('2026-01-31T12:00:00Z');
const ended = (id: number, minutes: number, more: Parameters<typeof anOrder>[0]) =>
  anOrder({
    agent_work_order_id: `wo-0000000${id}`,
    created_at: '2026-01-31T10:00:00Z',
    execution_started_at: '2026-01-31T10:00:00Z',
    execution_completed_at: new Date(Date.parse('2026-01-31T10:00:00Z') + minutes * 60_000).toISOString(),
    ...more,
  });

describe('figures', () => {
  it('of a few orders', () => {
    const f = figures(
      [
        ended(1, 1, {
          status: 'completed',
          usage: { cost_usd: 1, input_tokens: 10, output_tokens: 5 },
          attempt: 2,
        }),
        ended(2, 3, {
          status: 'completed',
          github_pull_request_number: '7',
          github_pull_request_state: 'merged',
        }),
        ended(3, 9, { status: 'failed', error_category: 'git', usage: { cost_usd: 0.5 }, agent: 'codex' }),
        ended(4, 2, { status: 'cancelled', created_at: '2026-01-30T10:00:00Z' }),
        anOrder({
          status: 'running',
          created_at: '2026-01-01T00:00:00Z',
          repository_url: 'https://github.com/o/r',
        }),
      ],
      now,
      7,
    );
    expect(f).toMatchObject({
      orders: 5,
      completed: 2,
      failed: 1,
      cancelled: 1,
      cost: 1.5,
      tokens: 15,
      retried: 1,
    });
    expect(f.successRate).toBeCloseTo(2 / 3);
    expect(f.medianSeconds).toBe(120);
    expect([f.pullRequests, f.merged]).toEqual([1, 1]);
    expect(f.failures).toEqual([{ category: 'git', count: 1 }]);
    expect(f.days.map((d) => d.date)).toHaveLength(7);
    expect(f.days.at(-1)).toMatchObject({ date: dateOf(now), completed: 2, failed: 1, open: 0 });
    expect(f.days.at(-2)).toMatchObject({ cancelled: 1 });
    expect(f.repositories.map((r) => [r.name, r.orders])).toEqual([
      ['https://github.com/octo/sample', 4],
      ['https://github.com/o/r', 1],
    ]);
    expect(f.agents.find((a) => a.name === 'codex')).toMatchObject({ failed: 1, medianSeconds: null });
  });
  it('of nothing', () => {
    expect(figures([], now, 7)).toMatchObject({
      orders: 0,
      successRate: null,
      medianSeconds: null,
      failures: [],
    });
    expect(median([])).toBeNull();
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
  });
});
