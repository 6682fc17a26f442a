// Escape closes what is open over the page, also when a message has come up since, which would take the key.
import { useEffect, useLayoutEffect, useRef } from 'react';

const opened: (() => void)[] = [];

/** What closes a dialog or a menu, for as long as it is open. */
export function useEscape(isOpen: boolean, close: () => void): void {
  const latest = useRef(close);
  useLayoutEffect(() => {
    latest.current = close;
  });
  useEffect(() => {
    if (!isOpen) return;
    const own = () => latest.current();
    opened.push(own);
    return () => void opened.splice(opened.indexOf(own), 1);
  }, [isOpen]);
}

/** Closes what was opened last; false when nothing is open. */
export function escape(): boolean {
  const close = opened.at(-1);
  close?.();
  return close !== undefined;
}
