// Files are chosen or dropped: both end in the same form, which is sent at once. Without this script
// the form has its button.
document.addEventListener("change", ({ target }) => {
  if (target.matches?.("[data-sends]") && target.files.length) target.form.requestSubmit();
});

const place = (event) => event.target.closest?.("[data-drop]");
const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

document.addEventListener("dragover", (event) => {
  const onto = place(event);
  if (!onto || !carries(event)) return;
  event.preventDefault();
  onto.dataset.drop = "over";
});
document.addEventListener("dragleave", (event) => {
  const from = place(event);
  if (from && !from.contains(event.relatedTarget)) from.dataset.drop = "";
});
document.addEventListener("drop", (event) => {
  const onto = place(event);
  if (!onto || !carries(event)) return;
  event.preventDefault();
  onto.dataset.drop = "";
  const field = (onto.querySelector("input[type=file]") ?? document.querySelector("#new-files"));
  if (!field) return;
  field.files = event.dataTransfer.files;
  field.form.requestSubmit();
});
