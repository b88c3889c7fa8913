// Bull: jobs, priorities, jobs for later, retries, pauses, and cleaning up.
const assert = require("assert");
const Bull = require("bull");

async function main() {
  const queue = new Bull("letters", process.argv[2]);
  queue.process(async (job) => {
    if (job.name === "__default__" && job.data.number === 13 && job.attemptsMade < 2) throw new Error("not yet");
    return job.data.number;
  });
  const jobs = [];
  for (let number = 0; number < 10; number++) jobs.push(await queue.add({ number }, number % 2 ? { priority: number } : {}));
  jobs.push(await queue.add({ number: 12 }, { delay: 200 }));
  jobs.push(await queue.add({ number: 13 }, { attempts: 5, backoff: 50 }));
  const results = await Promise.all(jobs.map((job) => job.finished()));
  assert.deepStrictEqual(results, [...Array(10).keys(), 12, 13]);
  await queue.pause();
  await queue.add({ number: 50 });
  await queue.resume();
  await queue.clean(0, "completed");
  await queue.empty();
  await queue.close();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
