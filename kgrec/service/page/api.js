// Requests to the service that this page came from.

import { byId } from "./dom.js";

const KEY = "kgrec-token";

export async function ask(method, path, body) {
  for (let attempt = 0; ; attempt += 1) {
    const headers = { "Content-Type": "application/json" };
    const token = sessionStorage.getItem(KEY);
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    if ((answer.status === 401 || answer.status === 403) && attempt < 3) {
      await askForToken();
      continue;
    }
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.detail ?? `the service answered ${answer.status}`);
    return content;
  }
}

function askForToken() {
  const dialog = byId("token-dialog");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(KEY, byId("token").value.trim());
      resolve();
    }, { once: true });
  });
}
