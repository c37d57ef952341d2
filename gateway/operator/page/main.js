// The page: who is signed in, which view is open, and what is asked for it.

import * as api from "./api.js";
import { el } from "./charts.js";
import { actRows, card, partnerCards, sessionRows, traffic, upstreams } from "./views.js";

const $ = (selector) => document.querySelector(selector);
const view = $("#view"), login = $("#login");
const seen = { ticks: [], now: null };
let timer = 0, drawn = "";

const say = (text) => { const toast = $("#toast"); toast.textContent = text; toast.hidden = false; clearTimeout(say.timer); say.timer = setTimeout(() => { toast.hidden = true; }, 5000); };

function sure(title, text, word) {
  const dialog = $("#ask");
  dialog.querySelector("h2").textContent = title; dialog.querySelector("p").textContent = text; dialog.querySelector(".danger").textContent = word;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

function signedOut(text) {
  clearTimeout(timer);
  login.hidden = false; view.hidden = true; $("nav").hidden = true; $("#leave").hidden = true; $("#pulse").hidden = true;
  const notice = login.querySelector(".notice");
  notice.textContent = text || ""; notice.hidden = !text;
  login.elements.email.focus();
}

async function guard(work) {
  try { return await work(); } catch (error) {
    if (error.status === 401) signedOut("The session has ended. Sign in again.");
    else if (error.status === 403) signedOut("This is for operators.");
    else say(error.message || "The gateway does not answer.");
    return undefined;
  }
}

async function refresh() {
  clearTimeout(timer);
  const found = await guard(() => api.figures(seen.ticks.at(-1)?.number ?? 0));
  if (login.hidden) timer = setTimeout(refresh, 2000);
  if (!found) return;
  const clients = found.workers.reduce((all, worker) => all + worker.clients, 0);
  const known = new Map(seen.ticks.map((tick) => [tick.number, tick]));
  for (const tick of found.ticks) known.set(tick.number, { ...tick, clients });
  const newest = Math.max(0, ...known.keys()), empty = { statuses: [0, 0, 0, 0], times: found.bounds.concat(0).map(() => 0), caches: {}, plans: {}, routes: {} };
  const oldest = Math.max(newest - found.kept + 1, Math.min(newest - 59, ...known.keys()));
  seen.ticks = newest ? Array.from({ length: newest - oldest + 1 }, (_, i) => known.get(oldest + i) ?? { ...empty, number: oldest + i }) : [{ ...empty, number: 0 }];
  seen.ticks.forEach((tick, i) => { tick.clients ??= seen.ticks[i - 1]?.clients; });
  seen.now = found;
  const doubt = found.workers.some((worker) => worker.link_in_doubt), broken = found.workers.some((worker) => worker.breakers.some((breaker) => breaker.state !== "closed"));
  const pulse = $("#pulse");
  pulse.hidden = false;
  pulse.className = !found.beating || broken ? "bad" : doubt ? "warn" : "";
  pulse.textContent = !found.beating ? "out of rotation" : broken ? "an upstream fails" : doubt ? "push link in doubt" : "live";
  if (["traffic", "upstreams"].includes(drawn)) draw(drawn);
}

async function rotate() {
  const out = seen.now.beating;
  if (out && !(await sure("Take this gateway out of rotation?", "Load balancers that ask /heartbeat/ will send no further traffic to any of its workers.", "Take out"))) return;
  if (await guard(() => api.rotate(!out))) { say(out ? "Out of rotation." : "Back in rotation."); refresh(); }
}

async function sessionsView() {
  const list = el("div", { "aria-live": "polite" }), form = el("form", { class: "row find" },
    el("select", { name: "by", "aria-label": "Find by" }, ...[["email", "E-mail"], ["userId", "User id"], ["partnerId", "Partner id"]].map(([value, text]) => el("option", { value }, text))),
    el("input", { name: "what", "aria-label": "What to find", placeholder: "Leave empty for the latest" }), el("button", { type: "submit" }, "Find"));
  const find = async () => {
    const what = form.elements.what.value.trim();
    const found = await guard(() => api.sessions(what ? { [form.elements.by.value]: what } : null));
    if (found) list.replaceChildren(...sessionRows(found.data, end, endAll));
  };
  const end = async (one) => { if (await sure("End this session?", `User ${one.userId} has to sign in again there. Every gateway refuses the session within milliseconds.`, "End session") && await guard(() => api.endSession(one.id))) { say("The session has ended."); find(); } };
  const endAll = async (one) => { if (await sure(`End all sessions of user ${one.userId}?`, "On every device.", "End all") && await guard(() => api.endSessions(one.userId))) { say("All have ended."); find(); } };
  form.addEventListener("submit", (event) => { event.preventDefault(); find(); });
  view.replaceChildren(card("", "Sessions", "Who is signed in; each bar runs from sign-in to expiry, the mark is now. Looking is noted in the audit log.", form, list));
  await find();
}

async function partnersView() {
  const found = await guard(() => api.partners());
  if (found && drawn === "partners") view.replaceChildren(...partnerCards(found.partners));
}

async function actsView() {
  const found = await guard(() => api.acts());
  if (found && drawn === "acts") view.replaceChildren(card("", "Audit log", "Every act of an operator, newest first.", ...actRows(found.acts)));
}

function draw(name) {
  const focus = document.activeElement?.closest?.("#view svg, #view button") ? [...view.querySelectorAll("svg[tabindex], button")].indexOf(document.activeElement) : -1;
  const changed = drawn !== name;
  drawn = name;
  if (name === "sessions" && changed) { view.replaceChildren(); sessionsView(); }
  else if (name === "partners" && changed) { view.replaceChildren(); partnersView(); }
  else if (name === "acts" && changed) { view.replaceChildren(); actsView(); }
  else if (seen.now && ["traffic", "upstreams"].includes(name) && (changed || !view.matches(":has(.tip:not([hidden]))"))) {
    view.replaceChildren(...(name === "traffic" ? traffic(seen) : upstreams(seen, rotate)));
    if (focus >= 0) view.querySelectorAll("svg[tabindex], button")[focus]?.focus();
  }
}

function go() {
  const name = ["upstreams", "sessions", "partners", "acts"].find((one) => location.hash === `#${one}`) ?? "traffic";
  for (const link of document.querySelectorAll("nav a")) link.toggleAttribute("aria-current", link.hash === `#${name}`);
  if (!view.hidden) draw(name);
}

async function enter() {
  const me = await api.me().catch((error) => error);
  if (me instanceof Error) { signedOut(me.status === 403 ? "This is for operators." : me.status === 401 ? "" : me.message); return; }
  login.hidden = true; view.hidden = false; $("nav").hidden = false; $("#leave").hidden = false;
  drawn = "";
  await refresh();
  go();
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = login.querySelector("button");
  button.disabled = true;
  try { await api.signIn(login.elements.email.value, login.elements.password.value); login.elements.password.value = ""; await enter(); } catch (error) { signedOut(error.message); }
  button.disabled = false;
});
$("#leave").addEventListener("click", async () => { let failed = ""; await api.signOut().catch((error) => { failed = `This session has not been ended: ${error.message}`; }); signedOut(failed); });
const theme = (name) => { document.documentElement.dataset.theme = name; };
theme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
$("#theme").addEventListener("click", () => { const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark"; theme(next); localStorage.setItem("theme", next); });
addEventListener("hashchange", go);
enter();
