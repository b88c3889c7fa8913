// BullMQ: a queue, and in another process a worker.
const { Queue, Worker } = require("bullmq");
const { note, produce, url } = require("./notes.cjs");

const { hostname: host, port } = new URL(url);
// "resend": it is told to take LOADING for a lost connection.
const [role, kind] = process.argv.slice(2);
const resend = { reconnectOnError: (error) => (error.message.startsWith("LOADING") ? 2 : false) };
const connection = { host, port: Number(port), ...(kind === "resend" ? resend : {}) };
const name = `outage-${kind}`;
if (role === "worker") {
  const worker = new Worker(name, async (job) => note("ran", job.data.number), {
    connection: { ...connection, maxRetriesPerRequest: null },
  });
  worker.on("error", (error) => note("trouble", 0, error));
} else {
  const queue = new Queue(name, { connection });
  queue.on("error", (error) => note("trouble", 0, error));
  produce((number) => queue.add("run", { number }));
}
