// Drives Chromium for the tests: one JSON order a line on stdin, one JSON answer a line on stdout.
// Answers begin with {"id":N, and carry "value" or "error".
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const NAMES = ['/usr/bin/chromium', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable', '/snap/bin/chromium', '/usr/bin/chromium-browser'];
// Three times what a step may take on a machine of its own.
const STEP_LIMIT = 30_000;

let browser;
const profile = mkdtempSync(join(tmpdir(), 'mujian-browser-'));
const pages = new Map();
const complaints = new Map();
const inspectors = new Map();
let count = 0;

function executable() {
  const path = process.env.MUJIAN_CHROMIUM ?? NAMES.find((name) => existsSync(name));
  if (!path) throw new Error('Chromium is missing: `sudo apt-get install chromium`, or name one in MUJIAN_CHROMIUM');
  return path;
}

/**
 * Evaluates an expression in a page. Not Playwright's own way: that counts as a gesture of a person, after which sound
 * may start by itself; and its waiting calls eval inside the page, which our content-security policy forbids.
 */
async function evaluate(page, expression) {
  const options = { expression, awaitPromise: true, returnByValue: true, userGesture: false };
  const { result, exceptionDetails } = await inspectors.get(page).send('Runtime.evaluate', options);
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value ?? null;
}

const orders = {
  async launch({ own_autoplay_rule }) {
    const args = [
      '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
    ];
    if (process.getuid?.() === 0) args.push('--no-sandbox');
    // Without a screen Chromium would let anything sound; this is the rule that people's browsers have.
    const rule = own_autoplay_rule ? 'document-user-activation-required' : 'no-user-gesture-required';
    args.push(`--autoplay-policy=${rule}`);
    browser = await chromium.launch({
      executablePath: executable(),
      headless: true,
      args,
      env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
      // Playwright mutes by default, which would hide whether sound may start.
      ignoreDefaultArgs: own_autoplay_rule ? ['--mute-audio'] : [],
    });
    return browser.version();
  },
  async page({ width, height, locale, zone, scheme }) {
    // Certificates of tests are nobody's; that they are checked is tested with another client.
    const context = await browser.newContext({
      viewport: { width, height },
      locale,
      timezoneId: zone,
      colorScheme: scheme,
      ignoreHTTPSErrors: true,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(STEP_LIMIT);
    const id = ++count;
    pages.set(id, page);
    complaints.set(id, []);
    inspectors.set(id, await context.newCDPSession(page));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.get(id).push(message.text());
    });
    page.on('pageerror', (error) => complaints.get(id).push(String(error)));
    return id;
  },
  /** From the next address on the page may keep nothing, as where a person blocks all cookies. */
  async keep_nothing({ page }) {
    await pages.get(page).addInitScript(() => {
      const get = () => {
        throw new DOMException('The operation is insecure.', 'SecurityError');
      };
      Object.defineProperty(window, 'localStorage', { get });
    });
  },
  /** Without a desktop Chromium shows no notices, and allows none. */
  async note_notices({ page }) {
    await pages.get(page).addInitScript(() => {
      window.shownNotices = [];
      window.Notification = class {
        static get permission() {
          return localStorage.getItem('test.permission') ?? 'default';
        }
        static async requestPermission() {
          localStorage.setItem('test.permission', 'granted');
          return 'granted';
        }
        constructor(title, { body, tag }) {
          Object.assign(this, { title, body, tag });
          window.shownNotices.push(this);
        }
        close() {}
      };
    });
  },
  async goto({ page, url }) {
    await pages.get(page).goto(url, { waitUntil: 'commit' });
  },
  async eval({ page, script }) {
    return evaluate(page, script);
  },
  async wait({ page, script, limit }) {
    const deadline = Date.now() + limit;
    for (;;) {
      const value = await evaluate(page, script);
      if (value) return value;
      if (Date.now() > deadline) throw new Error(`waited ${limit} ms for ${script}; it is ${JSON.stringify(value)}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  },
  /** What axe finds against WCAG 2.2 A and AA, in one line each. */
  async axe({ page }) {
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const run = readFileSync(new URL('axe.js', import.meta.url), 'utf8');
    return evaluate(page, `${axe};${run}`);
  },
  async click({ page, selector }) {
    await pages.get(page).click(selector);
  },
  async fill({ page, selector, text }) {
    await pages.get(page).fill(selector, text);
  },
  async files({ page, selector, paths }) {
    await pages.get(page).setInputFiles(selector, paths);
  },
  async press({ page, selector, key }) {
    await pages.get(page).press(selector, key);
  },
  async key({ page, key }) {
    await pages.get(page).keyboard.press(key);
  },
  async type({ page, text }) {
    await pages.get(page).keyboard.type(text);
  },
  async wheel({ page, selector, down }) {
    await pages.get(page).hover(selector);
    await pages.get(page).mouse.wheel(0, down);
  },
  async visible({ page, selector, limit }) {
    await pages.get(page).locator(selector).first().waitFor({ state: 'visible', timeout: limit });
  },
  async shot({ page, path, transparent }) {
    await pages.get(page).screenshot({ path, omitBackground: transparent });
  },
  async complaints({ page }) {
    return complaints.get(page);
  },
  async close({ page }) {
    await pages.get(page).context().close();
    pages.delete(page);
  },
};

function answer(id, rest) {
  process.stdout.write(`${JSON.stringify({ id, ...rest })}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, op, ...order } = JSON.parse(line);
  try {
    answer(id, { value: (await orders[op](order)) ?? null });
  } catch (error) {
    answer(id, { error: String(error?.message ?? error) });
  }
}
await browser?.close();
rmSync(profile, { recursive: true, force: true });
