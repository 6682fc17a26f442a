// The keys that do something on this page.
import { useOffers } from '../lib/keys';
import { Dialog } from './dialog';

export function KeyHelp({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const offers = useOffers();
  const sections = [...new Set(offers.map((offer) => offer.section))];
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Keys"
      description="They work wherever you are not typing."
    >
      <div className="space-y-4">
        {sections.map((section) => (
          <section key={section} aria-label={section}>
            <h3 className="mb-1 text-sm font-semibold text-soft">{section}</h3>
            <dl className="grid grid-cols-[5.5rem_1fr] gap-y-1">
              {offers
                .filter((offer) => offer.section === section)
                .flatMap((offer) => offer.actions())
                .map(({ keys, label }) => (
                  <div key={keys} className="contents">
                    <dt>
                      {keys.split(' ').map((key) => (
                        <kbd
                          key={key}
                          className="mr-1 rounded border border-line bg-raised px-1.5 font-mono text-sm"
                        >
                          {key}
                        </kbd>
                      ))}
                    </dt>
                    <dd>{label}</dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
        <p className="text-sm text-soft">
          Tab and Shift+Tab go through everything, Enter and Space press it, Esc closes what is on top.
        </p>
      </div>
    </Dialog>
  );
}
