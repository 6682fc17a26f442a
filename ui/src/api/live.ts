// The stream of all orders' events: what each order does now, and when its record is to be read again.
import { useSyncExternalStore } from 'react';
import { activity } from '../lib/log-line';
import { api, type LogLine } from './client';
import { address } from './http';
import { openStream, type StreamState } from './stream';
import { STATE_EVENTS, type Order } from './types';

export interface Activity {
  text: string;
  event: string;
  /** Milliseconds since 1970. */
  at: number;
  /** Number of the newest step that is known to be done. */
  completed: number | null;
}

/** The newest step that is done, when the line says so. */
function completedBy(line: LogLine): number | null {
  const { event, step_number: number, success } = line;
  if (typeof number !== 'number') return null;
  if (event === 'step_started') return number - 1;
  return event === 'step_completed' && success !== false ? number : null;
}

/** What a line says of what its order does, after what was known of it before; null where that is nothing. */
export function activityOf(line: LogLine, before?: Activity): Activity | null {
  const text = activity(line);
  if (text === null) return null;
  return {
    text,
    event: line.event,
    at: Date.parse(line.timestamp) || Date.now(),
    completed: completedBy(line) ?? before?.completed ?? null,
  };
}

const NOTIFY_MS = 150;

type Listener = () => void;

/** A value that components follow. */
class Followed<T> {
  private readonly listeners = new Set<Listener>();
  constructor(private value: T) {}
  get = (): T => this.value;
  set(value: T): void {
    if (value === this.value) return;
    this.value = value;
    this.listeners.forEach((listener) => listener());
  }
  follow = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

const state = new Followed<StreamState>('connecting');
const activities = new Followed<ReadonlyMap<string, Activity>>(new Map());

export interface LiveHandlers {
  /** An order's record as it is now; null when it is gone. */
  onOrder: (id: string, order: Order | null) => void;
  /** An event changed the order, but its record could not be read: what is known of it is old. */
  onMissed: (id: string) => void;
  /** The stream is open (again): everything that was read before may be old. */
  onOpen: () => void;
}

/**
 * Follows the events of all orders. An order whose record an event changed is read again at once; while that is under
 * way further events of it ask for one more reading, however many they are.
 */
export function startLive(handlers: LiveHandlers): () => void {
  const fresh = new Map<string, Activity>();
  const reading = new Map<string, boolean>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function read(id: string): Promise<void> {
    if (reading.has(id)) {
      reading.set(id, true);
      return;
    }
    reading.set(id, false);
    try {
      handlers.onOrder(id, (await api.order(id)).agent_work_order);
    } catch (error) {
      if ((error as { status?: number }).status === 404) handlers.onOrder(id, null);
      else handlers.onMissed(id);
    }
    const again = reading.get(id);
    reading.delete(id);
    if (again) void read(id);
  }

  function flush(): void {
    timer = undefined;
    activities.set(new Map([...activities.get(), ...fresh]));
    fresh.clear();
  }

  const stop = openStream({
    url: () => address('/events'),
    onState(next) {
      state.set(next);
      if (next === 'open') handlers.onOpen();
    },
    onMessage(data) {
      let line: LogLine;
      try {
        line = JSON.parse(data) as LogLine;
      } catch {
        return;
      }
      const id = line.agent_work_order_id;
      if (!id) return;
      if (STATE_EVENTS.has(line.event) || line.event === 'workspace_removed') void read(id);
      const doing = activityOf(line, fresh.get(id) ?? activities.get().get(id));
      if (doing === null) return;
      fresh.set(id, doing);
      timer ??= setTimeout(flush, NOTIFY_MS);
    },
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}

export function useLiveState(): StreamState {
  return useSyncExternalStore(state.follow, state.get);
}

export function useActivities(): ReadonlyMap<string, Activity> {
  return useSyncExternalStore(activities.follow, activities.get);
}
