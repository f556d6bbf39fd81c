// The page in real Chromium: served by the running Worker, and as static files. Screenshots of every view are
// written to tests/artifacts, for inspection.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { buildPage } from "../../scripts/build-www.mjs";
import { freePort } from "../../scripts/ports.mjs";
import { findBrowser } from "../../scripts/setup.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const artifacts = join(root, "tests", "artifacts");
const axe = readFileSync(join(root, "node_modules", "axe-core", "axe.min.js"), "utf8");
const WIDTHS = [360, 1280, 3840];
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
const TOKEN = "a-token-of-the-page-tests";

/** Serves the folder `www` as a static server does. */
async function serveFiles() {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url, "http://host").pathname);
    const file = join(root, "www", path === "/" ? "index.html" : path);
    try {
      const bytes = readFileSync(file);
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
      response.end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  return {
    url: `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/`,
    close: () => server.close(),
  };
}

/** `npm start`, on a port of its own. */
async function serveWorker() {
  const port = await freePort();
  const args = [
    join(root, "scripts", "start.mjs"),
    "--",
    "--var",
    `ADMIN_TOKEN:${TOKEN}`,
    "--persist-to",
    join(root, "target", `page-state-${port}`),
  ];
  const child = spawn(
    process.execPath,
    args.filter((it) => it !== "--"),
    { cwd: root, env: { ...process.env, PORT: String(port) }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stderr.on("data", (data) => (said += data));
  const url = `http://127.0.0.1:${port}/`;
  const end = Date.now() + 60_000;
  for (;;) {
    const answer = await fetch(`${url}_xfetch/health`).catch(() => undefined);
    if (answer?.ok) break;
    assert.ok(Date.now() < end && child.exitCode === null, `npm start did not come up:\n${said}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const close = () =>
    new Promise((resolve) => {
      child.on("exit", resolve);
      child.kill("SIGTERM");
    });
  return { url, close };
}

let browser;
let files;
before(async () => {
  buildPage();
  mkdirSync(artifacts, { recursive: true });
  files = await serveFiles();
  browser = await chromium.launch({
    executablePath: which(findBrowser().chromium),
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
});
after(async () => {
  await browser?.close();
  files?.close();
});

function which(program) {
  if (program.startsWith("/")) return program;
  return process.env.PATH.split(":")
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        return readFileSync(file).length > 0;
      } catch {
        return false;
      }
    });
}

/** Opens a page; any error or warning on its console fails the test, unless it is allowed. */
/** @param {string} url @param {{ width?: number, scheme?: "light" | "dark", run?: (page: import("playwright-core").Page) => Promise<void>, allow?: RegExp }} options */
async function open(url, { width = 1280, scheme = "light", run, allow } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const complaints = [];
  page.on(
    "console",
    (message) =>
      ["error", "warning"].includes(message.type()) && complaints.push(`${message.text()} ${message.location().url}`),
  );
  page.on("pageerror", (error) => complaints.push(error.message));
  try {
    await page.goto(url);
    await run(page);
    assert.deepEqual(
      complaints.filter((it) => !allow?.test(it)),
      [],
    );
  } finally {
    await context.close();
  }
}

/** Gives the live view the admin token, and waits for the counters. */
async function signIn(page) {
  await page.waitForSelector("#live-parts:not([hidden])");
  await page.fill("#token", TOKEN);
  await page.click("#admin button");
  await page.waitForSelector("#counters table");
}

const ready = (page) =>
  page.waitForFunction(() => document.body.dataset.ready !== undefined, undefined, { timeout: 60_000 });

/** Waits for the run of exactly these settings. */
const readyFor = (page, hash) =>
  page.waitForFunction((it) => document.body.dataset.ready === it, hash, { timeout: 60_000 });

const headline = (page) =>
  page.$$eval("#headline tbody tr", (rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));

async function accessible(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(
    found.violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.target).join(", ")}`),
    [],
  );
}

const shot = (page, name) => page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true });

describe("the laboratory, served as files", () => {
  test("shows every strategy on the same requests, and states the result in words", () =>
    open(files.url, {
      run: async (page) => {
        await ready(page);
        const rows = await headline(page);
        assert.equal(rows.length, 7);
        const [none, ours] = [rows[0], rows.at(-1)];
        assert.ok(Number(ours[1]) * 10 < Number(none[1]), `${ours[1]} calls against ${none[1]}`);
        assert.equal(ours[3], "1", "one computation at once");
        assert.equal(await page.$$eval("#multiples canvas", (all) => all.length), 21);
        assert.equal(await page.$$eval("#laws canvas", (all) => all.length), 4);
        assert.match(await page.textContent("#statement"), new RegExp(`called the origin ${ours[1]} times`));
        const shift = await page.evaluate(
          () =>
            new Promise((resolve) => {
              let sum = 0;
              new PerformanceObserver((list) => list.getEntries().forEach((it) => (sum += it.value))).observe({
                type: "layout-shift",
                buffered: true,
              });
              setTimeout(() => resolve(sum), 200);
            }),
        );
        assert.ok(shift < 0.05, `the layout shifts by ${shift}`);
        await accessible(page);
      },
    }));

  test("the figures obey the closed forms", () =>
    open(`${files.url}#lab?rate=40&ttl=20`, {
      run: async (page) => {
        await ready(page);
        const words = await page.textContent("#law-words");
        const [, cycles, seen, law] =
          /over ([\d,]+) cycles the first refresh began ([\d.]+) s before expiry on average \(theory: ([\d.]+) s/.exec(
            words,
          ) ?? [];
        // The theory's closed form without an early window; the standard deviation of a gap is 1.2825 beta delta.
        const closed = Math.log(40) + 0.5772;
        assert.ok(Math.abs(Number(law) - closed) < 0.02 * closed, `${law} against ${closed}`);
        assert.ok(
          Math.abs(Number(seen) - closed) < (4 * 1.2825) / Math.sqrt(Number(cycles.replace(",", ""))) + 0.02,
          words,
        );
      },
    }));

  test("each preset runs, and its address reproduces its figures", () =>
    open(files.url, {
      run: async (page) => {
        await ready(page);
        for (const id of await page.$$eval("[data-preset]", (all) => all.map((it) => it.dataset.preset))) {
          await page.evaluate(() => delete document.body.dataset.ready);
          await page.click(`[data-preset="${id}"]`);
          await ready(page);
          assert.equal(await page.getAttribute(`[data-preset="${id}"]`, "aria-pressed"), "true", id);
          assert.equal(await page.isHidden("#problem"), true, id);
          if (id !== "rare") continue;
          const [address, figures] = [page.url(), await headline(page)];
          await open(address, {
            run: async (other) => {
              await ready(other);
              assert.deepEqual(await headline(other), figures);
              assert.equal(other.url(), address);
            },
          });
        }
      },
    }));

  test("a changed control starts a new run, and a wrong value is refused with a sentence", () =>
    open(files.url, {
      run: async (page) => {
        await ready(page);
        const before = await headline(page);
        await page.fill("#set-rate", "5");
        await page.press("#set-rate", "Tab");
        await readyFor(page, "#lab?rate=5");
        assert.notDeepEqual(await headline(page), before);
        await page.fill("#set-ttl", "-1");
        await page.press("#set-ttl", "Tab");
        await page.waitForSelector("#problem:not([hidden])");
        assert.match(await page.textContent("#problem"), /Time to live must be a number from 0.50 to 600/);
        assert.equal(await page.getAttribute("#set-ttl", "aria-invalid"), "true");
      },
    }));

  test("a run can be cancelled, stepped and played", () =>
    open(files.url, {
      run: async (page) => {
        await ready(page);
        await page.click("#step");
        assert.equal(await page.textContent("#clock"), "1 s");
        await page.click("#step");
        assert.equal(await page.textContent("#clock"), "2 s");
        await page.selectOption("#speed", "60");
        await page.click("#play");
        await page.waitForFunction(() => document.querySelector("#clock").textContent === "120 s");
        await page.evaluate(() => {
          /** @type {any} */ (document.querySelector("#set-duration")).value = "3600";
          /** @type {any} */ (document.querySelector("#set-rate")).value = "2000";
          /** @type {any} */ (document.querySelector("#run")).click();
        });
        await page.click("#cancel");
        await page.waitForFunction(() => document.querySelector("#status").textContent.startsWith("Cancelled"));
      },
    }));

  test("the results can be downloaded as CSV and PNG", () =>
    open(files.url, {
      run: async (page) => {
        await ready(page);
        for (const [button, name] of [
          ["#csv", "xfetch-edge.csv"],
          ["#png", "xfetch-edge.png"],
        ]) {
          const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
          assert.equal(download.suggestedFilename(), name);
          assert.ok(readFileSync(await download.path()).length > 1_000);
        }
      },
    }));

  test("each view keeps its state, and of several runs the last one is shown", () =>
    open(`${files.url}#live`, {
      run: async (page) => {
        assert.equal(new URL(page.url()).hash, "#live");
        await page.waitForFunction(() => /No Worker answers/.test(document.querySelector("#live-status").textContent));
        await page.click("#to-lab");
        await ready(page);
        assert.equal(await page.isVisible("#lab"), true);
        await page.click('[data-preset="rare"]');
        await page.click('[data-preset="tail"]');
        await page.click('[data-preset="rare"]');
        await readyFor(page, "#lab?rate=0.5&duration=600");
        assert.match(await page.textContent("#statement"), /arrived in 600 s/);
        await page.click("#to-live");
        await page.click("#to-lab");
        assert.equal(new URL(page.url()).hash, "#lab?rate=0.5&duration=600");
        assert.match(await page.textContent("#statement"), /arrived in 600 s/);
      },
      allow: /404/,
    }));

  for (const settings of [
    "keys=5000&zipf=0",
    "ttl=600&rate=10&duration=600",
    "delta=20&ttl=60&origin_timeout=20",
    "failing=1",
    "rate=0.05&duration=10",
  ]) {
    test(`settings at the end of their range: ${settings}`, () =>
      open(`${files.url}#lab?${settings}`, {
        run: async (page) => {
          await ready(page);
          assert.equal(await page.isHidden("#problem"), true);
          assert.equal(await page.$$eval("#laws canvas", (all) => all.length), 4);
          const words = (await page.textContent("#statement")) + (await page.textContent("#law-words"));
          assert.ok(!/NaN|undefined|Infinity|null/.test(words), words);
        },
      }));
  }

  for (const scheme of /** @type {("light" | "dark")[]} */ (["light", "dark"])) {
    for (const width of WIDTHS) {
      test(`fits ${width} pixels, ${scheme}`, () =>
        open(files.url, {
          width,
          scheme,
          run: async (page) => {
            await ready(page);
            assert.ok(
              await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
              "it scrolls sideways",
            );
            await accessible(page);
            await shot(page, `lab-${scheme}-${width}`);
          },
        }));
    }
  }

  test("says that no Worker answers", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${files.url}#live`);
    await page.waitForFunction(() => /No Worker answers here/.test(document.querySelector("#live-status").textContent));
    await context.close();
  });
});

describe("the live view, served by the Worker", () => {
  let worker;
  before(async () => {
    worker = await serveWorker();
  });
  after(() => worker?.close());

  test("the page has a strict Content-Security-Policy, and unknown paths get problem documents", async () => {
    const page = await fetch(worker.url);
    assert.match(
      page.headers.get("content-security-policy"),
      /default-src 'none'; script-src 'self' 'wasm-unsafe-eval'/,
    );
    const unknown = await fetch(`${worker.url}nothing`);
    assert.deepEqual([unknown.status, unknown.headers.get("content-type")], [404, "application/problem+json"]);
  });

  test("page, package, crate and Worker show the same version", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const crate = /^version = "([^"]+)"/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8"))[1];
    const health = await fetch(`${worker.url}_xfetch/health`, { headers: { authorization: `Bearer ${TOKEN}` } });
    assert.equal((await health.json()).version, version);
    assert.equal(crate, version);
    await open(worker.url, {
      run: async (page) => assert.equal(await page.textContent("#version"), `xfetch-edge ${version}`),
    });
  });

  test("a burst at this server costs one computation, and the page shows the entry's state", () =>
    open(`${worker.url}#live`, {
      run: async (page) => {
        await signIn(page);
        await page.fill(
          "#question",
          JSON.stringify({ home_team: "Arsenal", away_team: "Chelsea", match_date: `page-${Date.now()}` }),
        );
        await page.click("#burst");
        await page.waitForFunction(
          () => /computations?\./.test(document.querySelector("#burst-words").textContent),
          undefined,
          { timeout: 30_000 },
        );
        assert.match(
          await page.textContent("#burst-words"),
          /100 of 100 succeeded, with one and the same body.* 1 computation\./,
        );
        await page.waitForFunction(() => /Fresh for/.test(document.querySelector("#life-words").textContent));
        assert.match(await page.textContent("#origin-words"), /calls?/);
        await page.click("#soft");
        await page.waitForFunction(() => /Stale from now on/.test(document.querySelector("#purge-words").textContent));
        await page.waitForFunction(() => /Stale for/.test(document.querySelector("#life-words").textContent));
        await accessible(page);
        await shot(page, "live-light-1280");
      },
    }));

  test("a request by GET can be chosen, with its own path and query", () =>
    open(`${worker.url}#live`, {
      run: async (page) => {
        await signIn(page);
        await page.selectOption("#path", "GET /api/v1/brain/fixtures");
        assert.equal(await page.inputValue("#question"), "/api/v1/brain/fixtures");
        await page.fill("#question", "/elsewhere");
        await page.click("#burst");
        assert.match(await page.textContent("#burst-words"), /The path must be/);
        await page.fill("#question", `/api/v1/brain/fixtures?team=Arsenal&page=${Date.now() % 1_000_000}`);
        await page.click("#burst");
        await page.waitForFunction(
          () => / 1 computation\./.test(document.querySelector("#burst-words").textContent),
          undefined,
          { timeout: 30_000 },
        );
        await page.waitForFunction(() => /Fresh for/.test(document.querySelector("#life-words").textContent));
        await page.selectOption("#path", "QUERY /api/v1/brain/calculate");
        assert.match(await page.inputValue("#question"), /home_team/);
        await page.click("#hard");
        await page.waitForFunction(() => /Gone/.test(document.querySelector("#purge-words").textContent));
        await shot(page, "live-get-1280");
      },
    }));

  test("a credential is sent with each request of a burst, and a tenant's entry is shown", () =>
    open(`${worker.url}#live`, {
      run: async (page) => {
        await signIn(page);
        await page.selectOption("#path", "POST /api/v1/brain/forecast");
        await page.fill("#count", "5");
        await page.fill("#tenant", "acme");
        await page.click("#burst");
        await page.waitForFunction(() => /0 of 5 succeeded/.test(document.querySelector("#burst-words").textContent));
        assert.match(await page.textContent("#burst-answers"), /needs a credential in the header x-api-key/);
        await page.fill("#credential", "x-api-key: demo-key-acme");
        await page.click("#burst");
        await page.waitForFunction(
          () =>
            /5 of 5 succeeded, with one and the same body.* 1 computation\./.test(
              document.querySelector("#burst-words").textContent,
            ),
          undefined,
          { timeout: 30_000 },
        );
        await page.waitForFunction(() => /Fresh for/.test(document.querySelector("#life-words").textContent));
        await page.fill("#tenant", "globex");
        await page.waitForFunction(() => /Nothing is stored/.test(document.querySelector("#life-words").textContent));
        await page.fill("#tenant", "");
        await page.waitForFunction(() => /say which tenant's/.test(document.querySelector("#life-words").textContent));
        await accessible(page);
        await shot(page, "live-credential-1280");
      },
      allow: /401 \(Unauthorized\).*forecast/,
    }));

  test("the OpenAPI description is served, and the Worker behaves as it says", async () => {
    const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
    const document = await (await fetch(`${worker.url}_xfetch/openapi.json`, { headers })).json();
    assert.equal(document.openapi, "3.1.0");
    assert.equal((await fetch(`${worker.url}_xfetch/openapi.json`)).status, 401);
    const question = { home_team: "Arsenal", away_team: "Chelsea", match_date: "openapi" };
    const subject = { path: "/api/v1/brain/calculate", body: question };
    const bodies = { calculate: question, purge: subject, inspect: subject, explain: subject };
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { operationId, responses, security }] of Object.entries(methods)) {
        const ask = (change) =>
          fetch(worker.url + path.slice(1), {
            method: method.toUpperCase(),
            headers,
            body: bodies[operationId] && JSON.stringify(bodies[operationId]),
            ...change,
          });
        // The token is a credential: with it, a request to a cached route would bypass the cache.
        const good = await ask(security?.length === 0 ? { headers: { "content-type": "application/json" } } : {});
        assert.ok(good.ok && String(good.status) in responses, `${method} ${path}: ${good.status}`);
        const types = Object.keys(responses[good.status].content ?? {});
        assert.ok(
          types.length === 0 || types.some((it) => good.headers.get("content-type").startsWith(it)),
          `${method} ${path}`,
        );
        if (security === undefined) assert.equal((await ask({ headers: {} })).status, 401, path);
        const wrong = await fetch(worker.url + path.slice(1), { method: "DELETE", headers });
        assert.equal(wrong.status, 405, path);
        if (bodies[operationId])
          assert.equal(
            (
              await ask({
                body: "{",
                headers: security?.length === 0 ? { "content-type": "application/json" } : headers,
              })
            ).status,
            400,
            path,
          );
      }
    }
  });

  test("a wrong token and a wrong body are refused with a sentence", async () => {
    const context = await browser.newContext({ viewport: { width: 360, height: 800 }, colorScheme: "dark" });
    const page = await context.newPage();
    await page.goto(`${worker.url}#live`);
    await page.waitForSelector("#live-parts:not([hidden])");
    await page.fill("#token", "not the token");
    await page.click("#admin button");
    await page.waitForFunction(() => /visible ASCII/.test(document.querySelector("#token-words").textContent));
    await page.fill("#question", "{");
    await page.click("#burst");
    assert.match(await page.textContent("#burst-words"), /not JSON/);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it scrolls sideways");
    await shot(page, "live-dark-360");
    await context.close();
  });
});
