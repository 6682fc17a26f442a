// Text of an agent's, shown as the Markdown that it is. HTML in it stays text, and links go nowhere by themselves.
import Markdown, { type Components } from 'react-markdown';
import { safeLink } from '../lib/format';

/** Its headings stand below those of the page, which has one h1 and calls its parts h2. */
const HEADINGS: Components = { h1: 'h3', h2: 'h4', h3: 'h5', h4: 'h6', h5: 'h6' };

export default function MarkdownText({ text }: { text: string }) {
  return (
    <Markdown
      disallowedElements={['img']}
      components={{
        ...HEADINGS,
        a: ({ href, children }) =>
          safeLink(href ?? null) ? (
            <a href={href} target="_blank" rel="noopener noreferrer">
              {children}
            </a>
          ) : (
            <span>{children}</span>
          ),
      }}
    >
      {text}
    </Markdown>
  );
}
