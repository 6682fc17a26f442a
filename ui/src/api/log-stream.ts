// Follows an order's log into a store: what is there, then what comes; by the stream, or every three seconds without it.
import { useEffect, useState, useSyncExternalStore } from 'react';
import { LINES_MAX, LogStore } from '../lib/log-store';
import { api, type LogLine } from './client';
import { address } from './http';
import { POLL_MS } from './queries';
import { openStream, type StreamState } from './stream';

const PAGE = 1000;

/** Where to begin: at the start, or, in a log that is longer than what is kept, so many lines before its end. */
async function beginning(id: string): Promise<number> {
  const { total } = await api.logs(id, { limit: 1 });
  if (total <= LINES_MAX) return 0;
  const page = await api.logs(id, { limit: 1, tail: true, offset: 99_000 });
  return page.log_entries[0]?.seq ?? 0;
}

async function readOn(id: string, store: LogStore): Promise<void> {
  for (;;) {
    const page = await api.logs(id, { limit: PAGE, after_seq: store.lastSeq });
    page.log_entries.forEach((line) => store.add(line));
    if (!page.has_more || page.log_entries.length === 0) return;
  }
}

function follow(id: string, store: LogStore, onState: (state: StreamState) => void): () => void {
  let stop: (() => void) | undefined;
  let stopped = false;
  let state: StreamState = 'connecting';
  let polling = false;

  const timer = setInterval(() => {
    if (state === 'open' || state === 'ended' || polling || document.hidden) return;
    polling = true;
    readOn(id, store)
      .catch(() => undefined) // the stream's state says that nothing answers
      .finally(() => {
        polling = false;
      });
  }, POLL_MS);

  function open(): void {
    if (stopped) return;
    stop = openStream({
      url: () => address(`/agent-work-orders/${id}/logs/stream`, { after_seq: store.lastSeq }),
      ends: true,
      onState(next) {
        state = next;
        onState(next);
      },
      onMessage(data, seq) {
        try {
          const line = JSON.parse(data) as LogLine;
          store.add({ ...line, seq: Number(seq) || line.seq });
        } catch {
          // a line that is no JSON is none of the log
        }
      },
    });
  }

  beginning(id)
    .then((seq) => {
      if (store.lastSeq === 0) store.lastSeq = seq;
    })
    .catch(() => undefined)
    .finally(open);
  return () => {
    stopped = true;
    clearInterval(timer);
    stop?.();
  };
}

/**
 * The store of an order's log. epoch: changes when an order that had ended goes on, because its stream had ended too.
 */
export function useLog(id: string, epoch: number): { store: LogStore; state: StreamState } {
  const [store] = useState(() => new LogStore());
  const [state, setState] = useState<StreamState>('connecting');
  useEffect(() => follow(id, store, setState), [id, store, epoch]);
  return { store, state };
}

export const useLogLines = (store: LogStore) => useSyncExternalStore(store.follow, store.get);
export const useStory = (store: LogStore) => useSyncExternalStore(store.follow, store.getStory);
