// Makes src/api/types.ts from the tables in ../proto: node tools/types.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

const here = dirname(fileURLToPath(import.meta.url));
const proto = process.env.AWO_PROTO ?? join(here, '..', '..', 'proto');
const out = join(here, '..', 'src', 'api', 'types.ts');

const read = (name) => readFileSync(join(proto, name), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');

/** Rows of a table as { macro, args }; strings lose their quotes, so a comma inside one is no separator. */
function* rows(text) {
  for (const m of text.matchAll(/^([A-Z_]+)\s*\(((?:"(?:[^"\\]|\\.)*"|[^()"])*)\)/gm)) {
    const args = [...m[2].matchAll(/\s*("(?:[^"\\]|\\.)*"|[^,"]+)\s*(?:,|$)/g)].map((a) =>
      a[1].trim().replace(/^"(.*)"$/s, '$1'),
    );
    yield { macro: m[1], args };
  }
}

const pascal = (name) => name.replace(/(?:^|_)([a-z])/g, (_, c) => c.toUpperCase());
const SCALARS = { F_STR: 'string', F_INT: 'number', F_BOOL: 'boolean', F_DBL: 'number', F_TIME: 'string' };

function fieldType(macro, args) {
  if (macro in SCALARS) return SCALARS[macro];
  if (macro === 'F_STRV') return 'string[]';
  if (macro === 'F_ANY') return 'unknown';
  const other = pascal(args[3]);
  return macro === 'F_LIST' ? `${other}[]` : other;
}

const requests = new Set(
  [...rows(read('methods.def'))].filter((r) => r.macro === 'METHOD').map((r) => r.args[2]),
);

function field({ macro, args }) {
  const [owner, name, need] = args;
  const help = args.at(-1);
  const type = fieldType(macro, args);
  // what is asked may be left out; what is answered is null where the table says so
  const nullable = need === 'NUL' && type !== 'unknown' ? ' | null' : '';
  const optional = need === 'OPT' || (need === 'NUL' && requests.has(owner)) ? '?' : '';
  return `  /** ${help} */\n  ${name}${optional}: ${type}${nullable};\n`;
}

function make() {
  let text = '// Made from the tables in proto/ by `npm run types`; do not edit.\n\n';
  let values = [];
  for (const row of rows(read('types.def'))) {
    const { macro, args } = row;
    if (macro === 'ENUM_BEGIN') {
      text += `/** ${args[1]}. */\n`;
      values = [];
    } else if (macro === 'ENUM_ROW') {
      values.push(args[1]);
    } else if (macro === 'ENUM_END') {
      const constant = args[0].toUpperCase();
      text += `export const ${constant} = [${values.map((v) => `'${v}'`).join(', ')}] as const;\n`;
      text += `export type ${pascal(args[0])} = (typeof ${constant})[number];\n\n`;
    } else if (macro === 'TYPE_BEGIN') {
      text += `/** ${args[1]}. */\nexport interface ${pascal(args[0])} {\n`;
    } else if (macro === 'TYPE_END') {
      text += '}\n\n';
    } else if (macro.startsWith('F_')) {
      text += field(row);
    }
  }
  const events = [...rows(read('events.def'))].filter((r) => r.macro === 'EVENT');
  text += '/** Events of an order that change its record. */\n';
  const state = events.filter((r) => r.args[2] === 'STATE').map((r) => `'${r.args[0]}'`);
  text += `export const STATE_EVENTS: ReadonlySet<string> = new Set([${state.join(', ')}]);\n`;
  return text;
}

const text = await format(
  make().replace(/export interface (\w+) \{\n\}/g, 'export type $1 = Record<string, never>;'),
  { ...(await resolveConfig(out)), filepath: out },
);
if (process.argv.includes('--check')) {
  if (readFileSync(out, 'utf8') !== text) {
    console.error('src/api/types.ts is not what the tables in proto/ say: npm run types');
    process.exit(1);
  }
} else {
  writeFileSync(out, text);
}
