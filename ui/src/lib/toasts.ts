// Short messages about what has just happened.
import { useSyncExternalStore } from 'react';

export interface Toast {
  id: number;
  kind: 'success' | 'warning' | 'error';
  title: string;
  text?: string;
  /** Where it leads, in these pages. */
  to?: string;
}

let toasts: readonly Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();
const SHOWN_MAX = 4;

function set(change: readonly Toast[]): void {
  toasts = change;
  listeners.forEach((listener) => listener());
}

function add(kind: Toast['kind']) {
  return (title: string, text?: string, to?: string): void =>
    set([...toasts, { id: next++, kind, title, text: text?.slice(0, 500), to }].slice(-SHOWN_MAX));
}

export const toast = { success: add('success'), warning: add('warning'), error: add('error') };

export function dismiss(id: number): void {
  set(toasts.filter((t) => t.id !== id));
}

export function useToasts(): readonly Toast[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
}
