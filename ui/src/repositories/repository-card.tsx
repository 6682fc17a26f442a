// One repository: how many orders it has, and what can be done with it.
import { BadgeCheck, Copy, Pencil, Trash2 } from 'lucide-react';
import type { Repository } from '../api/types';
import { IconButton } from '../components/button';
import { copy } from '../lib/copy';
import type { RepositoryCounts } from '../orders/repository-panel';

interface Props {
  repository: Repository;
  name: string;
  counts: RepositoryCounts | undefined;
  selected: boolean;
  onSelect: () => void;
  onEdit: () => void;
  onDelete: () => void;
}

export function RepositoryCard({ repository, name, counts, selected, onSelect, onEdit, onDelete }: Props) {
  const { total, active, done } = counts ?? { total: 0, active: 0, done: 0 };
  return (
    <li
      data-repository={repository.id}
      className={`card w-64 shrink-0 p-3 lg:w-auto lg:min-w-60 ${selected ? 'border-accent ring-2 ring-accent' : ''}`}
    >
      <button
        type="button"
        aria-pressed={selected}
        onClick={onSelect}
        className="block w-full min-w-0 rounded text-left"
        title={repository.repository_url}
      >
        <span className="block truncate font-medium">{name}</span>
        <span className="mt-1 flex flex-wrap gap-x-3 text-sm text-soft">
          <span>Total {total}</span>
          <span className={active > 0 ? 'font-medium text-running' : ''}>Active {active}</span>
          <span className={done > 0 ? 'text-completed' : ''}>Done {done}</span>
        </span>
      </button>
      <div className="mt-1 flex items-center justify-between">
        <span className="inline-flex items-center gap-1 text-sm">
          {repository.is_verified ? (
            <span className="inline-flex items-center gap-1 text-completed">
              <BadgeCheck aria-hidden size={15} /> Verified
            </span>
          ) : (
            <span className="text-waiting">Not verified</span>
          )}
        </span>
        <span className="flex">
          <IconButton label={`Edit ${name}`} onClick={onEdit}>
            <Pencil aria-hidden size={15} />
          </IconButton>
          <IconButton
            label={`Copy URL of ${name}`}
            onClick={() => void copy(repository.repository_url, 'URL')}
          >
            <Copy aria-hidden size={15} />
          </IconButton>
          <IconButton label={`Delete ${name}`} onClick={onDelete}>
            <Trash2 aria-hidden size={15} />
          </IconButton>
        </span>
      </div>
    </li>
  );
}
