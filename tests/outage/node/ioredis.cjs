// ioredis by itself: pushes to a list. "resend": it is told to take LOADING for a lost connection.
const Redis = require("ioredis");
const { note, produce, url } = require("./notes.cjs");

const resend = process.argv[2] === "resend";
const options = resend ? { reconnectOnError: (error) => (error.message.startsWith("LOADING") ? 2 : false) } : {};
const client = new Redis(url, options);
client.on("error", (error) => note("trouble", 0, error));
produce((number) => client.rpush(`outage:ioredis-${resend ? "resend" : "plain"}`, number));
