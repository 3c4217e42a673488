// Small help while HQ is set up, with a first task, and with the choice of a role.

/** The words in square brackets wait for the person's own: they are what is typed over. */
const field = document.querySelector("[data-bracket] [autofocus]");
const gap = field?.value?.match(/\[[^\]]+\]/);
if (gap) {
  // The browser may give it the focus only later.
  field.focus();
  field.setSelectionRange(gap.index, gap.index + gap[0].length);
}

document.addEventListener("input", ({ target }) => {
  if (target.id) for (const echo of document.querySelectorAll(`[data-echo="${CSS.escape(target.id)}"]`)) echo.textContent = target.value.trim();
  const proposes = target.form?.dataset.proposes;
  if (!proposes) return;
  const [from, to] = proposes.split(" ").map((name) => target.form.elements[name]);
  // What somebody typed there is theirs.
  if (target === to) target.form.dataset.proposes = "";
  if (target !== from) return;
  const first = from.value.trim().split(/\s+/)[0];
  to.value = first ? `${first}’s HQ` : "";
});

/** Roles and settings are found while one types, by the same rule as the server's search: each word begins one of theirs. */
document.addEventListener("input", ({ target }) => {
  const list = document.getElementById(target.dataset.filters ?? "");
  if (!list) return;
  const typed = target.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const one of list.querySelectorAll("[data-words]")) {
    one.hidden = !typed.every((word) => ` ${one.dataset.words}`.includes(` ${word}`));
    count += !one.hidden;
  }
  for (const group of list.querySelectorAll("section, details, [role=group]")) {
    group.hidden = !group.querySelector("[data-words]:not([hidden])");
    if (group.open === false) group.open = typed.length > 0;
  }
  list.toggleAttribute("data-filtered", typed.length > 0);
  const [one, many] = (list.dataset.counts ?? "role roles").split(" ");
  list.querySelector("[role=status]").textContent = !typed.length ? "" : count ? `${count} ${count === 1 ? one : many}` : `No ${one} matches “${target.value.trim()}”`;
});
