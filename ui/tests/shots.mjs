// Pictures of the screens, for looking at: node tests/shots.mjs URL OUT [name…]
// With the development server (`npm run dev`) every state of the studio can be shown without the app.
import { chromium } from "playwright-core";
import { mkdirSync } from "node:fs";

const [url = "http://127.0.0.1:5173", out = "/tmp/mujian-shots", ...only] = process.argv.slice(2);
mkdirSync(out, { recursive: true });

const WIDE = { width: 1280, height: 800 };
const SMALL = { width: 900, height: 600 };
const PHONE = { width: 390, height: 800 };

/** name, path, sizes, what to do before the picture */
const SCREENS = [
  ["hall", "/?fake-studio", [WIDE, SMALL]],
  ["hall-empty", "/?fake-studio=empty", [WIDE, SMALL]],
  ["room", "/watch/rain-cafe?fake-studio", [WIDE, SMALL, PHONE]],
  ["room-off", "/watch/sleepy?fake-studio=guest", [WIDE, PHONE]],
  ["missing", "/watch/nowhere?fake-studio=guest", [SMALL]],
  ["studio", "/studio?fake-studio", [WIDE, SMALL]],
  ["studio-live", "/studio?fake-studio=live", [WIDE, SMALL]],
  ["studio-away", "/studio?fake-studio=away", [WIDE, SMALL]],
  ["studio-returning", "/studio?fake-studio=returning", [WIDE, SMALL]],
  ["studio-owed", "/studio?fake-studio=owed", [WIDE]],
  ["room-away", "/watch/one-man?fake-studio", [WIDE, SMALL, PHONE]],
  ["room-away-guest", "/watch/one-man?fake-studio=guest", [WIDE]],
  ["studio-lost", "/studio?fake-studio=reconnecting", [WIDE]],
  ["studio-failed", "/studio?fake-studio=failed", [SMALL]],
  ["studio-waiting", "/studio?fake-studio=waiting", [SMALL]],
  ["studio-notices", "/studio?fake-studio=notices", [SMALL]],
  [
    "studio-end",
    "/studio?fake-studio=live",
    [WIDE],
    async (page) => {
      await page.keyboard.press("Control+Shift+E");
    },
  ],
  [
    "share",
    "/studio?fake-studio=live",
    [WIDE, SMALL],
    async (page) => {
      await page.locator("button.press").click();
      await page.locator("dialog button").last().click();
      await page.locator("dialog img").waitFor();
    },
  ],
  [
    "shelf",
    "/studio?fake-studio",
    [WIDE, SMALL],
    async (page) => {
      await page.locator(".card button").click();
      await page.locator("dialog img").nth(8).waitFor();
    },
  ],
  [
    "shelf-words",
    "/studio?fake-studio",
    [WIDE],
    async (page) => {
      await page.locator(".card button").click();
      await page.locator("dialog .drop button").click();
      await page.locator("dialog textarea").fill("去楼下取个快递\nBack in ten minutes");
    },
  ],
  [
    "shelf-item",
    "/studio?fake-studio",
    [WIDE, PHONE],
    async (page) => {
      await page.locator(".card button").click();
      await page.locator("dialog .row button").first().click();
    },
  ],
  ["account", "/account?fake-studio", [WIDE]],
  [
    "log-in",
    "/account?fake-studio=guest",
    [WIDE, PHONE],
    async (page) => {
      await page.locator("main section button").first().click();
      await page.locator("dialog form button").first().click();
    },
  ],
];
const LOOKS = [
  ["zh-CN", "dark"],
  ["en", "light"],
  ["en", "dark"],
  ["zh-CN", "light"],
];

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
for (const [locale, colorScheme] of LOOKS.slice(0, only.length > 0 ? 4 : 2)) {
  for (const [name, path, sizes, act] of SCREENS) {
    if (only.length > 0 && !only.includes(name)) continue;
    for (const viewport of sizes) {
      const context = await browser.newContext({ locale, colorScheme, viewport });
      const page = await context.newPage();
      page.on("pageerror", (e) => console.log(`${name}: ${e.message}`));
      page.on("console", (m) => m.type() === "error" && console.log(`${name}: ${m.text()}`));
      await page.goto(url + path, { waitUntil: "load" });
      await page.waitForTimeout(900);
      if (act) {
        await act(page);
        await page.waitForTimeout(400);
      }
      await page.screenshot({ path: `${out}/${name}-${viewport.width}-${locale}-${colorScheme}.png` });
      await context.close();
    }
  }
}
await browser.close();
