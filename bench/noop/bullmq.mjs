// BullMQ's side of bench.throughput: `worker` takes jobs, one at a time; `producer` obeys lines of JSON on stdin.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

// The package lies where the bench has installed it, not beside this file.
const { Queue, QueueEvents, Worker } = createRequire(process.env.NOOP_NODE_ROOT + "/")("bullmq");
const at = new URL(process.env.NOOP_REDIS_URL);
const connection = { host: at.hostname, port: Number(at.port), db: Number(at.pathname.slice(1)), maxRetriesPerRequest: null };
const data = { message: "hello" };
const seconds = (began) => Number(process.hrtime.bigint() - began) / 1e9;

if (process.argv[2] === "worker") {
  new Worker("noop", async (job) => ({ message: job.data.message }), { connection, concurrency: 1 });
} else {
  const queue = new Queue("noop", { connection });
  const events = new QueueEvents("noop", { connection });
  await events.waitUntilReady();
  const orders = {
    async submit({ count, bulk }) {
      const began = process.hrtime.bigint();
      if (bulk) {
        for (let left = count; left > 0; left -= 1000) {
          await queue.addBulk(Array.from({ length: Math.min(left, 1000) }, () => ({ name: "ping", data })));
        }
      } else {
        for (let n = 0; n < count; n += 1) await queue.add("ping", data);
      }
      return seconds(began);
    },
    finished: () => queue.getCompletedCount(),
    async round_trips({ count, pause_s }) {
      const took = [];
      for (let n = 0; n < count; n += 1) {
        const began = process.hrtime.bigint();
        await (await queue.add("ping", data)).waitUntilFinished(events);
        took.push(seconds(began));
        await new Promise((resolve) => setTimeout(resolve, 1000 * pause_s));
      }
      return took;
    },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    process.stdout.write(JSON.stringify(await orders[order.do](order)) + "\n");
  }
  process.exit(0);
}
