// Answers that events overtake: what was read of an order while one was on its way is newer than what it says.
import type { OrderAnswer } from './client';
import type { Order } from './types';

/** The last record of each order (null: it is gone) since the oldest request that is on its way. */
const records = new Map<string, { at: number; order: Order | null }>();
let clock = 0;
let asking = 0;

/** A record that is shown from now on. */
export function remember(id: string, order: Order | null): void {
  if (asking > 0) records.set(id, { at: ++clock, order });
}

/** Asks, and lays over the answer what was remembered since it was asked for. */
export async function overtaken<T>(
  ask: () => Promise<T>,
  lay: (answer: T, id: string, order: Order | null) => T,
): Promise<T> {
  const since = clock;
  asking++;
  try {
    let answer: T = await ask();
    for (const [id, { at, order }] of records) if (at > since) answer = lay(answer, id, order);
    return answer;
  } finally {
    if (--asking === 0) records.clear();
  }
}

/** The same for an answer that holds one order. */
export const ofOrder = <T extends OrderAnswer>(id: string, ask: () => Promise<T>): Promise<T> =>
  overtaken(ask, (answer, other, order) =>
    other === id && order ? { ...answer, agent_work_order: order } : answer,
  );
