// What an order changed, file by file.
import { ChevronDown, ChevronRight } from 'lucide-react';
import { useMemo, useState } from 'react';
import { useDiff } from '../api/queries';
import type { DiffFile as FileNumbers } from '../api/types';
import { Button } from '../components/button';
import { Empty, Loading, Problem } from '../components/state';
import { firstLines, parseDiff, type DiffFile, type DiffLine } from '../lib/diff';
import { plural } from '../lib/format';
import { remember, useRemembered } from '../lib/storage';

/** Larger files are closed at first: the reader says which to look at. */
const OPEN_LINES = 400;
const SHOWN_LINES = 3000;

const LOOK: Record<DiffLine['kind'], string> = {
  added: 'bg-added',
  removed: 'bg-removed',
  context: '',
  note: 'text-soft italic',
};
const SIGN: Record<DiffLine['kind'], string> = { added: '+', removed: '−', context: ' ', note: ' ' };
const SAID: Partial<Record<DiffLine['kind'], string>> = { added: 'added: ', removed: 'removed: ' };

const sizeOf = (file: DiffFile): number => file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);

function Lines({ file }: { file: DiffFile }) {
  const [shown, setShown] = useState(SHOWN_LINES);
  const { wrapDiff } = useRemembered();
  const size = sizeOf(file);
  const hunks = firstLines(file.hunks, shown);
  return (
    <div tabIndex={0} role="region" aria-label={`Changes of ${file.path}`} className="overflow-x-auto">
      <table className="w-full border-collapse font-mono text-xs leading-5">
        <tbody>
          {hunks.flatMap((hunk) => [
            <tr key={hunk.header} className="bg-raised text-soft">
              <td colSpan={3} className="px-3 py-0.5">
                {hunk.header}
              </td>
            </tr>,
            ...hunk.lines.map((line, at) => (
              <tr key={`${hunk.header} ${at}`} className={LOOK[line.kind]}>
                <td className="w-10 px-2 text-right text-soft select-none">{line.oldNumber}</td>
                <td className="w-10 px-2 text-right text-soft select-none">{line.newNumber}</td>
                <td className={wrapDiff ? 'pr-3 break-all whitespace-pre-wrap' : 'pr-3 whitespace-pre'}>
                  <span className="sr-only">{SAID[line.kind]}</span>
                  <span aria-hidden className="inline-block w-4 select-none">
                    {SIGN[line.kind]}
                  </span>
                  {line.text}
                </td>
              </tr>
            )),
          ])}
        </tbody>
      </table>
      {size > shown && (
        <p className="p-2 text-center">
          <Button small onClick={() => setShown(shown + SHOWN_LINES)}>
            Show more ({size - shown} lines are left)
          </Button>
        </p>
      )}
    </div>
  );
}

function File({ file, numbers }: { file: DiffFile; numbers: FileNumbers | undefined }) {
  const size = sizeOf(file);
  const [open, setOpen] = useState(size <= OPEN_LINES);
  const Chevron = open ? ChevronDown : ChevronRight;
  return (
    <section aria-label={file.path} className="card overflow-hidden">
      <h3>
        <button
          type="button"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
          className="flex w-full items-center gap-2 px-3 py-2 text-left hover:bg-raised"
        >
          <Chevron aria-hidden size={16} className="shrink-0" />
          <span className="min-w-0 grow font-mono text-sm break-all">{file.path}</span>
          {numbers && (
            <span className="shrink-0 text-sm whitespace-nowrap text-soft">
              {numbers.status} <span className="text-completed">+{numbers.lines_added}</span>{' '}
              <span className="text-failed">−{numbers.lines_removed}</span>
            </span>
          )}
        </button>
      </h3>
      {open && file.hunks.length > 0 && <Lines file={file} />}
      {open && file.hunks.length === 0 && (
        <p className="border-t border-line px-3 py-2 text-sm text-soft">
          {numbers?.binary ? 'A binary file.' : file.notes.join('; ') || 'No change of its text.'}
        </p>
      )}
    </section>
  );
}

export function DiffView({ id }: { id: string }) {
  const diff = useDiff(id);
  const { wrapDiff } = useRemembered();
  const patch = diff.data?.patch ?? '';
  const files = useMemo(() => parseDiff(patch), [patch]);
  if (diff.isPending) return <Loading what="the changes" />;
  if (diff.isError) {
    return (
      <Problem title="Failed to load the changes" error={diff.error} onRetry={() => void diff.refetch()} />
    );
  }
  const numbers = new Map(diff.data.files.map((file) => [file.path, file]));
  const shown = new Set(files.map((file) => file.path));
  const missing = diff.data.files.filter((file) => !shown.has(file.path));
  if (diff.data.files.length === 0) {
    return (
      <div className="card">
        <Empty title="No changes yet" text="They appear with the first commit on the order’s branch." />
      </div>
    );
  }
  return (
    <div className="space-y-3" data-diff>
      <p className="flex flex-wrap items-center gap-x-3 text-sm text-soft">
        {plural(diff.data.files.length, 'file')} changed
        <span className="hidden font-mono text-xs sm:inline">
          {diff.data.base_sha?.slice(0, 8)}…{diff.data.head_sha?.slice(0, 8)}
        </span>
        <Button small look="quiet" busy={diff.isFetching} onClick={() => void diff.refetch()}>
          Refresh
        </Button>
        <Button small look="quiet" aria-pressed={wrapDiff} onClick={() => remember({ wrapDiff: !wrapDiff })}>
          Wrap lines
        </Button>
      </p>
      {diff.data.truncated && (
        <p role="status" className="card p-3 text-sm text-waiting">
          The diff is larger than 3 MiB and was cut. Look at the branch for all of it.
        </p>
      )}
      {files.map((file) => (
        <File key={file.path} file={file} numbers={numbers.get(file.path)} />
      ))}
      {missing.length > 0 && (
        <section aria-label="Files without a shown change" className="card p-3 text-sm">
          <ul className="font-mono">
            {missing.map((file) => (
              <li key={file.path} className="break-all">
                {file.path} <span className="text-soft">({file.status})</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}
