// What the pages remember in this browser: one object under one key, shared by all who use it.
import { useSyncExternalStore } from 'react';

const KEY = 'agent-work-orders-ui';

export interface OwnWorkflow {
  name: string;
  steps: string[];
  gates: string[];
}

export interface Remembered {
  theme: 'system' | 'light' | 'dark';
  layout: 'sidebar' | 'horizontal';
  sidebarOpen: boolean;
  repositorySearch: string;
  autoScroll: boolean;
  workflows: OwnWorkflow[];
  /** How log lines say when: how long ago, or by the clock. */
  logTime: 'ago' | 'clock';
  /** Whether long lines of a diff are broken. */
  wrapDiff: boolean;
  /** Failed orders that somebody has looked at: id to the time of the failure. */
  seen: Record<string, string>;
}

const DEFAULTS: Remembered = {
  theme: 'system',
  layout: 'sidebar',
  sidebarOpen: true,
  repositorySearch: '',
  autoScroll: true,
  workflows: [],
  logTime: 'ago',
  wrapDiff: false,
  seen: {},
};
const SEEN_MAX = 500;

function load(): Remembered {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    const known = Object.fromEntries(
      Object.entries(stored as object).filter(
        ([key, value]) =>
          key in DEFAULTS &&
          typeof value === typeof DEFAULTS[key as keyof Remembered] &&
          Array.isArray(value) === Array.isArray(DEFAULTS[key as keyof Remembered]),
      ),
    );
    return { ...DEFAULTS, ...known };
  } catch {
    return DEFAULTS;
  }
}

let current = load();
const listeners = new Set<() => void>();

export function remembered(): Remembered {
  return current;
}

export function remember(change: Partial<Remembered>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // full or forbidden: it lasts as long as the page
  }
  listeners.forEach((listener) => listener());
}

export function markSeen(id: string, when: string): void {
  if (current.seen[id] === when) return;
  const entries = Object.entries({ ...current.seen, [id]: when }).slice(-SEEN_MAX);
  remember({ seen: Object.fromEntries(entries) });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useRemembered(): Remembered {
  return useSyncExternalStore(subscribe, remembered);
}
