// The lines of one order's log as they come in, and those of them that a filter lets through.
import type { LogLine } from '../api/client';
import { STATE_EVENTS, type LogLevel } from '../api/types';
import { describe } from './log-line';

export interface LogFilter {
  level: LogLevel | 'all';
  step: string;
  text: string;
}

export const NO_FILTER: LogFilter = { level: 'all', step: '', text: '' };

/** So many lines are kept; the oldest go first. */
export const LINES_MAX = 150_000;
const DROP = 10_000;

export interface LogSnapshot {
  /** Grows with each change. */
  version: number;
  visible: readonly LogLine[];
  total: number;
  dropped: number;
  steps: readonly string[];
}

function passes(line: LogLine, filter: LogFilter): boolean {
  if (filter.level !== 'all' && line.level !== filter.level) return false;
  if (filter.step && line.step !== filter.step) return false;
  if (!filter.text) return true;
  const wanted = filter.text.toLowerCase();
  return line.event.toLowerCase().includes(wanted) || describe(line).toLowerCase().includes(wanted);
}

export class LogStore {
  private lines: LogLine[] = [];
  private visible: LogLine[] = [];
  private story: readonly LogLine[] = [];
  private steps: readonly string[] = [];
  private filter = NO_FILTER;
  private clearedTo = 0;
  private dropped = 0;
  private pending: LogLine[] = [];
  private frame: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Set<() => void>();
  private snapshot: LogSnapshot = { version: 0, visible: this.visible, total: 0, dropped: 0, steps: [] };
  /** Of the newest line that was taken. */
  lastSeq = 0;

  follow = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  get = (): LogSnapshot => this.snapshot;
  /** The lines that changed the order's record: what the timeline is made of. */
  getStory = (): readonly LogLine[] => this.story;

  /** Takes a line; a line that was taken before is not taken twice. Shown with the others of the same moment. */
  add(line: LogLine): void {
    if (line.seq <= this.lastSeq) return;
    this.lastSeq = line.seq;
    this.pending.push(line);
    this.frame ??= setTimeout(() => this.flush(), 50);
  }

  flush(): void {
    clearTimeout(this.frame);
    this.frame = undefined;
    if (this.pending.length === 0) return;
    const fresh = this.pending;
    this.pending = [];
    for (const line of fresh) {
      this.lines.push(line);
      if (line.seq > this.clearedTo && passes(line, this.filter)) this.visible.push(line);
    }
    const state = fresh.filter((line) => STATE_EVENTS.has(line.event));
    if (state.length > 0) this.story = [...this.story, ...state];
    const named = new Set(this.steps);
    for (const line of fresh) if (line.step) named.add(line.step);
    if (named.size !== this.steps.length) this.steps = [...named];
    if (this.lines.length > LINES_MAX) {
      this.lines.splice(0, this.lines.length - LINES_MAX + DROP);
      this.dropped = 1;
      const first = this.lines[0]?.seq ?? 0;
      const keep = this.visible.findIndex((line) => line.seq >= first);
      this.visible.splice(0, keep < 0 ? this.visible.length : keep);
    }
    this.publish();
  }

  setFilter(filter: LogFilter): void {
    this.filter = filter;
    this.select();
  }

  /** Hides what is there now; new lines are shown. */
  clear(): void {
    this.flush();
    this.clearedTo = this.lastSeq;
    this.select();
  }

  showAll(): void {
    this.clearedTo = 0;
    this.select();
  }

  private select(): void {
    this.visible = this.lines.filter((line) => line.seq > this.clearedTo && passes(line, this.filter));
    this.publish();
  }

  private publish(): void {
    this.snapshot = {
      version: this.snapshot.version + 1,
      visible: this.visible,
      total: this.lines.length,
      dropped: this.dropped,
      steps: this.steps,
    };
    this.listeners.forEach((listener) => listener());
  }
}
