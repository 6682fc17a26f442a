// What the browser's tab is called: the page, and how many orders need somebody.
import { useEffect } from 'react';

let page = '';
let needing = 0;

function show(): void {
  document.title = `${needing > 0 ? `(${needing}) ` : ''}${page ? `${page} · ` : ''}AWO`;
}

export function usePageTitle(title: string): void {
  useEffect(() => {
    page = title;
    show();
  }, [title]);
}

export function useNeedingInTitle(count: number): void {
  useEffect(() => {
    needing = count;
    show();
  }, [count]);
}
