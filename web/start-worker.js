// Starts the worker's program. Messages that come before it listens wait for it.
const early = [];
self.onmessage = (event) => early.push(event);
self.flush = () => early.splice(0).forEach((event) => self.onmessage(event));
// Of all tabs one keeps its runs: the others would write over them. A tab that is loaded anew waits
// a moment for its own former worker.
self.keeps = new Promise((resolve) => {
  if (!navigator.locks) return resolve(true);
  const hold = () => (resolve(true), new Promise(() => {}));
  navigator.locks.request("nitp", { signal: AbortSignal.timeout(2000) }, hold).catch(() => resolve(false));
});
// A visitor seldom needs this program.
self.exchange = async () => {
  const { default: start, answer } = await import("./exchange.js");
  await start();
  return answer;
};
const { default: start } = await import("./worker.js");
await start();
