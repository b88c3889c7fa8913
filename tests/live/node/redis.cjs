// node-redis against the server whose URL is given, with the protocol that is given.
"use strict";

const assert = require("node:assert/strict");
const { createClient, defineScript, WatchError } = require("redis");
const { run, soon } = require("./check.cjs");

const [url, protocol] = process.argv.slice(2);
const keys = Array.from({ length: 50 }, (_, n) => `key:${n}`);

const twice = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1] * 2)",
  parseCommand(parser, key, number) {
    parser.pushKey(key);
    parser.push(String(number));
  },
  transformReply: undefined,
});
const options = { url, RESP: Number(protocol), unstableResp3: true, scripts: { twice }, socket: { reconnectStrategy: false } };

async function connected(client) {
  client.on("error", (error) => console.error(error));
  await client.connect();
  return client;
}

const checks = {
  async strings(client) {
    assert.equal(await client.set("k", "v", { EX: 100 }), "OK");
    assert.equal(await client.get("k"), "v");
    assert.equal(await client.get("none"), null);
    assert.equal(await client.set("k", "w", { NX: true }), null);
    await assert.rejects(client.lPush("k", "1"), /WRONGTYPE/);
  },

  async many(client) {
    assert.equal(await client.mSet(keys.map((key) => [key, `v${key}`])), "OK");
    assert.deepEqual(await client.mGet([...keys, "none"]), [...keys.map((key) => `v${key}`), null]);
    assert.equal(await client.exists(keys), 50);
    assert.equal(await client.del(keys), 50);
  },

  async types(client) {
    assert.equal(await client.hSet("h", { a: 1, b: 2 }), 2);
    assert.deepEqual({ ...(await client.hGetAll("h")) }, { a: "1", b: "2" });
    assert.equal(await client.zAdd("z", [{ score: 1.5, value: "a" }, { score: 2, value: "b" }]), 2);
    assert.deepEqual((await client.zRangeWithScores("z", 0, -1)).map(({ score }) => score), [1.5, 2]);
    assert.equal(await client.sAdd("s", ["a", "b"]), 2);
    assert.deepEqual([...(await client.sMembers("s"))].sort(), ["a", "b"]);
  },

  async pipeline(client) {
    // What is asked in one turn of the loop is sent as one pipeline.
    const said = await Promise.all(keys.flatMap((key) => [client.set(key, key), client.get(key)]));
    assert.deepEqual(said, keys.flatMap((key) => ["OK", key]));
    assert.deepEqual(await client.multi().set("a", "1").incr("a").execAsPipeline(), ["OK", 2]);
  },

  async transaction(client) {
    const multi = client.multi();
    keys.forEach((key) => multi.incr(key));
    assert.deepEqual(await multi.exec(), keys.map(() => 1));
    await assert.rejects(client.multi().set("a", "x").incr("a").exec(), /1 commands failed/);
  },

  async watch(client) {
    await client.set("w", "1");
    await client.watch("w");
    assert.deepEqual(await client.multi().incr("w").exec(), [2]);
    const other = await connected(client.duplicate());
    await client.watch("w");
    await other.set("w", "10");
    await assert.rejects(client.multi().incr("w").exec(), WatchError);
    assert.equal(await client.get("w"), "10");
    await other.close();
  },

  async pubsub(client) {
    const listener = await connected(client.duplicate());
    const [plain, keepPlain] = soon();
    const [pattern, keepPattern] = soon();
    await listener.subscribe("news", (text, channel) => keepPlain([channel, text]));
    await listener.pSubscribe("n*", (text, channel) => keepPattern([channel, text]));
    assert.equal(await client.publish("news", "hello"), 2);
    assert.deepEqual(await plain, ["news", "hello"]);
    assert.deepEqual(await pattern, ["news", "hello"]);
    assert.match(String(await listener.ping()), /^pong/i);
    await listener.unsubscribe("news");
    await listener.pUnsubscribe("n*");
    assert.equal(String(await listener.set("k", "listens no more")), "OK");
    await listener.close();
  },

  async blocking(client) {
    const waiting = await connected(client.duplicate());
    const popped = waiting.blPop(["{q}1", "{q}2"], 10);
    await client.rPush("{q}2", "late");
    assert.deepEqual({ ...(await popped) }, { key: "{q}2", element: "late" });
    assert.equal(await waiting.blPop("{q}1", 0.01), null);
    assert.equal(await waiting.get("none"), null);
    await waiting.close();
  },

  async scan(client) {
    await client.mSet(keys.map((key) => [key, "1"]));
    const found = new Set();
    for await (const some of client.scanIterator({ MATCH: "key:*", COUNT: 10 })) some.forEach((key) => found.add(key));
    assert.deepEqual([...found].sort(), [...keys].sort());
  },

  async scripts(client) {
    for (const key of keys) assert.equal(await client.twice(key, 2), 4);
    assert.deepEqual(await client.multi().twice("key:0", 1).twice("key:1", 1).exec(), [6, 6]);
    const said = await client.eval("return {KEYS[1], KEYS[2], ARGV[1]}", { keys: ["{t}a", "{t}b"], arguments: ["c"] });
    assert.deepEqual(said, ["{t}a", "{t}b", "c"]);
  },

  async streams(client) {
    const first = await client.xAdd("x", "*", { f: "1" });
    await client.xGroupCreate("x", "g", "0");
    const entries = await client.xReadGroup("g", "me", { key: "x", id: ">" }, { COUNT: 10 });
    // With RESP3 it hands on what the server said; with RESP2 it makes objects of it.
    assert.deepEqual(JSON.stringify(entries).match(/\d+-\d+/g), [first]);
    assert.equal(await client.xAck("x", "g", first), 1);
    const waiting = await connected(client.duplicate());
    const read = waiting.xRead({ key: "x", id: first }, { BLOCK: 10000 });
    const second = await client.xAdd("x", "*", { f: "2" });
    assert.deepEqual(JSON.stringify(await read).match(/\d+-\d+/g), [second]);
    await waiting.close();
  },

  async database(client) {
    const three = await connected(createClient({ ...options, database: 3 }));
    await three.set("k", "3");
    assert.equal(await client.get("k"), null);
    await client.select(3);
    assert.equal(await client.get("k"), "3");
    assert.match(await client.info("server"), /redis_version/);
    await three.flushDb();
    await three.close();
  },

  async quit(client) {
    const other = await connected(client.duplicate({ name: "mine" }));
    assert.equal(await other.clientGetName(), "mine");
    assert.equal(await other.quit(), "OK");
  },
};

const before = async () => {
  const client = await connected(createClient(options));
  await client.flushAll();
  return client;
};

run(checks, before, (client) => client.close());
