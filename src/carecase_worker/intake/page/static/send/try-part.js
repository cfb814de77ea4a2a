/** The step that tries a file against the database: what would become of each case, with nothing applied (a dry run). */

import { element, setText } from "../dom.js";
import { anotherKey } from "../files/key.js";
import { counted, number } from "../format.js";
import { faultsTable } from "../jobs/faults-table.js";
import { verdictOf, whatWouldBe, wouldBePart } from "../jobs/would-be.js";
import { showFault } from "../notice.js";
import { jobAddress } from "../router.js";
import { step } from "./step.js";
import { uploading } from "./uploading.js";

/** Make the step; it is hidden until `show`. `onTried` is called once it is known what would become of the file. */
export function tryPart({ api, sent, announce }, { file, format, signal, onUpload, onTried }) {
  const upload = uploading(api, { file, format, signal, onUpload });
  const button = element("button", { type: "button", class: "primary", on: { click: run } }, "Try against the database");
  const verdict = element("p", { class: "lead", role: "status" });
  const shown = wouldBePart();
  const faults = faultsTable("What would be refused, by field and rule");
  const more = element("p", { class: "small" });
  const result = element("div", { hidden: true }, shown.node, faults.node, more);
  const node = step(4, "Try it", element("p", { class: "small" },
    "A dry run: each case is held to the rules and to what is in the database, as if it were sent, and all of it is taken back. Nothing is changed."),
  element("div", { class: "row" }, button, upload.stop), ...upload.nodes, verdict, result);
  node.hidden = true;
  let target = null;

  async function run() {
    button.disabled = true;
    result.hidden = true;
    setText(verdict, "");
    // each try is a new one: the database may have changed since the last
    const isDone = await upload.run(target, { keyFor: anotherKey, dryRun: true, onJob: watched, stopped: "Stopped. A dry run that had already begun goes on, and changes nothing." });
    button.disabled = false;
    if (isDone) {
      setText(button, "Try again");
      button.classList.remove("primary");
      onTried();
    }
  }
  async function watched({ job: { jobId } }, left) {
    sent.set(jobId, { file, format, target, repeated: false });
    more.replaceChildren("It is kept as ", element("a", { href: jobAddress(jobId) }, "a job of its own"), ", with the items that would be refused to download.");
    const { job, found } = await whatWouldBe(api, jobId, { signal: left, onEvent: progress, onWait: (fault, seconds) => showFault(upload.notices, fault, seconds) });
    progress(job, found);
    setText(upload.status, "");
    setText(verdict, `${verdictOf(found)}${target.strict && found.counts.failed ? " All items or none: as it is, none would be applied." : ""}`);
    announce("The dry run has ended.");
  }
  function progress(job, found) {
    upload.notices.clear();
    if (job) setText(upload.status, `${number(job.processed)} of ${counted(job.total, "item")} tried …`);
    result.hidden = false;
    shown.update(found);
    faults.node.hidden = !found.groups.items;
    faults.update(found.groups);
  }

  return {
    node,
    show(to) {
      target = to;
      node.hidden = false;
      button.focus();
    },
  };
}
