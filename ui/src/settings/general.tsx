// Settings of the service, those that matter most on top.
import { useState } from 'react';
import { api } from '../api/client';
import { useInfo, useSettings } from '../api/queries';
import type { Setting } from '../api/types';
import { Loading, Problem } from '../components/state';
import { SettingRow } from './setting-row';
import { TestButton } from './test-button';

const FIRST = [
  'max_concurrent',
  'agents.default',
  'agents.claude.program',
  'agents.claude.model',
  'storage.directory',
  'retention.workspace_days',
  'retention.log_days',
  'timeouts.step',
  'timeouts.idle',
  'timeouts.order',
];

function section(key: string): string {
  return key.includes('.') ? key.slice(0, key.lastIndexOf('.')) : 'general';
}

function Rows({ settings, readOnly }: { settings: readonly Setting[]; readOnly: boolean }) {
  return (
    <div className="card divide-y divide-line px-4">
      {settings.map((setting) => (
        <SettingRow key={`${setting.key} ${setting.source}`} setting={setting} readOnly={readOnly} />
      ))}
    </div>
  );
}

export function GeneralSettings() {
  const settings = useSettings();
  const info = useInfo().data;
  const [text, setText] = useState('');
  if (settings.isPending) return <Loading what="settings" />;
  if (settings.isError) {
    return (
      <Problem
        title="Failed to load settings"
        error={settings.error}
        onRetry={() => void settings.refetch()}
      />
    );
  }
  const all = settings.data.settings;
  const readOnly = info?.is_admin === false;
  const first = FIRST.flatMap((key) => all.find((setting) => setting.key === key) ?? []);
  const wanted = text.trim().toLowerCase();
  const rest = all
    .filter((s) => !FIRST.includes(s.key) || wanted !== '')
    .filter((s) => `${s.key} ${s.help}`.toLowerCase().includes(wanted));
  const sections = [...new Set(rest.map((s) => section(s.key)))];
  return (
    <div className="space-y-5">
      {settings.data.restart_required && (
        <p role="status" className="card border-l-4 border-l-waiting p-3 text-sm">
          A change is stored and waits for a restart of the daemon.
        </p>
      )}
      {readOnly && (
        <p className="card p-3 text-sm text-soft">
          Only administrators change these; you see what is in force.
        </p>
      )}
      <section aria-labelledby="settings-tests" className="card space-y-3 p-4">
        <h2 id="settings-tests" className="font-semibold">
          Connections
        </h2>
        <TestButton label="Test GitHub" test={() => api.testSetting('github')} />
        <TestButton label="Test the agent program" test={() => api.testSetting('agent')} />
      </section>
      {wanted === '' && (
        <section aria-labelledby="settings-first">
          <h2 id="settings-first" className="mb-2 font-semibold">
            Most used
          </h2>
          <Rows settings={first} readOnly={readOnly} />
        </section>
      )}
      <input
        type="search"
        aria-label="Search settings"
        placeholder="Search settings…"
        className="input max-w-md"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {rest.length === 0 && <p className="text-soft">No setting matches.</p>}
      {sections.map((name) => (
        <details key={name} className="space-y-2" open={wanted !== ''}>
          <summary className="font-semibold">{name}</summary>
          <Rows settings={rest.filter((s) => section(s.key) === name)} readOnly={readOnly} />
        </details>
      ))}
    </div>
  );
}
