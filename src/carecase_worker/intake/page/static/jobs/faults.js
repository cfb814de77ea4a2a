/** The part of a final job's page about its failed items: their faults, and the file of them to mend. */

import { element, setText } from "../dom.js";
import { FileFault } from "../faults.js";
import { canBeChosenAgain } from "../files/drop.js";
import { canSplit, formatOf, mapped } from "../files/formats.js";
import { mappingChoice } from "../files/mapping.js";
import { counted, number, shortId } from "../format.js";
import { noticePlace, showFault } from "../notice.js";
import { failedItems, save } from "./downloads.js";
import { PAGE_ITEMS, pagesOf } from "./failures.js";
import { faultsTable } from "./faults-table.js";
import { FaultGroups } from "./groups.js";

const UNSPLIT = { "utf-16": "This browser cannot take a file in UTF-16 apart. Use carecase failed, or download without the file." };

/** Pages that are looked at before somebody asks for more: each is a request of the client's rate. */
const PAGES_AT_ONCE = 100;

/** Make the part; it begins to read. `onGroups` gets the groups as they grow. `source` is the file, if it is known. */
export function faultsPart({ api, job, source, signal, onGroups }) {
  const groups = new FaultGroups();
  const notices = noticePlace();
  const table = faultsTable("Failed items by field and rule");
  const summary = element("p", { class: "small", role: "status" });
  const more = element("button", { type: "button", hidden: true, on: { click: () => read() } }, "Look at the rest, too");
  let pagesRead = 0;

  async function read() {
    more.hidden = true;
    const enough = pagesRead + PAGES_AT_ONCE;
    try {
      for await (const page of pagesOf(api, job, { from: pagesRead + 1, signal })) {
        groups.add(page);
        pagesRead += 1;
        show();
        if (pagesRead >= enough) break;
      }
    } catch (fault) {
      if (!signal.aborted) showFault(notices, fault, null);
    }
    more.hidden = pagesRead * PAGE_ITEMS >= job.failed;
  }
  function show() {
    table.update(groups);
    setText(summary, groups.items < job.failed
      ? `${number(groups.items)} of ${counted(job.failed, "failed item")} looked at.`
      : `${counted(job.failed, "failed item")}. An item with several faults counts for each.`);
    onGroups(groups);
  }

  read();
  return element("section", { "aria-labelledby": "faults" }, element("h2", { id: "faults" }, "What failed"),
    notices.node, table.node, element("div", { class: "row" }, summary, more), downloadPart({ api, job, source, signal }));
}

function downloadPart({ api, job, source, signal }) {
  let [chosen, taken] = [source, null];
  const notices = noticePlace();
  const as = element("select", { id: "download-as" },
    element("option", { value: "ndjson" }, "NDJSON, a case a line"), element("option", { value: "csv" }));
  const mapping = mappingChoice(api, signal);
  const file = element("input", { type: "file", id: "sent-file", "aria-describedby": "sent-file-hint" });
  const hint = element("p", { class: "hint", id: "sent-file-hint" });
  const button = element("button", { type: "button" });

  const areBare = () => Boolean(chosen?.format.rows && !chosen.format.rows.hasHeader);
  function describe() {
    setText(as.options[1], areBare() ? "The rows as they are in the file" : "CSV, for a spreadsheet");
    setText(hint, chosen
      ? `The items come as they are in ${chosen.file.name}, each with its reason${areBare() && as.value === "csv" ? " only as NDJSON: the rows have no columns for it" : ""}.`
      : "The service does not keep what it has applied or refused. With the file, the items come as you sent them; without it, you get their keys and reasons.");
    setText(button, `Download ${counted(job.failed, "failed item")}`);
  }
  async function choose() {
    notices.clear();
    chosen = null;
    try {
      const plain = taken ? await formatOf(taken) : null;
      const format = plain && mapped(plain, await mapping.offer(plain));
      if (format && !canSplit(format)) throw new FileFault(UNSPLIT[format.charset] ?? "This browser cannot unpack .zst. Choose the file unpacked, or as .gz.");
      if (format) chosen = { file: taken, format };
    } catch (fault) {
      chosen = null;
      showFault(notices, fault, null);
    }
    describe();
  }
  async function download() {
    button.disabled = true;
    notices.clear();
    try {
      const onProgress = (count) => setText(button, `${number(count)} of ${number(job.failed)} …`);
      const extension = as.value === "ndjson" ? "ndjson" : areBare() ? "txt" : chosen?.format.form === "tsv" ? "tsv" : "csv";
      save(await failedItems(api, job, { source: chosen, as: as.value, signal, onProgress }), `failed-${shortId(job.jobId).slice(1)}.${extension}`);
    } catch (fault) {
      if (!signal.aborted) showFault(notices, fault, null);
    }
    button.disabled = false;
    describe();
  }

  if (chosen && !canSplit(chosen.format)) chosen = null;
  canBeChosenAgain(file);
  file.addEventListener("change", () => {
    taken = file.files[0] ?? null;
    choose();
  });
  mapping.onChange(choose);
  as.addEventListener("change", describe);
  button.addEventListener("click", download);
  describe();
  return element("div", { class: "panel" }, element("h3", {}, "Mend them"),
    element("div", { class: "fields" },
      element("div", { class: "field" }, element("label", { for: "download-as" }, "Download as"), as),
      !source && element("div", { class: "field" }, element("label", { for: "sent-file" }, "The file that was sent (optional)"), file),
      !source && mapping.node),
    hint, notices.node, button);
}
