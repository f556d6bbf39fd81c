// The documents: the targets of their links exist, and their samples work as described.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { unstable_readConfig as readConfig } from "wrangler";

import { FORECAST } from "../../examples/origin/routes.mjs";
import { ADMIN_TOKEN, inWorld } from "./world.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (name) => readFileSync(join(root, name), "utf8");

const below = (folder) =>
  readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, String(name)));
const documents = [...readdirSync(root), ...["docs", "bench", "examples", "npm", "templates"].flatMap(below)].filter(
  (name) => name.endsWith(".md") && !name.includes("node_modules"),
);

/** The anchors of a document's headings, as they are made on code-hosting sites. */
function anchors(text) {
  const headings = text.split("\n").filter((line) => /^#+ /.test(line));
  const slug = (line) =>
    line
      .replace(/^#+ /, "")
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-");
  return headings.map(slug);
}

/** The fenced samples of a document in one language. */
const samples = (text, language) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map((it) => it[1]);

describe("links", () => {
  for (const name of documents) {
    test(name, () => {
      const text = read(name);
      for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path, anchor] = target.split("#");
        const file = path === "" ? join(root, name) : resolve(root, dirname(name), path);
        assert.ok(existsSync(file), `${target} leads nowhere`);
        if (anchor)
          assert.ok(
            anchors(readFileSync(file, "utf8")).includes(anchor),
            `${relative(root, file)} has no heading ${anchor}`,
          );
      }
    });
  }
});

test("paths in the internal documents exist", () => {
  for (const name of documents.filter(
    (it) => it.startsWith("docs/internals") || it === "ARCHITECTURE.md" || it === "CONTRIBUTING.md",
  )) {
    for (const [, path] of read(name).matchAll(/`((?:src|tests|docs|bench|examples|scripts|www)\/[\w./-]+)`/g)) {
      assert.ok(existsSync(join(root, path)), `${name} names ${path}`);
    }
  }
});

test("the README has at most 150 lines", () => assert.ok(read("README.md").split("\n").length <= 150));

test("the sample of docs/embedding.md is the Rust template's code, which is compiled", () => {
  const example = read("templates/rust/src/lib.rs")
    .split("\n")
    .filter((line) => !line.startsWith("//!"));
  assert.equal(samples(read("docs/embedding.md"), "rust")[0].trim(), example.join("\n").trim());
});

test("every setting of the parser has a row in docs/settings.md", () => {
  const rows = read("docs/settings.md");
  const names = (file, list) =>
    [
      ...read(file)
        .match(new RegExp(`${list}[^=]*= \\[(.*?)\\];`, "s"))[1]
        .matchAll(/"([^"]+)"/g),
    ].map((it) => it[1]);
  for (const name of [...names("src/core/config/mod.rs", "SETTINGS"), ...names("src/core/config/route.rs", "NAMES")]) {
    assert.ok(rows.includes(`| \`${name}\``), `${name} has no row`);
  }
});

test("docs/metrics.md has every counter with its help text, and docs/http.md every error code", () => {
  const metrics = read("docs/metrics.md");
  const counters = [...read("src/isolate/metrics/counters.rs").matchAll(/^    \w+ "(\w+)" "(.+)\.",$/gm)];
  assert.ok(counters.length > 30, `${counters.length} counters`);
  for (const [, name, help] of counters) assert.ok(metrics.includes(`| \`${name}\` | ${help} |\n`), name);
  const http = read("docs/http.md");
  for (const [, code] of read("src/core/failure.rs").matchAll(/=> "(\w+)",/g)) {
    if (!["negative", "pass", "given_back"].includes(code)) assert.ok(http.includes(`\`${code}\``), code);
  }
});

test(
  "a refusal reads as docs/settings.md says",
  inWorld({ route: { ttl: "abc" } }, async ({ client }) => {
    const answer = await client.raw("GET", "/_xfetch/health");
    assert.equal(answer.status, 503);
    assert.ok(read("docs/settings.md").includes(JSON.parse(answer.text).detail), JSON.parse(answer.text).detail);
  }),
);

describe("the quick start", () => {
  const text = read("docs/quick-start.md");

  test(
    "its commands work",
    inWorld(
      // The routes of wrangler.toml, as `npm start` has them.
      {
        vars: {
          ROUTES: [
            ...readConfig({ config: fileURLToPath(new URL("../../wrangler.toml", import.meta.url)) }).vars.ROUTES,
            FORECAST,
          ],
          DIGEST_SECRET: "a-secret-of-this-test-0123456789abc",
        },
        origin: { latency: 20 },
      },
      async ({ runtime, origin }) => {
        const commands = [...samples(read("README.md"), "sh"), ...samples(text, "sh")].filter((it) =>
          it.includes("curl"),
        );
        assert.ok(commands.length >= 4);
        const places = [
          ["http://127.0.0.1:8787", runtime.url.replace(/\/$/, "")],
          ["http://127.0.0.1:8788", origin.url],
          ["$(sed -n 's/^ADMIN_TOKEN=//p' .dev.vars)", ADMIN_TOKEN],
        ];
        for (const command of commands) {
          const script = places
            .reduce((script, [from, to]) => script.replaceAll(from, to), command)
            .replaceAll("curl ", "curl --fail-with-body ");
          const child = await new Promise((done) => {
            execFile("bash", ["-ec", script], (error, stdout, stderr) => done({ error, stdout, stderr }));
          });
          assert.equal(child.error, null, `${script}\n${child.stdout}${child.stderr}`);
        }
      },
    ),
  );

  test("its settings are accepted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "xfetch-docs-"));
    try {
      writeFileSync(join(folder, "wrangler.toml"), `name = "x"\nmain = "x.js"\n${samples(text, "toml")[0]}`);
      writeFileSync(join(folder, "x.js"), "");
      const { vars } = readConfig({ config: join(folder, "wrangler.toml") });
      await inWorld({ vars }, async ({ client }) => {
        assert.equal((await client.raw("GET", "/_xfetch/health")).status, 200);
      })();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("the commands that documents name exist", () => {
  for (const name of documents) {
    // A template's document names the scripts of the template.
    const own = join(dirname(name), "package.json");
    const scripts = JSON.parse(read(name.startsWith("templates") ? own : "package.json")).scripts;
    for (const [, script] of read(name).matchAll(/`npm (?:run )?([a-z]+(?::[a-z]+)?)/g)) {
      if (["install", "ci", "create"].includes(script)) continue;
      assert.ok(script in scripts, `${name} names npm run ${script}`);
    }
  }
});
