/** The target of a file: database, care plan, and if all items are applied or none. */

import { element, fill } from "../dom.js";
import { unsendable } from "../faults.js";

const INT32 = /^-?(0|[1-9]\d{0,9})$/;

/** Make the fields. A database is suggested where the caller's jobs are all in one. */
export function targetPart(api, signal) {
  const database = element("input", { id: "to-database", required: true, list: "to-databases", autocomplete: "off", spellcheck: "false", "aria-describedby": "to-database-hint" });
  const known = element("datalist", { id: "to-databases" });
  const carePlan = element("input", { id: "to-care-plan", inputmode: "numeric", autocomplete: "off", "aria-describedby": "to-care-plan-hint" });
  const strict = element("input", { id: "to-strict", type: "checkbox" });
  const node = element("form", { class: "fields", on: { submit: (event) => event.preventDefault() } },
    element("div", { class: "field" }, element("label", { for: "to-database" }, "Database"), database, known,
      element("p", { class: "hint", id: "to-database-hint" }, "One that your client may use.")),
    element("div", { class: "field" }, element("label", { for: "to-care-plan" }, "Care plan (optional)"), carePlan,
      element("p", { class: "hint", id: "to-care-plan-hint" }, "With one, each case must be under it; without, each names its own.")),
    element("label", { class: "check", for: "to-strict" }, strict, "All items or none"));

  suggest();
  async function suggest() {
    const { jobs } = await api.jobs({ pageSize: 100 }, signal).catch(() => ({ jobs: [] }));
    const names = [...new Set(jobs.map((job) => job.database))];
    fill(known, names.map((value) => element("option", { value })));
    const isUntouched = !database.value && document.activeElement !== database; // nothing changes under somebody's cursor
    if (names.length === 1 && isUntouched) database.value = names[0];
  }

  return {
    node,
    /** The target, or null after the fields were made to say what is missing. */
    get value() {
      const plan = carePlan.value.trim();
      const isPlan = !plan || (INT32.test(plan) && Number(plan) === (Number(plan) | 0));
      carePlan.setCustomValidity(isPlan ? "" : "A care plan's key is a whole number, as 5. Leave it out if the cases name theirs.");
      database.setCustomValidity(unsendable(database.value.trim()));
      if (!node.reportValidity()) return null;
      return { database: database.value.trim(), carePlan: plan ? Number(plan) : null, strict: strict.checked };
    },
    set(target) {
      [database.value, carePlan.value, strict.checked] = [target.database, target.carePlan ?? "", target.strict];
    },
    /** Have the fields be as they are, or let them be changed again. */
    hold(isHeld) {
      for (const field of [database, carePlan, strict]) field.disabled = isHeld;
    },
    /** Call back when the target is another one. */
    onChange(changed) {
      for (const field of [database, carePlan, strict]) {
        field.addEventListener("change", () => {
          for (const text of [database, carePlan]) text.setCustomValidity("");
          changed();
        });
      }
    },
  };
}
