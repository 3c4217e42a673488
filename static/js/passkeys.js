// The browser's half of passkeys: asks the server what to ask the device for, and sends the device's
// answer in a plain form. A form says which: data-passkey="add" or "use", data-begin="<address>".
import { toast } from "./toast.js";

const can = Boolean(window.PublicKeyCredential && window.isSecureContext);
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const bytes = (word) => Uint8Array.from(atob(word.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

async function options(form) {
  const answer = await fetch(form.dataset.begin, { method: "POST", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error("HQ did not answer; reload the page and try again.");
  const asked = await answer.json();
  asked.challenge = bytes(asked.challenge);
  if (asked.user) asked.user.id = bytes(asked.user.id);
  for (const one of asked.excludeCredentials ?? []) one.id = bytes(one.id);
  return asked;
}

const acts = {
  async add(form) {
    const made = await navigator.credentials.create({ publicKey: await options(form) });
    return { client_data: text(made.response.clientDataJSON), attestation: text(made.response.attestationObject) };
  },
  async use(form) {
    const used = await navigator.credentials.get({ publicKey: await options(form) });
    const { clientDataJSON, authenticatorData, signature } = used.response;
    return { credential: text(used.rawId), client_data: text(clientDataJSON), data: text(authenticatorData), signature: text(signature) };
  },
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.hidden = !can;
  form.addEventListener("submit", async (event) => {
    if (form.dataset.ready) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    try {
      const said = await acts[form.dataset.passkey](form);
      for (const [name, value] of Object.entries(said)) form.elements[name].value = value;
      form.dataset.ready = "yes";
      form.submit();
    } catch (error) {
      const gone = error.name === "NotAllowedError";
      const known = error.name === "InvalidStateError";
      toast({ tone: "danger", text: gone ? "The device did not answer, or you stopped it." : known ? "This device has a passkey for you already." : error.message });
    }
  });
}
