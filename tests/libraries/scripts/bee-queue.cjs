// Bee-Queue: jobs, jobs for later, retries, and its own health check.
const assert = require("assert");
const Queue = require("bee-queue");

async function main() {
  const queue = new Queue("mail", { redis: process.argv[2], activateDelayedJobs: true });
  const done = [];
  const failed = new Set();
  queue.process(async (job) => {
    if (job.data.number === 13 && !failed.has(13)) {
      failed.add(13);
      throw new Error("not yet");
    }
    done.push(job.data.number);
    return job.data.number;
  });
  for (let number = 0; number < 10; number++) await queue.createJob({ number }).save();
  await queue.createJob({ number: 12 }).delayUntil(Date.now() + 200).save();
  await queue.createJob({ number: 13 }).retries(3).save();
  await queue.saveAll([14, 15].map((number) => queue.createJob({ number })));
  const end = Date.now() + 20000;
  while (done.length < 14 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepStrictEqual([...done].sort((a, b) => a - b), [...Array(10).keys(), 12, 13, 14, 15]);
  const health = await queue.checkHealth();
  assert.strictEqual(health.waiting, 0);
  await queue.checkStalledJobs();
  await queue.destroy();
  await queue.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
