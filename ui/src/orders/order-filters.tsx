// The line above the orders: what to look for, and in which sequence.
import { Search } from 'lucide-react';
import type { RefObject } from 'react';
import { ORDER_STATUS, type Repository } from '../api/types';
import { STATUS_LABEL } from '../components/status';
import { repositoryLabel } from '../lib/format';
import { SPANS, type Created } from './created';
import { SORTS, type Sort } from './sorting';

interface Props {
  searchBox: RefObject<HTMLInputElement | null>;
  q: string;
  repositories: readonly Repository[];
  repositoryId: string;
  status: string;
  created: Created;
  sort: Sort;
  /** Changes parts of the address; '' takes one away. */
  onChange: (change: Record<string, string>) => void;
}

const WIDTH = 'input w-auto min-w-0 grow sm:grow-0';

export function OrderFilters(props: Props) {
  const { searchBox, q, repositories, repositoryId, status, created, sort, onChange } = props;
  return (
    <div className="flex flex-wrap gap-2">
      <div className="relative min-w-48 grow">
        <Search aria-hidden size={16} className="absolute top-1/2 left-2.5 -translate-y-1/2 text-soft" />
        <input
          ref={searchBox}
          type="search"
          aria-label="Search orders"
          placeholder="Search orders: text, branch, id…"
          defaultValue={q}
          onChange={(event) => onChange({ q: event.target.value })}
          className="input pl-8"
        />
      </div>
      <select
        aria-label="Repository"
        value={repositoryId}
        onChange={(event) => onChange({ repo: event.target.value })}
        className="input w-full lg:hidden"
      >
        <option value="">Every repository</option>
        {repositories.map((r) => (
          <option key={r.id} value={r.id}>
            {repositoryLabel(r)}
          </option>
        ))}
      </select>
      <select
        aria-label="Status"
        value={status}
        onChange={(event) => onChange({ status: event.target.value })}
        className={WIDTH}
      >
        <option value="">Every status</option>
        {ORDER_STATUS.map((s) => (
          <option key={s} value={s}>
            {STATUS_LABEL[s]}
          </option>
        ))}
      </select>
      <select
        aria-label="Created"
        value={created.span}
        onChange={(event) => onChange({ created: event.target.value, from: '', to: '' })}
        className={WIDTH}
      >
        <option value="">Any time</option>
        {Object.entries(SPANS).map(([span, { label }]) => (
          <option key={span} value={span}>
            {label}
          </option>
        ))}
        <option value="days">Days…</option>
      </select>
      {created.span === 'days' && (
        <span className="flex grow flex-wrap items-center gap-2 sm:grow-0">
          <input
            type="date"
            aria-label="Created from"
            className={WIDTH}
            value={created.from}
            max={created.to || undefined}
            onChange={(event) => onChange({ from: event.target.value })}
          />
          <span className="text-sm text-soft">to</span>
          <input
            type="date"
            aria-label="Created to"
            className={WIDTH}
            value={created.to}
            min={created.from || undefined}
            onChange={(event) => onChange({ to: event.target.value })}
          />
        </span>
      )}
      <select
        aria-label="Sort"
        value={sort}
        onChange={(event) => onChange({ sort: event.target.value })}
        className={WIDTH}
      >
        {Object.entries(SORTS).map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}
