// One setting: its value, where it came from, and how to change it.
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api } from '../api/client';
import { readAgain } from '../api/queries';
import type { Setting } from '../api/types';
import { Button } from '../components/button';
import { Field } from '../components/field';
import { toast } from '../lib/toasts';

/** What a person types for a value, and back. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? '' : JSON.stringify(value);
}

export function typed(text: string, like: unknown): { value: unknown } | { problem: string } {
  const trimmed = text.trim();
  if (typeof like === 'boolean') return { value: trimmed === 'true' };
  if (typeof like === 'number') {
    // durations may be written as 90, 15m, 2h or 7d: those go as they are
    if (/^-?\d+$/.test(trimmed)) return { value: Number(trimmed) };
    if (/^\d+[smhd]$/.test(trimmed)) return { value: trimmed };
    return { problem: 'A whole number, or for a duration something like 15m, 2h or 7d' };
  }
  if (Array.isArray(like)) {
    return { value: trimmed === '' ? [] : trimmed.split(',').map((item) => item.trim()) };
  }
  return { value: trimmed };
}

/** Where the value comes from, and what else than this page changes it. */
export function origin({ source, value, fixed }: Pick<Setting, 'source' | 'value' | 'fixed'>): string {
  if (fixed && source.startsWith('environment')) return `Fixed by: ${source}`;
  const unset = shown(value) === '' ? 'Not set' : 'The default';
  const from = source === 'default' ? unset : `From: ${source}`;
  return fixed ? `${from} · changed in the configuration file only` : from;
}

interface Props {
  setting: Setting;
  readOnly: boolean;
}

export function SettingRow({ setting, readOnly }: Props) {
  const client = useQueryClient();
  const before = shown(setting.value);
  const [text, setText] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const current = text ?? before;
  const stored = setting.source.startsWith('stored');
  const pending = setting.running_value !== undefined;
  const locked =
    readOnly ||
    setting.fixed ||
    (typeof setting.value === 'object' && setting.value !== null && !Array.isArray(setting.value));
  const save = useMutation({
    mutationFn: (value: unknown) => api.setSetting(setting.key, value),
    onSuccess: (answer) => {
      setText(null);
      setProblem(null);
      readAgain(client, { queryKey: ['settings'] });
      if (setting.restart_required)
        toast.warning(`${setting.key} is stored`, 'It takes effect after a restart.');
      else
        toast.success(
          `${setting.key} changed`,
          answer.restart_required ? 'Another change waits for a restart.' : '',
        );
    },
    onError: (error) => setProblem(error.message),
  });

  function submit(event: FormEvent): void {
    event.preventDefault();
    const result = typed(current, setting.value);
    if ('problem' in result) setProblem(result.problem);
    else save.mutate(result.value);
  }

  return (
    <form onSubmit={submit} data-setting={setting.key} className="space-y-1 py-3">
      <Field
        label={setting.key}
        error={problem}
        help={
          <>
            {setting.help}
            {' · '}
            {origin(setting)}
            {setting.restart_required && !pending && ' · takes effect after a restart'}
            {pending && (
              <strong className="block font-medium text-waiting">
                Pending: awod runs with {shown(setting.running_value) || 'the default'} until it is started
                again.
              </strong>
            )}
          </>
        }
      >
        {typeof setting.value === 'boolean' ? (
          <select
            className="input max-w-md"
            disabled={locked}
            value={current}
            onChange={(event) => setText(event.target.value)}
          >
            <option value="true">true</option>
            <option value="false">false</option>
          </select>
        ) : (
          <input
            className="input max-w-md"
            disabled={locked}
            value={current}
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => setText(event.target.value)}
          />
        )}
      </Field>
      {!locked && (current !== before || stored) && (
        <div className="flex gap-2">
          {current !== before && (
            <>
              <Button small type="submit" look="primary" busy={save.isPending}>
                Save
              </Button>
              <Button
                small
                onClick={() => {
                  setText(null);
                  setProblem(null);
                }}
              >
                Undo
              </Button>
            </>
          )}
          {stored && current === before && (
            <Button small look="quiet" busy={save.isPending} onClick={() => save.mutate(null)}>
              Back to the configured value
            </Button>
          )}
        </div>
      )}
    </form>
  );
}
