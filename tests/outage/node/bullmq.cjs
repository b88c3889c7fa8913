// BullMQ: a queue, and in another process a worker.
const { Queue, Worker } = require("bullmq");
const { note, produce, url } = require("./notes.cjs");

const { hostname: host, port } = new URL(url);
const connection = { host, port: Number(port) };
if (process.argv[2] === "worker") {
  const worker = new Worker("outage", async (job) => note("ran", job.data.number), {
    connection: { ...connection, maxRetriesPerRequest: null },
  });
  worker.on("error", (error) => note("trouble", 0, error));
} else {
  const queue = new Queue("outage", { connection });
  queue.on("error", (error) => note("trouble", 0, error));
  produce((number) => queue.add("run", { number }));
}
