/** Keys in a row of buttons: one stop for Tab, arrows from button to button, Escape back to the text. */
export function walk(event, buttons, view) {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  const at = buttons.indexOf(document.activeElement);
  if (event.key === "Escape") view.focus();
  else if (step && 0 <= at) buttons[(at + step + buttons.length) % buttons.length].focus();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
