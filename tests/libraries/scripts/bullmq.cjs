// BullMQ: jobs, priorities, jobs for later, repeated ones, retries, a flow, a rate limit, pauses, events, and cleaning up.
const assert = require("assert");
const { Queue, Worker, QueueEvents, FlowProducer } = require("bullmq");

const { hostname: host, port } = new URL(process.argv[2]);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function main() {
  const done = [];
  const work = async (job) => {
    if (job.name === "retry" && job.attemptsMade < 2) throw new Error("not yet");
    await job.updateProgress(50);
    done.push(job.data.number);
    return job.data.number;
  };
  const queue = new Queue("mail", { connection });
  const events = new QueueEvents("mail", { connection });
  await events.waitUntilReady();
  const worker = new Worker("mail", work, { connection, limiter: { max: 1000, duration: 1000 } });
  const jobs = [];
  for (let number = 0; number < 10; number++) jobs.push(await queue.add("run", { number }, number % 2 ? { priority: number } : {}));
  jobs.push(...(await queue.addBulk([10, 11].map((number) => ({ name: "run", data: { number } })))));
  jobs.push(await queue.add("later", { number: 12 }, { delay: 200 }));
  jobs.push(await queue.add("retry", { number: 13 }, { attempts: 5, backoff: 50 }));
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 20000)));
  assert.deepStrictEqual(results, [...Array(14).keys()]);
  const flow = new FlowProducer({ connection });
  const children = [20, 21, 22].map((number) => ({ name: "child", queueName: "mail", data: { number } }));
  const tree = await flow.add({ name: "parent", queueName: "mail", data: { number: 30 }, children });
  assert.strictEqual(await tree.job.waitUntilFinished(events, 20000), 30);
  await queue.upsertJobScheduler("beat", { every: 100, limit: 2 }, { name: "beat", data: { number: 40 } });
  while (done.filter((number) => number === 40).length < 2) await pause(50);
  await queue.pause();
  await queue.add("paused", { number: 50 });
  assert.strictEqual(await queue.getWaitingCount() + (await queue.getJobCountByTypes("paused")) >= 1, true);
  await queue.resume();
  while (!done.includes(50)) await pause(50);
  await queue.add("dedup", { number: 60 }, { deduplication: { id: "one" }, delay: 60000 });
  await queue.clean(0, 100, "completed");
  await worker.close();
  await queue.drain(true);
  await queue.obliterate({ force: true });
  await Promise.all([events.close(), flow.close(), queue.close()]);
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
