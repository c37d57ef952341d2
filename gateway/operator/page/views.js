// The views: each takes what it shows and gives back nodes.

import { bar, brief, day, duration, el, legend, plot, span, spark } from "./charts.js";

const STATUSES = [["answered", "ok"], ["redirected", "moved"], ["refused", "refused"], ["failed", "failed"]];
const TIERS = [["in process", "near"], ["Redis", "redis"], ["identity", "asked"], ["stale", "stale"]];
const PLANS = ["FREE", "SAAS", "PAID"];

export function card(wide, heading, hint, ...children) {
  return el("article", { class: `card ${wide}` }, el("h2", {}, heading), hint ? el("p", { class: "hint" }, hint) : null, ...children);
}

const sum = (values) => values.reduce((all, value) => all + (value || 0), 0);
const added = (lists) => lists.reduce((all, list) => all.map((value, i) => value + (list[i] || 0)), lists[0] ? lists[0].map(() => 0) : []);

export function quantile(counts, bounds, part) {
  const all = sum(counts);
  if (!all) return null;
  let left = part * all;
  for (let i = 0; i < counts.length; i += 1) {
    if (left <= counts[i]) {
      const low = i ? bounds[i - 1] : 0, high = bounds[i] ?? bounds[bounds.length - 1];
      return low + (high - low) * (counts[i] ? left / counts[i] : 0);
    }
    left -= counts[i];
  }
  return bounds[bounds.length - 1];
}

function tile(heading, value, unit, values, kind) {
  return el("article", { class: "card tile w2" }, el("h2", {}, heading), el("strong", {}, value, el("small", {}, unit)), spark(values, kind));
}

const ratio = (tick, name) => { const c = tick.caches[name]; const all = c ? sum(c) : 0; return all ? c[0] / all : null; };

export function traffic({ ticks, now }) {
  const last = ticks.slice(-30), seconds = now.tickSeconds, window = (last.length || 1) * seconds;
  const rate = ticks.map((tick) => sum(tick.statuses) / seconds);
  const bad = ticks.map((tick) => { const all = sum(tick.statuses); return all ? (100 * tick.statuses[3]) / all : 0; });
  const smooth = (part) => ticks.map((_, i) => quantile(added(ticks.slice(Math.max(0, i - 4), i + 1).map((tick) => tick.times)), now.bounds, part));
  const p50 = smooth(0.5), p95 = smooth(0.95), p99 = smooth(0.99);
  const times = added(last.map((tick) => tick.times)), statuses = added(last.map((tick) => tick.statuses));
  const total = sum(statuses), session = added(last.map((tick) => tick.caches.session || [0, 0, 0, 0])), plan = added(last.map((tick) => tick.caches.plan || [0, 0, 0, 0]));
  const lag = added(now.workers.map((worker) => worker.lag)), slowest = quantile(lag, now.lagBounds, 0.99);
  const show = (value, format) => (value === null ? "–" : format(value));
  const unit = (text) => text.split(" ");
  const [lat, latUnit] = unit(show(quantile(times, now.bounds, 0.99), duration)), [lagText, lagUnit] = unit(show(slowest, duration));
  const hit = sum(session) ? (100 * session[0]) / sum(session) : null;
  return [
    el("div", { class: "grid" },
      tile("Requests", brief(total / window), "a second", rate, "ok"),
      tile("99th percentile", lat, latUnit ?? "", p99, "p99"),
      tile("Failed", total ? ((100 * statuses[3]) / total).toFixed(2) : "0", "%", bad, "failed"),
      tile("Session cache", show(hit, (value) => value.toFixed(1)), "% in process", ticks.map((tick) => ratio(tick, "session")), "near"),
      tile("Revocation lag", lagText, `${lagUnit ?? ""} p99`, lag, slowest > 0.05 ? "failed" : "accent"),
      tile("Clients", brief(sum(now.workers.map((worker) => worker.clients))), `${now.workers.length} ${now.workers.length === 1 ? "worker" : "workers"}`, ticks.map((tick) => tick.clients ?? null), "saas"),
      card("w8", "Traffic", "Requests a second, by what came of them.", legend(STATUSES.map(([name, kind], i) => [name, kind, brief(statuses[i] / window)])),
        plot(STATUSES.map(([name, kind], i) => ({ name, kind, values: ticks.map((tick) => tick.statuses[i] / seconds) })), { title: `Requests a second; in the last minute ${brief(total / window)}`, stacked: true })),
      card("w4", "Plans", "Requests of the last minute; the last part was refused or failed.", plans(last)),
      card("w6", "Latency", "From head to last byte.", legend([["median", "p50", show(p50.at(-1) ?? null, duration)], ["95 %", "p95", show(p95.at(-1) ?? null, duration)], ["99 %", "p99", show(p99.at(-1) ?? null, duration)]]),
        plot([["median", "p50", p50], ["95 %", "p95", p95], ["99 %", "p99", p99]].map(([name, kind, values]) => ({ name, kind, values })), { title: "Latency", size: 500, format: duration })),
      card("w6", "Where sessions are found", "Share of look-ups by tier; identity is the authority.", legend(TIERS.map(([name, kind], i) => [name, kind, brief(session[i])])),
        plot(TIERS.map(([name, kind], i) => ({ name, kind, values: ticks.map((tick) => { const c = tick.caches.session, all = c ? sum(c) : 0; return all ? (100 * c[i]) / all : 0; }) })), { title: "Session look-ups by cache tier", size: 500, stacked: true, most: 100, format: (value) => `${Math.round(value)} %` })),
      card("w6", "Routes", "The busiest of the last minute.", routes(last, now, window)),
      card("w6", "How fast a revocation arrives", "Canaries since the start, by their way through Redis; the promise is 50 ms.", revocation(lag, now.lagBounds, now), tiers(plan)),
    ),
  ];
}

function plans(last) {
  const found = PLANS.map((name) => [name, added(last.map((tick) => tick.plans[name] || [0, 0]))]);
  const most = Math.max(1, ...found.map(([, counts]) => counts[0] || 0));
  return el("ul", { class: "rows" }, ...found.map(([name, [all = 0, bad = 0]]) => row(name, [[all - bad, name.toLowerCase()], [bad, "refused"]], most, `${brief(all)}`)));
}

function row(name, parts, most, number, title) {
  return el("li", { class: "bar" }, el("span", { class: "name", title: name }, name), bar(parts, most, title ?? `${name}: ${number}`), el("span", { class: "num" }, number));
}

function routes(last, now, window) {
  const all = new Map();
  for (const tick of last) for (const [name, counts] of Object.entries(tick.routes)) all.set(name, all.has(name) ? added([all.get(name), counts]) : counts);
  const busiest = [...all].sort((a, b) => b[1][0] - a[1][0]).slice(0, 9);
  if (!busiest.length) return el("p", { class: "empty" }, "Nobody has asked for anything in the last minute.");
  const most = busiest[0][1][0];
  return el("ul", { class: "rows routes" }, ...busiest.map(([name, [count, refused, failed, ...times]]) => {
    const slow = quantile(times, now.bounds, 0.99);
    return row(name, [[count - refused - failed, "ok"], [refused, "refused"], [failed, "failed"]], most, `${brief(count / window)}/s · ${slow === null ? "–" : duration(slow)}`);
  }));
}

function revocation(lag, bounds, now) {
  if (!sum(lag)) return el("p", { class: "empty" }, now.workers.some((worker) => worker.link_in_doubt === null) ? "There is no Redis: revocations are found within the bound." : "No canary has come back yet.");
  const most = Math.max(...lag), last = lag.findLastIndex((count) => count);
  const names = [...bounds.map((bound) => `≤ ${duration(bound)}`), "longer"];
  return el("ul", { class: "rows" }, ...lag.slice(0, Math.max(6, last + 1)).map((count, i) => row(names[i], [[count, (bounds[i] ?? 9) <= 0.05 ? "near" : "failed"]], most, `${((100 * count) / sum(lag)).toFixed(1)} %`)));
}

function tiers(plan) {
  const all = sum(plan);
  if (!all) return null;
  return el("div", { class: "target" }, el("p", { class: "hint" }, "Where plans are found, in the last minute."), bar(plan.map((count, i) => [count, TIERS[i][1]]), all, "Plan look-ups by tier"), legend(TIERS.map(([name, kind], i) => [name, kind, brief(plan[i])])));
}

export function upstreams({ ticks, now }, rotate) {
  const groups = new Map();
  for (const worker of now.workers) {
    for (const breaker of worker.breakers) {
      const group = groups.get(breaker.upstream) ?? { states: [], answers: 0, failures: 0, opened: 0, targets: new Map() };
      group.states.push(breaker.state); group.answers += breaker.answers; group.failures += breaker.failures; group.opened += breaker.opened;
      groups.set(breaker.upstream, group);
    }
    for (const target of worker.targets) {
      const targets = groups.get(target.upstream).targets, before = targets.get(target.target) ?? { idle: 0, busy: 0, waiting: 0, most: 0, bad: 0 };
      targets.set(target.target, { idle: before.idle + target.idle, busy: before.busy + target.busy, waiting: before.waiting + target.waiting, most: before.most + target.most, bad: before.bad + (target.ejected || target.unhealthy ? 1 : 0) });
    }
  }
  const cards = [...groups].map(([name, group]) => {
    const open = group.states.filter((state) => state !== "closed").length, all = group.answers + group.failures;
    const state = open ? `breaker ${group.states.includes("open") ? "open" : "half open"} in ${open} of ${group.states.length}` : "breaker closed";
    const targets = [...group.targets].map(([target, one]) => el("div", { class: "target" },
      el("div", { class: "row" }, el("b", {}, target), el("span", { class: `chip ${one.bad ? "failed" : "ok"}` }, one.bad ? "rests" : "healthy")),
      el("p", { class: "hint" }, `${one.busy} busy, ${one.idle} idle of ${one.most} connections${one.waiting ? `; ${one.waiting} requests wait` : ""}`),
      bar([[one.busy, "saas"], [one.idle, "p50"]], one.most, `${target}: ${one.busy} busy, ${one.idle} idle of ${one.most}`)));
    return card("w4", name, null, el("p", {}, el("span", { class: `chip ${open ? "failed" : "ok"}` }, state)),
      el("p", { class: "hint" }, `${brief(group.answers)} answered, ${brief(group.failures)} not, since the start`), bar([[group.answers, "ok"], [group.failures, "failed"]], all || 1, `${name}: ${group.failures} of ${all} failed`), ...targets);
  });
  const workers = now.workers.map((worker) => el("li", { class: "bar" }, el("span", { class: "name", title: `since ${day(worker.since * 1000)}` }, `pid ${worker.pid}`), bar([[worker.clients, "saas"]], Math.max(10, ...now.workers.map((one) => one.clients)), `${worker.clients} clients`), el("span", { class: "num" }, `${worker.clients} clients`)));
  const turn = el("button", { type: "button", class: now.beating ? "quiet danger" : "", onclick: rotate }, now.beating ? "Take out of rotation" : "Put back into rotation");
  return [el("div", { class: "grid" }, ...cards, card("w8", "Workers", null, el("ul", { class: "rows" }, ...workers)), card("w4", "Rotation", now.beating ? "Load balancers send traffic here: /heartbeat/ answers 200." : "Load balancers send no traffic here: /heartbeat/ answers 410.", turn))];
}

export function sessionRows(found, end, endAll) {
  if (!found.length) return [el("p", { class: "empty" }, "No session that has not ended.")];
  return found.map((one) => {
    const from = Date.parse(one.createdAt), to = Date.parse(one.expiresAt);
    return el("div", { class: "session" },
      el("div", {}, el("b", {}, `user ${one.userId}`), ` · partner ${one.partnerId}`, el("br"), el("small", {}, `${one.clientAddress || "no address"} · ${agent(one.userAgent)}`)),
      el("div", { class: "draw" }, span(from, to, "near", `from ${day(from)} to ${day(to)}`)),
      el("div", { class: "row" }, el("button", { type: "button", class: "quiet danger", onclick: () => end(one) }, "End"), el("button", { type: "button", class: "quiet", onclick: () => endAll(one) }, "End all of user")));
  });
}

// browsers name their forebears too: the first of these that is there is meant
const AGENTS = ["Edg", "Firefox", "Chrome", "Safari", "curl", "python"].map((name) => new RegExp(`${name}[^ /]*(/\\d+(\\.\\d+)?)?`));
const agent = (text) => AGENTS.map((known) => known.exec(text || "")?.[0]).find(Boolean) ?? (text || "unknown program").slice(0, 24);

export function partnerCards(found) {
  if (!found.length) return [el("p", { class: "empty" }, "No partner is there yet.")];
  return [el("div", { class: "grid" }, ...found.map((partner) => {
    const running = (partner.contracts ?? []).find((one) => one.contractType === "SAAS" && Date.parse(one.startTime) <= Date.now() && !(Date.parse(one.endTime) <= Date.now()));
    const plan = running?.plan ?? "FREE";
    const used = new Map((partner.usage?.usage ?? []).map((one) => [one.namespace, one]));
    const granted = Object.entries(running?.configurations ?? {});
    const bars = (granted.length ? granted.map(([name, one]) => [name, one.limit]) : [...used].map(([name, one]) => [name, one.limit])).map(([name, limit]) => {
      const consumed = used.get(name)?.consumed;
      return row(name.replaceAll("_", " ").toLowerCase(), [[consumed ?? 0, consumed > limit * 0.9 ? "failed" : plan.toLowerCase()]], limit, limit >= 1e12 ? `${brief(consumed ?? 0)}, no limit` : consumed === undefined ? `of ${brief(limit)}` : `${brief(consumed)} of ${brief(limit)}`);
    });
    return el("article", { class: "card w6 partner" },
      el("div", { class: "head" }, el("b", {}, partner.name), el("span", { class: `chip ${plan.toLowerCase()}` }, plan), el("small", {}, `partner ${partner.id}`)),
      running ? span(Date.parse(running.startTime), running.endTime ? Date.parse(running.endTime) : Date.now() + (Date.now() - Date.parse(running.startTime)) / 6, plan.toLowerCase(), `contract from ${day(Date.parse(running.startTime))}`, running.endTime ? "" : "open") : el("p", { class: "hint" }, "No contract is running."),
      bars.length ? el("ul", { class: "rows" }, ...bars) : null,
      partner.usage || !bars.length ? null : el("p", { class: "hint" }, "What is used is not known: partner-usage does not answer."));
  }))];
}

export function actRows(found) {
  if (!found.length) return [el("p", { class: "empty" }, "No operator has done anything yet.")];
  return found.map((act) => {
    const kind = act.outcome === "done" ? "ok" : act.outcome === "begun" ? "refused" : "failed";
    return el("div", { class: "act" }, el("i", { class: kind }), el("time", { datetime: act.time }, new Date(act.time).toLocaleTimeString()),
      el("div", {}, el("b", {}, act.act), " ", act.target, el("small", {}, `user ${act.uid} from ${act.address ?? act.peer} · ${day(Date.parse(act.time))} · request ${act.requestId}`)), el("span", { class: `chip ${kind}` }, act.outcome));
  });
}
