// The worked examples of docs/examples.md, with their own settings and the real clients, against a scripted origin.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { unstable_readConfig as readConfig } from "wrangler";

import { startRuntime } from "../../scripts/runtime.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const installed = createRequire(join(root, "tests", "clients", "package.json"));
/** @param {string} name */
const load = (name) => import(pathToFileURL(installed.resolve(name)).href);

const samples = [...readFileSync(join(root, "docs", "examples.md"), "utf8").matchAll(/^```toml\n(.*?)^```/gms)].map(
  ([, text]) => text,
);
const KEYS = { red: "team-red-key", blue: "team-blue-key" };
const digests = Object.fromEntries(
  Object.entries(KEYS).map(([team, key]) => [team, createHash("sha256").update(key).digest("hex")]),
);

/** The settings of a sample, as `wrangler` reads them. */
function settingsOf(/** @type {string} */ sample) {
  const folder = mkdtempSync(join(tmpdir(), "xfetch-example-"));
  try {
    writeFileSync(join(folder, "wrangler.toml"), `name = "x"\nmain = "x.js"\n${sample}`);
    writeFileSync(join(folder, "x.js"), "");
    return readConfig({ config: join(folder, "wrangler.toml") }).vars;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("worked examples", () => {
  /** @type {{ url: string | undefined, headers: any, body: any }[]} */
  let asked = [];
  /** @type {(request: { url: string | undefined, body: any }) => { headers?: any, body: any }} */
  let answer = () => ({ body: {} });
  /** @type {any[]} */
  const runtimes = [];
  let url = "";
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const seen = { url: request.url, headers: request.headers, body: JSON.parse(String(Buffer.concat(chunks))) };
    asked.push(seen);
    const { headers = {}, body } = answer(seen);
    response.writeHead(200, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  });

  before(async () => {
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  });
  after(async () => {
    for (const runtime of runtimes) await runtime.stop();
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    asked = [];
  });

  async function start(/** @type {string} */ sample) {
    const vars = {
      ...settingsOf(sample),
      ORIGIN_URL: url,
      API_KEYS: JSON.stringify(digests),
      ORIGIN_HEADERS: JSON.stringify({ authorization: "Bearer the-provider's-key" }),
    };
    const runtime = await startRuntime({ vars });
    runtimes.push(runtime);
    return runtime.url;
  }

  test("an inference API, by the client openai", async () => {
    const { default: OpenAI } = await load("openai");
    const base = await start(samples[0]);
    const client = (/** @type {string} */ apiKey) => new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });
    let calls = 0;
    answer = ({ url: path, body }) => {
      calls += 1;
      return path === "/v1/embeddings"
        ? {
            body: {
              object: "list",
              model: body.model,
              data: [
                {
                  object: "embedding",
                  index: 0,
                  embedding: Buffer.from(new Float32Array([1, 2]).buffer).toString("base64"),
                },
              ],
              usage: { prompt_tokens: 1, total_tokens: 1 },
            },
          }
        : {
            body: {
              id: `answer-${calls}`,
              object: "chat.completion",
              created: 0,
              model: body.model,
              choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: `hello ${calls}` } }],
            },
          };
    };
    const asks = (/** @type {any} */ of, more = {}) =>
      of.chat.completions.create({
        model: "m",
        messages: [{ role: "user", content: "Hi" }],
        temperature: 1e-3,
        ...more,
      });
    const [red, blue] = [client(KEYS.red), client(KEYS.blue)];
    const first = await asks(red);
    assert.equal(first.choices[0].message.content, "hello 1");
    assert.equal((await asks(red)).id, first.id, "the same from the cache");
    assert.notEqual((await asks(blue)).id, first.id, "each team has its own");
    assert.notEqual((await asks(red, { seed: 7 })).id, first.id);
    assert.equal(asked.length, 3);
    assert.ok(asked.every(({ headers }) => headers.authorization === "Bearer the-provider's-key"));
    await assert.rejects(asks(red, { stream: true }), /stream/);
    await assert.rejects(asks(client("no-key")), (error) => /** @type {any} */ (error).status === 401);
    assert.equal(asked.length, 3);
    const embed = (/** @type {any} */ of) => of.embeddings.create({ model: "e", input: ["text", "more"] });
    assert.deepEqual((await embed(red)).data[0].embedding, [1, 2]);
    assert.deepEqual((await embed(blue)).data[0].embedding, [1, 2]);
    assert.equal(asked.length, 4, "all teams share embeddings");
  });

  test("GraphQL, by the client graphql-request", async () => {
    const { GraphQLClient, gql } = await load("graphql-request");
    const base = await start(samples[1]);
    const client = (/** @type {string} */ key) =>
      new GraphQLClient(`${base}/graphql/queries`, { headers: { "x-api-key": key } });
    answer = ({ body }) =>
      body.variables?.id === "broken"
        ? { headers: { "cache-control": "no-store" }, body: { errors: [{ message: "no such user" }] } }
        : { body: { data: { user: { id: body.variables.id, call: asked.length } } } };
    const query = gql`
      query User($id: ID!, $lang: String) {
        user(id: $id, lang: $lang) {
          id
          call
        }
      }
    `;
    const [red, blue] = [client(KEYS.red), client(KEYS.blue)];
    const first = await red.request(query, { id: "1", lang: "de" });
    assert.deepEqual(await red.request(query, { lang: "de", id: "1" }), first, "variables in any order");
    assert.notDeepEqual(await red.request(query, { id: "2" }), first);
    assert.notDeepEqual(await blue.request(query, { id: "1", lang: "de" }), first);
    assert.deepEqual(
      asked.map(({ headers }) => headers["x-tenant"]),
      ["red", "red", "blue"],
    );
    for (let place = 0; place < 2; place += 1) {
      await assert.rejects(red.request(query, { id: "broken" }), /no such user/);
    }
    assert.equal(asked.length, 5, "an error is not stored");
    await assert.rejects(client("no-key").request(query, { id: "1" }), /not known here/);
  });
});
