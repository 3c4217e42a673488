// A server knows its own time zone; who sets HQ up means theirs. What came back to be corrected was chosen already.
const field = document.querySelector("[data-zone] select");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const status = performance.getEntriesByType("navigation")[0]?.responseStatus ?? 200;
if (field && status < 400 && [...field.options].some((option) => option.value === zone)) field.value = zone;
