// Which orders by the time when they were made: a span that ends now, or days of the calendar.

export const SPANS = {
  '1d': { label: 'Last 24 hours', hours: 24 },
  '7d': { label: 'Last 7 days', hours: 7 * 24 },
  '30d': { label: 'Last 30 days', hours: 30 * 24 },
} as const;
export type Span = keyof typeof SPANS;

export interface Created {
  /** A span, 'days' for from and to, or '' for any time. */
  span: Span | 'days' | '';
  /** Days as YYYY-MM-DD, both included; '' for open. */
  from: string;
  to: string;
}

const DAY = /^\d{4}-\d\d-\d\d$/;
const day = (text: string | null): string =>
  text && DAY.test(text) && !Number.isNaN(Date.parse(text)) ? text : '';

export function readCreated(search: URLSearchParams): Created {
  const span = search.get('created') ?? '';
  if (span in SPANS) return { span: span as Span, from: '', to: '' };
  if (span !== 'days') return { span: '', from: '', to: '' };
  return { span: 'days', from: day(search.get('from')), to: day(search.get('to')) };
}

/** Midnight at the beginning of a day, or of one after it, where the reader is. */
function midnight(of: string, later = 0): string {
  const [year = 0, month = 1, date = 1] = of.split('-').map(Number);
  return new Date(year, month - 1, date + later).toISOString();
}

/** Both ends as the service takes them. */
export function boundsOf({ span, from, to }: Created, now: number): { since?: string; until?: string } {
  if (span === '') return {};
  if (span !== 'days') {
    // whole minutes: the answer to the same question is not asked for again each second
    const minute = Math.floor(now / 60_000) * 60_000;
    return { since: new Date(minute - SPANS[span].hours * 3_600_000).toISOString() };
  }
  return { since: from ? midnight(from) : undefined, until: to ? midnight(to, 1) : undefined };
}
