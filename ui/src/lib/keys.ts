// Keys of the page: who offers one says so here, and `?` lists what is on offer.
import { useLayoutEffect, useRef, useSyncExternalStore } from 'react';

export interface KeyAction {
  /** One key, or two after each other: "g o". */
  keys: string;
  label: string;
  run: () => void;
}

interface Offer {
  section: string;
  actions: () => readonly KeyAction[];
}

const CHAIN_MS = 1200;
let offers: readonly Offer[] = [];
const listeners = new Set<() => void>();

function change(next: readonly Offer[]): void {
  offers = next;
  listeners.forEach((listener) => listener());
}

/** Offers keys from the moment at which the component can be seen, for as long as it is there. */
export function useKeys(section: string, actions: readonly KeyAction[]): void {
  const latest = useRef(actions);
  useLayoutEffect(() => {
    latest.current = actions;
  });
  useLayoutEffect(() => {
    const offer: Offer = { section, actions: () => latest.current };
    change([...offers, offer]);
    return () => change(offers.filter((o) => o !== offer));
  }, [section]);
}

export function useOffers(): readonly Offer[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => offers,
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName))
  );
}

/** Listens for the page's keys. Returns how to stop. */
export function listenForKeys(): () => void {
  let before = '';
  let beforeAt = 0;

  function onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))
      return;
    if (document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]')) return;
    const chain = event.timeStamp - beforeAt < CHAIN_MS ? `${before} ${event.key}` : '';
    // the newest offer wins: what is on top of the page is what the keys are for
    const actions = [...offers].reverse().flatMap((offer) => offer.actions());
    const hit = actions.find((a) => a.keys === chain) ?? actions.find((a) => a.keys === event.key);
    before = event.key;
    beforeAt = event.timeStamp;
    if (hit) {
      event.preventDefault();
      before = '';
      hit.run();
    }
  }

  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}
