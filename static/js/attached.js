// Files that are sent with a form (form[data-attaches]): chosen by its file field, pasted, or dropped on the form or
// on the chat around it. They are listed in its .attached, where each can be taken off again. Without this script the
// form has its file field.
const picker = (form) => form.querySelector("input[type=file]");

/** The files that a form sends. */
export const filesOf = (form) => [...picker(form).files];

/** Puts these files in the place of those that a form sends. */
export function attach(form, files) {
  const all = new DataTransfer();
  for (const file of files) all.items.add(file);
  picker(form).files = all.files;
  draw(form);
}

function lineOf(file, n) {
  const item = document.createElement("li");
  const remove = document.createElement("button");
  Object.assign(remove, { type: "button", className: "attach" });
  remove.dataset.without = n;
  if (/^image\/(png|jpeg|gif|webp)$/.test(file.type)) {
    const image = document.createElement("img");
    Object.assign(image, { src: URL.createObjectURL(file), alt: "" });
    remove.append(image);
  }
  const words = document.createElement("span");
  const verb = document.createElement("span");
  Object.assign(verb, { className: "vh", textContent: "Remove " });
  const name = document.createElement("b");
  name.textContent = file.name;
  const size = file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} KB` : `${(file.size / 1e6).toFixed(1)} MB`;
  words.append(verb, name, ` ${size} ×`);
  remove.append(words);
  item.append(remove);
  return item;
}

function draw(form) {
  const box = form.querySelector(".attached");
  for (const old of box.querySelectorAll("img")) URL.revokeObjectURL(old.src);
  box.hidden = !filesOf(form).length;
  box.replaceChildren(...filesOf(form).map(lineOf));
}

document.addEventListener("change", ({ target }) => target.matches("form[data-attaches] input[type=file]") && draw(target.form));
// A form that was refused comes back without the list.
document.addEventListener("htmx:after:swap", () => {
  for (const form of document.querySelectorAll("form[data-attaches]")) {
    if (filesOf(form).length && form.querySelector(".attached").hidden) draw(form);
  }
});
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-without]");
  if (!button) return;
  const { form } = button;
  attach(form, filesOf(form).filter((_, n) => n !== Number(button.dataset.without)));
  (form.elements.body ?? form.elements.title).focus();
});

// What Word copies comes with a picture of the words, which nobody means. The rich editor must not see the files.
document.addEventListener(
  "paste",
  (event) => {
    const form = event.target.closest?.("form[data-attaches]");
    const files = [...(event.clipboardData?.files ?? [])];
    if (!form || !files.length || event.clipboardData.getData("text/plain").trim()) return;
    event.preventDefault();
    event.stopPropagation();
    attach(form, [...filesOf(form), ...files]);
  },
  true,
);

const onto = (event) => {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return undefined;
  const place = event.target.closest?.("form[data-attaches], .chat");
  return place?.matches("form") ? place : place?.querySelector("form[data-attaches]");
};
document.addEventListener(
  "dragover",
  (event) => {
    const form = onto(event);
    if (!form) return;
    event.preventDefault();
    form.dataset.over = "";
  },
  true,
);
document.addEventListener("dragleave", ({ relatedTarget: to }) => {
  for (const form of document.querySelectorAll("form[data-over]")) if (!(form.closest(".chat") ?? form).contains(to)) delete form.dataset.over;
});
document.addEventListener(
  "drop",
  (event) => {
    const form = onto(event);
    if (!form) return;
    event.preventDefault();
    event.stopPropagation();
    delete form.dataset.over;
    attach(form, [...filesOf(form), ...event.dataTransfer.files]);
  },
  true,
);
