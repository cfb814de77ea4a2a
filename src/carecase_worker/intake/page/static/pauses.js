/** Pauses, and what is repeated after them. */

/** The seconds before a stream of events that has ended, or broken off, is connected anew. */
export const CONNECT_ANEW_S = 0.5;
const LONGEST_S = 15;

/** Wait for some seconds. Rejects as soon as `signal` is aborted. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Return the seconds before an attempt is repeated: what the service says, else 1, 2, 4 … 15. */
export function pauseAfter(fault, attempt) {
  return fault.retryAfterS ?? Math.min(2 ** attempt, LONGEST_S);
}

/** Do something until it succeeds: after a fault that passes it is done again. `onWait` gets fault and seconds. */
export async function patiently(act, { signal, onWait = () => {} } = {}) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await act();
    } catch (fault) {
      if (signal?.aborted || !fault.passes) throw fault;
      const seconds = pauseAfter(fault, attempt);
      onWait(fault, seconds);
      await pause(seconds, signal);
    }
  }
}

/** Let the browser draw and react, before work goes on. */
export const breathe = () => new Promise((resolve) => setTimeout(resolve));

/** Wait until somebody looks at the page. */
export const untilVisible = (signal) => untilHiddenIs(false, signal);

/** Wait until nobody looks at the page. */
export const untilHidden = (signal) => untilHiddenIs(true, signal);

function untilHiddenIs(wanted, signal) {
  if (document.hidden === wanted) return Promise.resolve();
  return new Promise((resolve, reject) => {
    document.addEventListener("visibilitychange", () => resolve(), { once: true, signal });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
