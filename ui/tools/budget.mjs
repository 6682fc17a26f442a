// Fails when the first load has more than 200 KB of compressed script: node tools/budget.mjs [directory]
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const LIMIT = 200_000;
const dir = process.argv[2] ?? process.env.AWO_UI_OUT ?? 'dist';
const html = readFileSync(join(dir, 'index.html'), 'utf8');
const scripts = [...html.matchAll(/(?:src|href)="\/ui\/([^"]+\.js)"/g)].map((m) => m[1]);
const total = scripts.reduce((sum, name) => sum + statSync(join(dir, `${name}.gz`)).size, 0);
console.log(`first load: ${(total / 1000).toFixed(1)} KB of compressed script in ${scripts.length} files`);
if (scripts.length === 0 || total > LIMIT) {
  console.error(`that is ${scripts.length ? `more than ${LIMIT / 1000} KB` : 'no script at all'}`);
  process.exit(1);
}
