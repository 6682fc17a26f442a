// All work orders: who needs somebody, who works, who waits, what is done.
import { Plus, Search } from 'lucide-react';
import { useDeferredValue, useEffect, useRef, useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { useActivities } from '../api/live';
import { useOrders, useRepositories } from '../api/queries';
import { ORDER_STATUS, type OrderStatus, type Repository } from '../api/types';
import { Button, ButtonLink } from '../components/button';
import { Empty, Loading, Problem } from '../components/state';
import { STATUS_LABEL } from '../components/status';
import { plural, repositoryLabel } from '../lib/format';
import { useKeys } from '../lib/keys';
import { useNow } from '../lib/now';
import { useRemembered } from '../lib/storage';
import { OrderList } from '../orders/order-list';
import { RepositoryPanel } from '../orders/repository-panel';
import { judgeAll, SORTS, type Sort } from '../orders/sorting';
import { useOrderDoing } from '../orders/use-order-doing';
import {
  AddRepositoryDialog,
  DeleteRepositoryDialog,
  EditRepositoryDialog,
} from '../repositories/repository-dialogs';
import { MoreFiltered } from '../orders/more-filters';

type Open = { kind: 'add' } | { kind: 'edit' | 'delete'; repository: Repository } | null;

/** Moves the focus among the rows of the page. */
function moveFocus(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-row-link]')];
  const at = rows.findIndex((row) => row === document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  rows[next]?.focus();
}

function toggleFocused(): void {
  const row = document.activeElement?.closest('[data-order]');
  row?.querySelector<HTMLElement>('[aria-expanded]:not([aria-haspopup])')?.click();
}

export function OrdersPage() {
  const [, navigate] = useLocation();
  const [search, setSearch] = useSearchParams();
  const { layout, seen } = useRemembered();
  const [open, setOpen] = useState<Open>(null);
  const searchBox = useRef<HTMLInputElement>(null);
  const activities = useActivities();
  const doing = useOrderDoing();
  const now = useNow(false);

  const repositories = useRepositories();
  const repositoryId = search.get('repo');
  const repository = repositories.data?.find((r) => r.id === repositoryId) ?? null;
  const status = (search.get('status') as OrderStatus | null) ?? undefined;
  const q = useDeferredValue(search.get('q') ?? '');
  const sort = (
    (search.get('sort') ?? 'attention') in SORTS ? (search.get('sort') ?? 'attention') : 'attention'
  ) as Sort;

  const all = useOrders();
  const filtered = useOrders({
    q: q || undefined,
    repository_url: repository?.repository_url,
    status,
  });
  const judged = judgeAll(filtered.orders, now, seen, activities);
  const isFiltered = q !== '' || status !== undefined || repository !== null;

  function set(key: string, value: string | null): void {
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        if (value) next.set(key, value);
        else next.delete(key);
        return next;
      },
      { replace: key === 'q' },
    );
  }

  const newOrder = `/agent-work-orders/new${repository ? `?repo=${repository.id}` : ''}`;
  useKeys('Work orders', [
    { keys: '/', label: 'Search orders', run: () => searchBox.current?.focus() },
    { keys: 'j', label: 'Next order', run: () => moveFocus(1) },
    { keys: 'k', label: 'Previous order', run: () => moveFocus(-1) },
    { keys: 'x', label: 'Show or hide the numbers of the order in focus', run: toggleFocused },
    { keys: 'n', label: 'New work order', run: () => navigate(newOrder) },
  ]);

  const needing = judgeAll(all.orders, now, seen, activities).filter(
    (j) => j.verdict.group === 'attention',
  ).length;
  useEffect(() => {
    document.title = `${needing > 0 ? `(${needing}) ` : ''}Work orders · AWO`;
  }, [needing]);

  return (
    <div className={layout === 'sidebar' ? 'gap-6 space-y-5 lg:flex lg:space-y-0' : 'space-y-5'}>
      {repositories.data && (
        <RepositoryPanel
          repositories={repositories.data}
          orders={all.orders}
          selected={repositoryId}
          onSelect={(id) => set('repo', id)}
          onAdd={() => setOpen({ kind: 'add' })}
          onEdit={(r) => setOpen({ kind: 'edit', repository: r })}
          onDelete={(r) => setOpen({ kind: 'delete', repository: r })}
        />
      )}
      <div className="min-w-0 grow space-y-4">
        <div className="flex flex-wrap items-center gap-3">
          <h1 className="text-xl font-semibold">Agent Work Orders</h1>
          <span className="grow" />
          <ButtonLink to={newOrder} look="primary">
            <Plus aria-hidden size={18} /> New Work Order
          </ButtonLink>
        </div>
        {repository && (
          <div role="group" aria-label="Whose orders" className="flex gap-1.5">
            <Button small look="quiet" aria-pressed={false} onClick={() => set('repo', null)}>
              All Work Orders
            </Button>
            <Button small aria-pressed className="border-accent" onClick={() => undefined}>
              {repositoryLabel(repository)}
            </Button>
          </div>
        )}
        <div className="flex flex-wrap gap-2">
          <div className="relative min-w-48 grow">
            <Search aria-hidden size={16} className="absolute top-1/2 left-2.5 -translate-y-1/2 text-soft" />
            <input
              ref={searchBox}
              type="search"
              aria-label="Search orders"
              placeholder="Search orders: text, branch, id…"
              defaultValue={search.get('q') ?? ''}
              onChange={(event) => set('q', event.target.value)}
              className="input pl-8"
            />
          </div>
          <select
            aria-label="Repository"
            value={repositoryId ?? ''}
            onChange={(event) => set('repo', event.target.value || null)}
            className="input w-full lg:hidden"
          >
            <option value="">Every repository</option>
            {repositories.data?.map((r) => (
              <option key={r.id} value={r.id}>
                {repositoryLabel(r)}
              </option>
            ))}
          </select>
          <select
            aria-label="Status"
            value={status ?? ''}
            onChange={(event) => set('status', event.target.value || null)}
            className="input w-auto grow sm:grow-0"
          >
            <option value="">Every status</option>
            {ORDER_STATUS.map((s) => (
              <option key={s} value={s}>
                {STATUS_LABEL[s]}
              </option>
            ))}
          </select>
          <select
            aria-label="Sort"
            value={sort}
            onChange={(event) => set('sort', event.target.value)}
            className="input w-auto grow sm:grow-0"
          >
            {Object.entries(SORTS).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </div>
        <p role="status" className="sr-only">
          {filtered.isSuccess ? plural(judged.length, 'order') : ''}
        </p>
        {filtered.isPending ? (
          <Loading what="work orders" />
        ) : filtered.isError && filtered.orders.length === 0 ? (
          <Problem
            title="Failed to load work orders"
            error={filtered.error}
            onRetry={() => void filtered.refetch()}
          />
        ) : judged.length === 0 ? (
          <div className="card">
            {isFiltered ? (
              <Empty title="No work orders found" text="Nothing matches. Take a filter away to see more.">
                <Button small onClick={() => setSearch({})}>
                  Clear filters
                </Button>
              </Empty>
            ) : (
              <Empty
                title="No work orders found"
                text="Describe a piece of work on a repository; an agent does it in a sandbox and opens a pull request."
              >
                <ButtonLink to={newOrder} look="primary">
                  Create the first one
                </ButtonLink>
              </Empty>
            )}
          </div>
        ) : (
          <MoreFiltered judged={judged}>
            {(left) => (
              <OrderList
                judged={left}
                sort={sort}
                activities={activities}
                showRepository={repository === null}
                onDo={doing.run}
              />
            )}
          </MoreFiltered>
        )}
        {filtered.hasNextPage && (
          <div className="text-center">
            <Button busy={filtered.isFetchingNextPage} onClick={() => void filtered.fetchNextPage()}>
              Load older orders ({judged.length} of {filtered.total})
            </Button>
          </div>
        )}
      </div>
      {doing.dialog}
      {open?.kind === 'add' && <AddRepositoryDialog onClose={() => setOpen(null)} />}
      {open?.kind === 'edit' && (
        <EditRepositoryDialog repository={open.repository} onClose={() => setOpen(null)} />
      )}
      {open?.kind === 'delete' && (
        <DeleteRepositoryDialog repository={open.repository} onClose={() => setOpen(null)} />
      )}
    </div>
  );
}
