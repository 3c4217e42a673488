// Small help while HQ is set up, and with a first task.

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
