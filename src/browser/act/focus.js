// Puts the keyboard into a field, behind what is there.
function () {
  if (!this.isConnected) return { why: 'gone' };
  if (this.disabled) return { why: 'disabled' };
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  element.focus();
  if (element.getRootNode().activeElement !== element) return { why: 'no field' };
  if (element.isContentEditable) getSelection().selectAllChildren(element), getSelection().collapseToEnd();
  else if ('value' in element) {
    try {
      element.setSelectionRange(element.value.length, element.value.length);
    } catch {
      // A field of this kind has no selection.
    }
  }
  return {};
}
