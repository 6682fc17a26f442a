// The repositories beside (or above) the orders: choose one to see only its orders.
import { ChevronLeft, ChevronRight, Columns2, Plus, Rows2 } from 'lucide-react';
import type { Order, Repository } from '../api/types';
import { Button, IconButton } from '../components/button';
import { useCounts, useOrders, useUnfinished } from '../api/queries';
import { isActive } from '../lib/attention';
import { repositoryLabel } from '../lib/format';
import { remember, useRemembered } from '../lib/storage';
import { together } from './needing';
import { RepositoryCard } from '../repositories/repository-card';

interface Props {
  repositories: readonly Repository[];
  selected: string | null;
  onSelect: (id: string | null) => void;
  onAdd: () => void;
  onEdit: (repository: Repository) => void;
  onDelete: (repository: Repository) => void;
}

export interface RepositoryCounts {
  total: number;
  active: number;
  done: number;
}

/** Of each repository's address. */
export function useRepositoryCounts(repositories: readonly Repository[]): Map<string, RepositoryCounts> {
  const all = useOrders();
  const isPart = all.hasNextPage;
  const unfinished = useUnfinished({}, isPart);
  const asked = useCounts(
    repositories.map((r) => r.repository_url),
    isPart,
  );
  const counts = countOrders(together(all.orders, unfinished));
  for (const { url, total, done } of asked) {
    const here = counts.get(url) ?? { total: 0, active: 0, done: 0 };
    counts.set(url, { total: total ?? here.total, active: here.active, done: done ?? here.done });
  }
  return counts;
}

export function countOrders(orders: readonly Order[]): Map<string, RepositoryCounts> {
  const counts = new Map<string, RepositoryCounts>();
  for (const order of orders) {
    const c = counts.get(order.repository_url) ?? { total: 0, active: 0, done: 0 };
    c.total++;
    if (isActive(order.status)) c.active++;
    if (order.status === 'completed') c.done++;
    counts.set(order.repository_url, c);
  }
  return counts;
}

export function searchRepositories(repositories: readonly Repository[], text: string): Repository[] {
  const wanted = text.trim().toLowerCase();
  return repositories.filter((r) =>
    [r.display_name, r.repository_url, r.owner].some((field) => field?.toLowerCase().includes(wanted)),
  );
}

export function RepositoryPanel(props: Props) {
  const { repositories, selected, onSelect, onAdd } = props;
  const { layout, sidebarOpen, repositorySearch } = useRemembered();
  const side = layout === 'sidebar';
  const found = searchRepositories(repositories, repositorySearch);
  const counts = useRepositoryCounts(repositories);

  if (side && !sidebarOpen) {
    return (
      <aside aria-label="Repositories" className="hidden lg:block">
        <IconButton
          label="Show repositories"
          aria-expanded={false}
          onClick={() => remember({ sidebarOpen: true })}
        >
          <ChevronRight aria-hidden size={18} />
        </IconButton>
      </aside>
    );
  }
  return (
    <aside
      aria-label="Repositories"
      className={`hidden min-w-0 space-y-3 lg:block ${side ? 'lg:w-72 lg:shrink-0' : ''}`}
    >
      <div className="flex flex-wrap items-center gap-1.5">
        <input
          type="search"
          value={repositorySearch}
          onChange={(event) => remember({ repositorySearch: event.target.value })}
          placeholder="Search repositories..."
          aria-label="Search repositories"
          className={`input ${side ? 'basis-full' : 'max-w-72'}`}
        />
        <Button small onClick={onAdd}>
          <Plus aria-hidden size={16} /> New Repo
        </Button>
        <span className="grow" />
        <div role="group" aria-label="Layout" className="hidden gap-0.5 lg:flex">
          <IconButton
            label="Repositories at the side"
            aria-pressed={side}
            className={side ? 'bg-raised' : ''}
            onClick={() => remember({ layout: 'sidebar' })}
          >
            <Columns2 aria-hidden size={16} />
          </IconButton>
          <IconButton
            label="Repositories on top"
            aria-pressed={!side}
            className={side ? '' : 'bg-raised'}
            onClick={() => remember({ layout: 'horizontal' })}
          >
            <Rows2 aria-hidden size={16} />
          </IconButton>
          {side && (
            <IconButton
              label="Hide repositories"
              aria-expanded
              onClick={() => remember({ sidebarOpen: false })}
            >
              <ChevronLeft aria-hidden size={18} />
            </IconButton>
          )}
        </div>
      </div>
      {found.length === 0 ? (
        <p className="card p-4 text-sm text-soft">
          {repositories.length === 0
            ? 'No repositories configured. Add one with “New Repo”, or name any repository in a new work order.'
            : 'No repositories match your search'}
        </p>
      ) : (
        <ul
          className={`flex gap-3 overflow-x-auto p-0.5 ${side ? 'lg:flex-col lg:overflow-visible' : ''}`}
          aria-label="Repositories"
        >
          {found.map((repository) => (
            <RepositoryCard
              key={repository.id}
              repository={repository}
              counts={counts.get(repository.repository_url)}
              selected={repository.id === selected}
              onSelect={() => onSelect(repository.id === selected ? null : repository.id)}
              onEdit={() => props.onEdit(repository)}
              onDelete={() => props.onDelete(repository)}
              name={repositoryLabel(repository)}
              compact={side}
            />
          ))}
        </ul>
      )}
    </aside>
  );
}
