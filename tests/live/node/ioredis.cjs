// ioredis against the server whose URL is given. Its defaults, but that it gives up when it cannot connect.
"use strict";

const assert = require("node:assert/strict");
const Redis = require("ioredis");
const { run, soon } = require("./check.cjs");

const url = process.argv[2];
const keys = Array.from({ length: 50 }, (_, n) => `key:${n}`);

const checks = {
  async strings(redis) {
    assert.equal(await redis.set("k", "v", "EX", 100), "OK");
    assert.equal(await redis.get("k"), "v");
    assert.equal(await redis.get("none"), null);
    assert.deepEqual(await redis.getBuffer("k"), Buffer.from("v"));
    assert.equal(await redis.set("k", "w", "NX"), null);
    await assert.rejects(redis.lpush("k", 1), /^ReplyError: WRONGTYPE/);
  },

  async many(redis) {
    assert.equal(await redis.mset(...keys.flatMap((key) => [key, `v${key}`])), "OK");
    assert.deepEqual(await redis.mget(...keys, "none"), [...keys.map((key) => `v${key}`), null]);
    assert.equal(await redis.exists(...keys), 50);
    assert.equal(await redis.del(...keys), 50);
  },

  async types(redis) {
    assert.equal(await redis.hset("h", { a: 1, b: 2 }), 2);
    assert.deepEqual(await redis.hgetall("h"), { a: "1", b: "2" });
    assert.equal(await redis.zadd("z", 1.5, "a", 2, "b"), 2);
    assert.deepEqual(await redis.zrange("z", 0, -1, "WITHSCORES"), ["a", "1.5", "b", "2"]);
    assert.equal(await redis.sadd("s", "a", "b"), 2);
    assert.deepEqual((await redis.smembers("s")).sort(), ["a", "b"]);
  },

  async pipeline(redis) {
    const pipe = redis.pipeline();
    keys.forEach((key) => pipe.set(key, key).get(key));
    pipe.lpush(keys[0], 1);
    const said = await pipe.exec();
    assert.deepEqual(said.slice(0, 100).map(([error, value]) => error || value), keys.flatMap((key) => ["OK", key]));
    assert.match(said[100][0].message, /^WRONGTYPE/);
    const auto = redis.duplicate({ enableAutoPipelining: true });
    assert.deepEqual(await Promise.all(keys.map((key) => auto.get(key))), keys);
    auto.disconnect();
  },

  async transaction(redis) {
    const multi = redis.multi();
    keys.forEach((key) => multi.incr(key));
    assert.deepEqual(await multi.exec(), keys.map(() => [null, 1]));
    await redis.multi({ pipeline: false });
    assert.equal(await redis.set("a", 1), "QUEUED");
    assert.deepEqual(await redis.exec(), [[null, "OK"]]);
  },

  async watch(redis) {
    await redis.set("w", 1);
    await redis.watch("w");
    assert.deepEqual(await redis.multi().incr("w").exec(), [[null, 2]]);
    const other = redis.duplicate();
    await redis.watch("w");
    await other.set("w", 10);
    assert.equal(await redis.multi().incr("w").exec(), null);
    assert.equal(await redis.get("w"), "10");
    other.disconnect();
  },

  async pubsub(redis) {
    const listener = redis.duplicate();
    const [plain, keepPlain] = soon();
    const [pattern, keepPattern] = soon();
    listener.on("message", (channel, text) => keepPlain([channel, text]));
    listener.on("pmessage", (match, channel, text) => keepPattern([match, channel, text]));
    assert.equal(await listener.subscribe("news", "other"), 2);
    assert.equal(await listener.psubscribe("n*"), 3);
    assert.equal(await redis.publish("news", "hello"), 2);
    assert.deepEqual(await plain, ["news", "hello"]);
    assert.deepEqual(await pattern, ["n*", "news", "hello"]);
    assert.match(String(await listener.ping()), /^pong/i);
    assert.equal(await listener.unsubscribe("news", "other"), 1);
    assert.equal(await listener.punsubscribe("n*"), 0);
    assert.equal(await listener.set("k", "listens no more"), "OK");
    listener.disconnect();
  },

  async blocking(redis) {
    const waiting = redis.duplicate();
    const popped = waiting.blpop("{q}1", "{q}2", 10);
    await redis.rpush("{q}2", "late");
    assert.deepEqual(await popped, ["{q}2", "late"]);
    assert.equal(await waiting.blpop("{q}1", 0.01), null);
    assert.equal(await waiting.get("none"), null);
    waiting.disconnect();
  },

  async scan(redis) {
    await redis.mset(...keys.flatMap((key) => [key, 1]));
    const found = new Set();
    for await (const some of redis.scanStream({ match: "key:*", count: 10 })) some.forEach((key) => found.add(key));
    assert.deepEqual([...found].sort(), [...keys].sort());
  },

  async scripts(redis) {
    redis.defineCommand("twice", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1] * 2)" });
    for (const key of keys) assert.equal(await redis.twice(key, 2), 4);
    const pipe = redis.pipeline();
    keys.forEach((key) => pipe.twice(key, 1));
    assert.deepEqual(await pipe.exec(), keys.map(() => [null, 6]));
    assert.deepEqual(await redis.eval("return {KEYS[1], KEYS[2], ARGV[1]}", 2, "{t}a", "{t}b", "c"), ["{t}a", "{t}b", "c"]);
  },

  async streams(redis) {
    const first = await redis.xadd("x", "*", "f", "1");
    await redis.xgroup("CREATE", "x", "g", "0");
    const [[name, entries]] = await redis.xreadgroup("GROUP", "g", "me", "COUNT", 10, "STREAMS", "x", ">");
    assert.deepEqual([name, entries], ["x", [[first, ["f", "1"]]]]);
    assert.equal(await redis.xack("x", "g", first), 1);
    const waiting = redis.duplicate();
    const read = waiting.xread("BLOCK", 10000, "STREAMS", "x", first);
    const second = await redis.xadd("x", "*", "f", "2");
    assert.deepEqual(await read, [["x", [[second, ["f", "2"]]]]]);
    waiting.disconnect();
  },

  async database() {
    const [zero, three] = [new Redis(url), new Redis(url, { db: 3 })];
    await three.set("k", 3);
    assert.equal(await zero.get("k"), null);
    await zero.select(3);
    assert.equal(await zero.get("k"), "3");
    assert.match(await zero.info("server"), /redis_version/);
    await three.flushdb();
    [zero, three].forEach((redis) => redis.disconnect());
  },

  async quit(redis) {
    const other = redis.duplicate({ connectionName: "mine", lazyConnect: true });
    await other.connect();
    assert.equal(await other.client("GETNAME"), "mine");
    assert.equal(await other.quit(), "OK");
  },
};

const before = async () => {
  const redis = new Redis(url, { maxRetriesPerRequest: 0 });
  await redis.flushall();
  return redis;
};

run(checks, before, (redis) => redis.quit());
