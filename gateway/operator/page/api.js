// The gateway's API, in the operator's own session (a cookie that scripts cannot read).

export class Refused extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

async function ask(path, options = {}) {
  const answer = await fetch(path, {
    credentials: "same-origin",
    ...options,
    headers: { "x-csrf-token": "1", ...options.headers },
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.detail || `status ${answer.status}`);
  return body;
}

const api = "/_gateway/api";
export const me = () => ask(`${api}/me`);
export const figures = (since) => ask(`${api}/figures?since=${since}`);
export const sessions = (query) => ask(`${api}/sessions${query ? `?${new URLSearchParams(query)}` : ""}`);
export const endSession = (sid) => ask(`${api}/sessions/${encodeURIComponent(sid)}`, { method: "DELETE" });
export const endSessions = (user) => ask(`${api}/sessions?userId=${user}`, { method: "DELETE" });
export const partners = () => ask(`${api}/partners`);
export const acts = () => ask(`${api}/acts`);
export const rotate = (beat) => ask(`${api}/rotation?beat=${beat}`, { method: "PUT" });
export const signIn = (email, password) =>
  ask("/auth/login?cookie=true", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
export const signOut = () => ask("/auth/logout", { method: "POST" });
