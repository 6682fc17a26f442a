// A real browser on the real gateway, and what every scenario needs of it.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';

// the packages are those of the UI's own lock file
const require = createRequire(join(process.env.AWO_UI_MODULES, 'package.json'));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const base = process.env.AWO_UI_URL;
/** Path of a repository on this machine. */
export const repository = process.env.AWO_UI_REPOSITORY;
const shots = process.env.AWO_UI_SHOTS ?? '';

/** For what is awaited: a machine may do something else meanwhile. What never comes costs it. */
const PATIENCE_MS = 60_000;

const ARGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // its own surface as web pages: a process more for each window, which nobody sees here
  '--disable-features=InitialWebUI,WebUIReloadButton,WebUIToolbar,PreloadTopChromeWebUI,PaintHolding,HttpsUpgrades,MediaRouter,OptimizationHints',
];

export async function launch() {
  return chromium.launch({
    executablePath: process.env.AWO_CHROMIUM ?? '/usr/bin/chromium',
    args: process.getuid() === 0 ? ['--no-sandbox', ...ARGS] : ARGS,
  });
}

/** Requests of all pages to another host than the gateway: there are none in the whole run. */
const foreign = [];
let asked = 0;

/** A page of its own, at the path or at none yet. What the browser complains about is kept: nothing of it may be left at the end. */
export async function open(browser, path, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    colorScheme: 'light',
    reducedMotion: 'reduce',
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  const own = new URL(base).origin;
  page.on('request', (request) => {
    const url = new URL(request.url());
    asked++;
    if (url.protocol !== 'data:' && url.origin !== own) foreign.push(`${page.url()} asked ${url.href}`);
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // the browser itself reports answers like 404 or a gateway that is away: the scenarios look at those
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      complaints.push(`console: ${message.text()}`);
    }
  });
  if (path) await page.goto(base + path);
  return { page, context, complaints };
}

export async function close({ context, complaints }) {
  await context.close();
  assert.deepEqual(complaints, []);
}

export async function noViolations(page, where) {
  // Runtime.evaluate is not subject to the page's content security policy
  await page.evaluate(axeSource);
  // what holds is not gathered, which takes most of the time
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ['violations'] }),
  );
  const said = violations.map(
    (v) => `${where}: ${v.id}: ${v.help}\n  ${v.nodes.map((n) => n.target.join(' ')).join('\n  ')}`,
  );
  assert.equal(said.join('\n'), '');
}

export async function noSidewaysScroll(page, where) {
  const over = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  assert.ok(over <= 0, `${where} is ${over} px wider than the screen`);
}

export async function shot(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), timeout: PATIENCE_MS });
}

/**
 * Holds back what the page asks of addresses that match, with any method or one, until the answer is called; with false
 * it is refused then. The answer's asked is the body of the first that was held.
 */
export async function hold(page, pattern, method = null) {
  let letGo;
  let hear;
  const released = new Promise((resolve) => (letGo = resolve));
  const asked = new Promise((resolve) => (hear = resolve));
  await page.route(pattern, async (route) => {
    if (method !== null && route.request().method() !== method) return route.fallback();
    hear(route.request().postDataJSON());
    if ((await released) === false) await route.fulfill({ status: 500, json: { detail: 'not today' } });
    else await route.continue();
    return undefined;
  });
  return Object.assign(letGo, { asked });
}

/** What the pages keep in this browser. */
export const kept = (page) =>
  page.evaluate(() => JSON.parse(localStorage.getItem('agent-work-orders-ui') ?? '{}'));

/** Speaks with the service as a program would. */
export async function api(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  if (process.env.AWO_UI_TOKEN) headers.Authorization = `Bearer ${process.env.AWO_UI_TOKEN}`;
  const answer = await fetch(`${base}/api/v1${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

export const orderOf = async (id) => (await api('GET', `/agent-work-orders/${id}`)).agent_work_order;

export async function createOrder(repository_url, user_request, more = {}) {
  const made = await api('POST', '/agent-work-orders', { repository_url, user_request, ...more });
  return made.agent_work_order.agent_work_order_id;
}

/** Ends orders that would go on for ever. */
export async function cancel(...ids) {
  for (const id of ids) await api('POST', `/agent-work-orders/${id}/cancel`, {});
  for (const id of ids) await statusBecomes(id, 'cancelled');
}

/** What a scenario that failed has left, so that the next one has a slot, and finds no repository. */
async function clearUp(browser) {
  for (const context of browser.contexts()) await context.close();
  for (const status of ['running', 'pending', 'paused', 'waiting']) {
    const { agent_work_orders: left } = await api('GET', `/agent-work-orders?limit=200&status=${status}`);
    for (const { agent_work_order_id: id } of left) {
      await api('POST', `/agent-work-orders/${id}/cancel`, {}).catch(() => undefined);
    }
  }
  const { repositories } = await api('GET', '/repositories');
  for (const { id } of repositories) await api('DELETE', `/repositories/${id}`);
}

/** What there was to see when a scenario failed. */
async function tellWhatIs(browser) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    const text = await page.evaluate(() => document.body.innerText).catch(String);
    console.log(`  on ${page.url()}:\n    ${text.replace(/\s*\n\s*/g, ' | ').slice(0, 1500)}`);
  }
  const { agent_work_orders: orders } = await api('GET', '/agent-work-orders?limit=6');
  for (const { agent_work_order_id: id, status, current_step, attempt, error_message } of orders) {
    console.log(`  ${id}: ${status}, ${current_step}, attempt ${attempt}, ${error_message}`);
  }
}

/**
 * Until what is read is what is wanted: a value, or a text that a pattern matches. For whatever follows an action only
 * as soon as the page or the service comes to it. Behind the deadline it tells the difference.
 */
export async function eventually(read, wanted, what) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const is = await read();
    const isPattern = wanted instanceof RegExp;
    if (isPattern ? wanted.test(is) : isDeepStrictEqual(is, wanted)) return;
    if (Date.now() > end) isPattern ? assert.match(is, wanted, what) : assert.deepEqual(is, wanted, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The order's heading on its own page: text that an agent wrote may have headings with the same words. */
export const titleOf = (page, title) => page.getByRole('heading', { name: title, level: 1, exact: true });

/** Opens a row's menu and chooses from it. */
export async function choose(page, id, item) {
  await row(page, id)
    .getByRole('button', { name: /More actions/ })
    .click();
  await page.getByRole('menuitem', { name: item, exact: true }).click();
}

export async function statusBecomes(id, ...wanted) {
  const end = Date.now() + 180_000;
  for (;;) {
    const order = await orderOf(id);
    if (wanted.includes(order.status)) return order;
    assert.ok(
      Date.now() < end,
      `${id} is ${order.status}, not ${wanted.join(' or ')}: ${order.error_message}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export const orderPath = (id) => `/ui/agent-work-orders/${id}`;

/** An order's row in the list. */
export const row = (page, id) => page.locator(`[data-order="${id}"]`);

/** Until the list shows the order in that state. */
export async function becomes(page, id, status) {
  await page.locator(`[data-order="${id}"][data-status="${status}"]`).waitFor();
}

let input;

/** Asks the test that started this script for something that only it can do. */
export async function please(what) {
  input ??= createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  console.log(`@${what}`);
  const { value } = await input.next();
  assert.equal(value, 'done');
}

/**
 * Runs the scenarios, [name, function] each, one after the other, also behind one that fails. Answers how many did.
 * AWO_UI_ONLY, a regular expression, runs those whose name it matches.
 */
export async function run(scenarios) {
  const only = process.env.AWO_UI_ONLY;
  const browser = await launch();
  let failed = 0;
  try {
    for (const [name, scenario] of scenarios) {
      if (only && !new RegExp(only).test(name)) continue;
      const began = Date.now();
      try {
        await scenario(browser);
      } catch (error) {
        failed++;
        console.log(`FAILED ${name}: ${error.stack}`);
        await tellWhatIs(browser).catch((reason) => console.log(`could not tell: ${reason}`));
        await clearUp(browser).catch((reason) => console.log(`could not clear up: ${reason}`));
        continue;
      }
      console.log(`ok ${name} (${Date.now() - began} ms)`);
    }
  } finally {
    await browser.close();
  }
  assert.ok(asked > 0);
  assert.deepEqual(foreign, [], 'a page asked another host');
  return failed;
}
