// The browser's half of passkeys: asks the server what to ask the device for, and sends the device's
// answer in a plain form. A form says which: data-passkey="add" or "use", data-begin="<address>".
import { toast } from "./toast.js";

const can = Boolean(window.PublicKeyCredential && window.isSecureContext);
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const bytes = (word) => Uint8Array.from(atob(word.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

async function options(begin) {
  const answer = await fetch(begin, { method: "POST", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error("HQ didn’t respond. Reload the page and try again.");
  const asked = await answer.json();
  asked.challenge = bytes(asked.challenge);
  if (asked.user) asked.user.id = bytes(asked.user.id);
  for (const one of [...(asked.excludeCredentials ?? []), ...(asked.allowCredentials ?? [])]) one.id = bytes(one.id);
  return asked;
}

// Has the device answer a question of HQ's; gives the fields of a form.
export async function use(begin) {
  const used = await navigator.credentials.get({ publicKey: await options(begin) });
  const { clientDataJSON, authenticatorData, signature } = used.response;
  return { credential: text(used.rawId), client_data: text(clientDataJSON), data: text(authenticatorData), signature: text(signature) };
}

// What went wrong, in words.
export function why(error) {
  if (error.name === "NotAllowedError") return "The device didn’t respond, or you cancelled.";
  return error.name === "InvalidStateError" ? "This device already has a passkey for you." : error.message;
}

export const hasPasskeys = can;

const acts = {
  async add(begin) {
    const made = await navigator.credentials.create({ publicKey: await options(begin) });
    return { client_data: text(made.response.clientDataJSON), attestation: text(made.response.attestationObject) };
  },
  use,
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !can;
  form.addEventListener("submit", async (event) => {
    if (form.dataset.ready) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    try {
      const said = await acts[form.dataset.passkey](form.dataset.begin);
      for (const [name, value] of Object.entries(said)) form.elements[name].value = value;
      form.dataset.ready = "yes";
      form.submit();
    } catch (error) {
      toast({ tone: "danger", text: why(error) });
    }
  });
}
