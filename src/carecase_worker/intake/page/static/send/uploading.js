/** The upload of a file: its bar, its status, and the button that stops it. */

import { element, setText } from "../dom.js";
import { keyOf } from "../files/key.js";
import { sent as sendFile } from "../files/send.js";
import { bytes } from "../format.js";
import { noticePlace, showFault } from "../notice.js";

/** Make the upload. `notices` is where faults are shown, `status` where it says how far it is; `onUpload` is told when it begins and ends. */
export function uploading(api, { file, format, signal, onUpload }) {
  const notices = noticePlace();
  const bar = element("progress", { max: file.size, value: 0, hidden: true, "aria-label": "Bytes sent" });
  const status = element("p", { class: "small", role: "status" });
  const stop = element("button", { type: "button", hidden: true }, "Stop");

  /** Send the file to a target, under the key that `keyFor` makes of its own. Returns its job, and if it was there before. */
  async function delivered(target, { keyFor, dryRun, left }) {
    setText(status, "Reading the file …");
    const key = keyFor(await keyOf(file, { target, mapping: format.mapping }, { signal: left }));
    return sendFile(api, { file, format, target, key, dryRun }, {
      signal: left,
      onProgress(loaded) {
        notices.clear();
        bar.value = loaded;
        setText(status, loaded < file.size ? `${bytes(loaded)} of ${bytes(file.size)}` : "Sent. The service is putting it on disk …");
      },
      onWait: (fault, seconds) => showFault(notices, fault, seconds),
    });
  }
  function running(isRunning) {
    stop.hidden = bar.hidden = !isRunning;
    if (isRunning) notices.clear();
  }

  return {
    stop,
    notices,
    status,
    nodes: [bar, status, notices.node],
    /** Send the file, then go on with `onJob`. Returns false if it was stopped, or something failed, which is shown. */
    async run(target, { keyFor, dryRun = false, onJob, stopped = "" }) {
      const own = new AbortController();
      const left = AbortSignal.any([signal, own.signal]);
      stop.onclick = () => own.abort();
      running(true);
      onUpload(own, true);
      try {
        const job = await delivered(target, { keyFor, dryRun, left }).finally(() => onUpload(own, false));
        await onJob(job, left);
        return true;
      } catch (fault) {
        if (signal.aborted) return false;
        setText(status, own.signal.aborted ? stopped : "");
        if (!own.signal.aborted) showFault(notices, fault, null);
        return false;
      } finally {
        running(false);
      }
    },
  };
}
