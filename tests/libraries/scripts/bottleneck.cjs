// Bottleneck: a limiter that several processes share, and a group of them.
const assert = require("assert");
const Bottleneck = require("bottleneck");
const Redis = require("ioredis");

const { hostname: host, port } = new URL(process.argv[2]);
const options = { datastore: "ioredis", clearDatastore: true, clientOptions: { host, port: Number(port) }, Redis };

async function main() {
  const one = new Bottleneck({ ...options, id: "shop", maxConcurrent: 2, minTime: 5, reservoir: 100 });
  const two = new Bottleneck({ ...options, id: "shop", clearDatastore: false });
  for (const limiter of [one, two]) limiter.on("error", (error) => { console.error(error); process.exit(1); });
  await Promise.all([one.ready(), two.ready()]);
  const asked = [];
  for (let number = 0; number < 10; number++) asked.push((number % 2 ? one : two).schedule(async () => number));
  assert.deepStrictEqual(await Promise.all(asked), [...Array(10).keys()]);
  assert.strictEqual(await one.currentReservoir(), 90);
  assert.strictEqual(await two.running(), 0);
  const group = new Bottleneck.Group({ ...options, id: "each", maxConcurrent: 1 });
  group.on("error", (error) => { console.error(error); process.exit(1); });
  const keys = [...Array(10).keys()].map(String);
  assert.deepStrictEqual(await Promise.all(keys.map((key) => group.key(key).schedule(async () => key))), keys);
  assert.strictEqual((await group.clusterKeys()).length, 10);
  await Promise.all([one.disconnect(), two.disconnect(), group.disconnect()]);
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
