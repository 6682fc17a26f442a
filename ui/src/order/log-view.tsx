// The log of an order: only the lines in sight are on the page, however many there are.
import { useVirtualizer } from '@tanstack/react-virtual';
import * as Switch from '@radix-ui/react-switch';
import { Clock } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import type { LogLine } from '../api/client';
import { useLogLines } from '../api/log-stream';
import type { StreamState } from '../api/stream';
import { LOG_LEVEL, type LogLevel } from '../api/types';
import { Button } from '../components/button';
import { ago, clockTime, plural, timestamp } from '../lib/format';
import { useKeys, type KeyAction } from '../lib/keys';
import { describe, ownFields } from '../lib/log-line';
import { useNow } from '../lib/now';
import { NO_FILTER, type LogFilter, type LogStore } from '../lib/log-store';
import { stepLabel } from '../lib/steps';
import { remember, useRemembered } from '../lib/storage';

const ROW = 26;
const BOTTOM = 40;

const LEVEL_LOOK: Record<LogLevel, string> = {
  debug: 'text-soft',
  info: 'text-running',
  warning: 'text-waiting',
  error: 'text-failed font-semibold',
};

interface RowProps {
  line: LogLine;
  /** How the line says when it was. */
  time: string;
  open: boolean;
  onToggle: () => void;
}

function Row({ line, time, open, onToggle }: RowProps) {
  const text = describe(line);
  return (
    <>
      <button
        type="button"
        onClick={onToggle}
        aria-expanded={open}
        className="flex h-[26px] w-full items-center gap-2 px-3 text-left font-mono text-xs hover:bg-raised"
      >
        <time
          dateTime={line.timestamp}
          title={timestamp(line.timestamp)}
          className="w-16 shrink-0 truncate text-soft tabular-nums"
        >
          {time}
        </time>
        <span className={`w-14 shrink-0 ${LEVEL_LOOK[line.level]}`}>{line.level}</span>
        {line.step && <span className="hidden shrink-0 text-soft sm:inline">[{line.step}]</span>}
        {line.event !== 'agent_output' && <span className="shrink-0 text-accent">{line.event}</span>}
        <span className="min-w-0 grow truncate">{text.split('\n')[0]}</span>
        {typeof line.progress === 'string' && (
          <span className="shrink-0 rounded bg-raised px-1.5 text-soft tabular-nums">{line.progress}</span>
        )}
      </button>
      {open && (
        <div className="mx-3 mb-2 space-y-2 rounded-lg bg-raised p-3 font-mono text-xs">
          <pre className="break-words whitespace-pre-wrap">{text}</pre>
          <dl className="grid grid-cols-[auto_1fr] gap-x-3 text-soft">
            {ownFields(line).map(([key, value]) => (
              <div key={key} className="contents">
                <dt>{key}</dt>
                <dd className="min-w-0 break-words">
                  {typeof value === 'string' ? value.slice(0, 4000) : JSON.stringify(value)}
                </dd>
              </div>
            ))}
          </dl>
        </div>
      )}
    </>
  );
}

const STREAM_LABEL: Record<StreamState, string> = {
  connecting: 'Connecting…',
  open: 'Live',
  waiting: 'Polling',
  ended: 'Historical',
};

const NO_KEYS: readonly KeyAction[] = [];

interface Props {
  store: LogStore;
  stream: StreamState;
  /** Between other things, rather than the page's own. */
  short?: boolean;
}

export function LogView({ store, stream, short = false }: Props) {
  const { visible, total, dropped, steps, version } = useLogLines(store);
  const { autoScroll, logTime } = useRemembered();
  const now = useNow(stream !== 'ended');
  const [filter, setFilter] = useState<LogFilter>(NO_FILTER);
  const [cleared, setCleared] = useState(false);
  const [open, setOpen] = useState<number | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const pinned = useRef(true);
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoized by a compiler
  const virtual = useVirtualizer({
    count: visible.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    getItemKey: (at) => visible[at]?.seq ?? at,
    overscan: 12,
  });

  useEffect(() => {
    if (autoScroll && pinned.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [version, autoScroll]);

  function change(next: Partial<LogFilter>): void {
    const changed = { ...filter, ...next };
    setFilter(changed);
    store.setFilter(changed);
  }

  function setAutoScroll(on: boolean): void {
    pinned.current = on;
    remember({ autoScroll: on });
    if (on) box.current?.scrollTo({ top: box.current.scrollHeight });
  }

  useKeys(
    'Log',
    short ? NO_KEYS : [{ keys: 'l', label: 'Auto-scroll on or off', run: () => setAutoScroll(!autoScroll) }],
  );

  const live = stream === 'open';
  return (
    <section aria-label="Execution logs" className="card overflow-hidden">
      <div className="flex flex-wrap items-center gap-2 border-b border-line p-2">
        <span
          className={`rounded-full border px-2 py-0.5 text-sm font-medium ${live ? 'border-completed text-completed' : 'text-soft'}`}
        >
          {STREAM_LABEL[stream]}
        </span>
        <span className="text-sm text-soft">({plural(visible.length, 'entry', 'entries')})</span>
        <select
          aria-label="Level"
          className="input w-auto py-1 text-sm"
          value={filter.level}
          onChange={(event) => change({ level: event.target.value as LogFilter['level'] })}
        >
          <option value="all">All levels</option>
          {LOG_LEVEL.map((level) => (
            <option key={level} value={level}>
              {level[0]?.toUpperCase()}
              {level.slice(1)}
            </option>
          ))}
        </select>
        <select
          aria-label="Step"
          className="input w-auto py-1 text-sm"
          value={filter.step}
          onChange={(event) => change({ step: event.target.value })}
        >
          <option value="">Every step</option>
          {steps.map((step) => (
            <option key={step} value={step}>
              {stepLabel(step)}
            </option>
          ))}
        </select>
        <input
          type="search"
          aria-label="Search the log"
          placeholder="Search…"
          className="input w-32 grow py-1 text-sm"
          value={filter.text}
          onChange={(event) => change({ text: event.target.value })}
        />
        <Button
          small
          look="quiet"
          aria-pressed={logTime === 'clock'}
          title="Say when by the clock, or how long ago"
          onClick={() => remember({ logTime: logTime === 'ago' ? 'clock' : 'ago' })}
        >
          <Clock aria-hidden size={15} /> Clock
        </Button>
        <label className="flex items-center gap-2 text-sm">
          Auto-scroll
          <Switch.Root
            checked={autoScroll}
            onCheckedChange={setAutoScroll}
            aria-label="Auto-scroll"
            className="h-5 w-9 rounded-full border border-soft bg-raised p-px data-[state=checked]:border-accent data-[state=checked]:bg-accent"
          >
            <Switch.Thumb className="block size-4 rounded-full bg-soft transition-transform data-[state=checked]:translate-x-4 data-[state=checked]:bg-on-accent" />
          </Switch.Root>
        </label>
        <Button
          small
          look="quiet"
          onClick={() => {
            if (cleared) store.showAll();
            else store.clear();
            setCleared(!cleared);
          }}
        >
          {cleared ? 'Show all' : 'Clear logs'}
        </Button>
      </div>
      {dropped > 0 && (
        <p className="border-b border-line px-3 py-1 text-sm text-soft">
          Only the newest lines are kept here; the command line has all of them: awoctl logs.
        </p>
      )}
      <div
        ref={box}
        data-log
        role="log"
        aria-label="Log lines"
        aria-live="off"
        tabIndex={0}
        onScroll={(event) => {
          const at = event.currentTarget;
          pinned.current = at.scrollHeight - at.scrollTop - at.clientHeight < BOTTOM;
        }}
        className={`overflow-auto ${short ? 'h-72' : 'h-[55vh] min-h-72'}`}
      >
        {visible.length === 0 ? (
          <p className="p-6 text-center text-soft">
            {total === 0
              ? 'No log lines yet'
              : cleared
                ? 'Cleared; new lines appear here'
                : 'No logs match the current filter'}
          </p>
        ) : (
          <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
            {virtual.getVirtualItems().map((item) => {
              const line = visible[item.index];
              if (!line) return null;
              return (
                <div
                  key={item.key}
                  data-index={item.index}
                  data-seq={line.seq}
                  ref={virtual.measureElement}
                  className="absolute top-0 left-0 w-full"
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <Row
                    line={line}
                    time={logTime === 'clock' ? clockTime(line.timestamp) : ago(line.timestamp, now)}
                    open={open === line.seq}
                    onToggle={() => setOpen(open === line.seq ? null : line.seq)}
                  />
                </div>
              );
            })}
          </div>
        )}
      </div>
    </section>
  );
}
