/** A value of the service that is looked at again and again. */

import { pause, pauseAfter, untilVisible } from "./pauses.js";

/**
 * Read a value until `signal` is aborted, or `onValue` returns true. While nobody looks at the page, nothing is read.
 * A fault that passes is told to `onFault` with the seconds until the next attempt, and `onValue` shows that it is over;
 * any other fault is told without seconds, and is the end.
 */
export async function watch(read, { everyS, signal, onValue, onFault }) {
  let failures = 0;
  try {
    for (;;) {
      await untilVisible(signal);
      try {
        if (onValue(await read())) return;
        failures = 0;
        await pause(everyS, signal);
      } catch (fault) {
        if (signal.aborted || !fault.passes) throw fault;
        const seconds = pauseAfter(fault, failures);
        failures += 1;
        onFault(fault, seconds);
        await pause(seconds, signal);
      }
    }
  } catch (fault) {
    if (!signal.aborted) onFault(fault, null);
  }
}
