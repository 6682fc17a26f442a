// Settings, credentials and access tokens.
import * as Tabs from '@radix-ui/react-tabs';
import { useLocation } from 'wouter';
import { usePageTitle } from '../lib/title';
import { Credentials } from '../settings/credentials';
import { GeneralSettings } from '../settings/general';
import { Tokens } from '../settings/tokens';

const TABS = [
  { value: 'general', label: 'General', page: GeneralSettings },
  { value: 'credentials', label: 'Credentials', page: Credentials },
  { value: 'tokens', label: 'Access tokens', page: Tokens },
];

export function SettingsPage({ part = 'general' }: { part?: string }) {
  const [, navigate] = useLocation();
  usePageTitle('Settings');
  return (
    <div className="mx-auto max-w-4xl space-y-4">
      <h1 className="text-xl font-semibold">Settings</h1>
      <Tabs.Root value={part} onValueChange={(value) => navigate(`/settings/${value}`)}>
        <Tabs.List
          aria-label="Parts of the settings"
          className="mb-4 flex gap-1 overflow-x-auto border-b border-line"
        >
          {TABS.map((tab) => (
            <Tabs.Trigger
              key={tab.value}
              value={tab.value}
              className="-mb-px border-b-2 border-transparent px-3 py-2 font-medium whitespace-nowrap text-soft data-[state=active]:border-accent data-[state=active]:text-text"
            >
              {tab.label}
            </Tabs.Trigger>
          ))}
        </Tabs.List>
        {TABS.map((tab) => (
          <Tabs.Content key={tab.value} value={tab.value}>
            <tab.page />
          </Tabs.Content>
        ))}
      </Tabs.Root>
    </div>
  );
}
