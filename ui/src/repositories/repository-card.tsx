// One repository: how many orders it has, and what can be done with it.
import { BadgeCheck, Copy, LoaderCircle, Pencil, Trash2, TriangleAlert } from 'lucide-react';
import { UNCHECKED } from '../api/actions';
import type { Repository } from '../api/types';
import { IconButton } from '../components/button';
import { copy } from '../lib/copy';
import type { RepositoryCounts } from '../orders/repository-panel';

const PILL = 'rounded-full border px-2 text-xs leading-5 font-medium tabular-nums';

function Pills({ counts }: { counts: RepositoryCounts }) {
  const { total, active, done } = counts;
  return (
    <span className="flex flex-wrap gap-1.5">
      <span className={`${PILL} text-soft`}>Total {total}</span>
      <span className={`${PILL} ${active > 0 ? 'border-running text-running' : 'text-soft'}`}>
        Active {active}
      </span>
      <span className={`${PILL} ${done > 0 ? 'border-completed text-completed' : 'text-soft'}`}>
        Done {done}
      </span>
    </span>
  );
}

/** Whether it could be reached; in words, too, where there is room for them. */
function Verified({ repository, words }: { repository: Repository; words: boolean }) {
  const [Icon, text, colour] =
    repository.id === UNCHECKED
      ? ([LoaderCircle, 'Checking…', 'text-soft'] as const)
      : repository.is_verified
        ? ([BadgeCheck, 'Verified', 'text-completed'] as const)
        : ([TriangleAlert, 'Not verified', 'text-waiting'] as const);
  return (
    <span className={`inline-flex shrink-0 items-center gap-1 text-sm ${colour}`} title={text}>
      <Icon aria-hidden size={15} className={repository.id === UNCHECKED ? 'animate-spin' : ''} />
      <span className={words ? '' : 'sr-only'}>{text}</span>
    </span>
  );
}

interface Props {
  repository: Repository;
  name: string;
  counts: RepositoryCounts | undefined;
  selected: boolean;
  /** For a column of many. */
  compact: boolean;
  onSelect: () => void;
  onEdit: () => void;
  onDelete: () => void;
}

export function RepositoryCard(props: Props) {
  const { repository, name, counts, selected, compact, onSelect, onEdit, onDelete } = props;
  const known = repository.id !== UNCHECKED;
  return (
    <li
      data-repository={repository.id}
      data-compact={compact}
      className={`card shrink-0 transition-shadow ${compact ? 'px-3 py-2' : 'w-72 p-3'} ${selected ? 'glow' : ''}`}
    >
      <button
        type="button"
        aria-pressed={selected}
        disabled={!known}
        onClick={onSelect}
        className="block w-full min-w-0 space-y-1 rounded text-left"
        title={repository.repository_url}
      >
        <span className="flex items-center justify-between gap-2">
          <span className="truncate font-medium">{name}</span>
          <Verified repository={repository} words={!compact || !known} />
        </span>
        <Pills counts={counts ?? { total: 0, active: 0, done: 0 }} />
      </button>
      {known && (
        <div className={`flex ${compact ? '-mb-1 -ml-2' : 'mt-2 justify-end'}`}>
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
        </div>
      )}
    </li>
  );
}
