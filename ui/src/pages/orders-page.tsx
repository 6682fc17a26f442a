// All work orders: who needs somebody, who works, who waits, what is done.
import { Plus } from 'lucide-react';
import { useDeferredValue, useRef, useState } from 'react';
import { useLocation, useSearchParams } from 'wouter';
import { useActivitiesOf } from '../api/latest';
import { type OrderFilter } from '../api/orders';
import { useOrders, useRepositories, useUnfinished } from '../api/queries';
import type { OrderStatus, Repository } from '../api/types';
import { Button, ButtonLink } from '../components/button';
import { Empty, Loading, Problem } from '../components/state';
import { plural, repositoryLabel } from '../lib/format';
import { useKeys } from '../lib/keys';
import { useNow } from '../lib/now';
import { useRemembered } from '../lib/storage';
import { usePageTitle } from '../lib/title';
import { boundsOf, readCreated } from '../orders/created';
import { together, useNeeding } from '../orders/needing';
import { OrderFilters } from '../orders/order-filters';
import { OrderList } from '../orders/order-list';
import { orderPath } from '../orders/order-row';
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
  const needing = useNeeding();
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

  const created = readCreated(search);
  const filter: OrderFilter = {
    q: q || undefined,
    repository_url: repository?.repository_url,
    ...boundsOf(created, now),
  };
  const filtered = useOrders({ ...filter, status });
  const unfinished = useUnfinished(filter, status === undefined && filtered.hasNextPage);
  const orders = together(filtered.orders, unfinished);
  const activities = useActivitiesOf(orders);
  const judged = judgeAll(orders, now, seen, activities);
  const isFiltered = q !== '' || status !== undefined || repository !== null || created.span !== '';

  function set(change: Record<string, string>): void {
    setSearch(
      (before) => {
        const next = new URLSearchParams(before);
        for (const [key, value] of Object.entries(change)) {
          if (value) next.set(key, value);
          else next.delete(key);
        }
        return next;
      },
      { replace: 'q' in change },
    );
  }

  const newOrder = `/agent-work-orders/new${repository ? `?repo=${repository.id}` : ''}`;
  useKeys('Work orders', [
    { keys: '/', label: 'Search orders', run: () => searchBox.current?.focus() },
    { keys: 'j', label: 'Next order', run: () => moveFocus(1) },
    { keys: 'k', label: 'Previous order', run: () => moveFocus(-1) },
    {
      keys: 'e',
      label: 'First order that needs you',
      run: () => needing[0] && navigate(orderPath(needing[0])),
    },
    { keys: 'x', label: 'Show or hide the numbers of the order in focus', run: toggleFocused },
    { keys: 'n', label: 'New work order', run: () => navigate(newOrder) },
  ]);

  usePageTitle('Work orders');

  return (
    <div className={layout === 'sidebar' ? 'gap-6 space-y-5 lg:flex lg:space-y-0' : 'space-y-5'}>
      {repositories.data && (
        <RepositoryPanel
          repositories={repositories.data}
          selected={repositoryId}
          onSelect={(id) => set({ repo: id ?? '' })}
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
            <Button small look="quiet" aria-pressed={false} onClick={() => set({ repo: '' })}>
              All Work Orders
            </Button>
            <Button small aria-pressed className="border-accent" onClick={() => undefined}>
              {repositoryLabel(repository)}
            </Button>
          </div>
        )}
        <OrderFilters
          searchBox={searchBox}
          q={search.get('q') ?? ''}
          repositories={repositories.data ?? []}
          repositoryId={repositoryId ?? ''}
          status={status ?? ''}
          created={created}
          sort={sort}
          onChange={set}
        />
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
