(() => {
  "use strict";
  const body = document.body, pane = body.dataset.pane, embedded = window.parent !== window;
  let busy = false, again = false, leaving = false, source;

  // bare is what an element shows: keys of forms are new each time and show nothing, and what is open is the person's affair.
  const bare = (element) => {
    const copy = element.cloneNode(true);
    for (const key of copy.querySelectorAll("input[name=key]")) key.remove();
    for (const d of copy.querySelectorAll("details[id]")) d.removeAttribute("open");
    return copy.innerHTML;
  };

  // refresh loads the page again and takes over what is live in it. What is being typed stays.
  const refresh = async () => {
    if (leaving) return;
    if (busy) { again = true; return; }
    busy = true;
    let failed = false;
    try {
      do {
        again = false;
        const answer = await fetch(location.href, {headers: {"X-Live": "1"}, cache: "no-store"});
        if (!answer.ok) throw new Error(answer.statusText);
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (answer.redirected || next.body.dataset.page !== body.dataset.page) { leaving = true; location.reload(); return; }
        for (const old of document.querySelectorAll("[data-live]")) {
          const fresh = next.getElementById(old.id);
          if (!fresh || bare(fresh) === bare(old)) continue;
          const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
          if (focused && document.activeElement.matches("input:not([type=hidden])")) continue;
          const open = [...old.querySelectorAll("details[open][id]")].map((d) => d.id);
          old.replaceChildren(...fresh.childNodes);
          for (const id of open) document.getElementById(id)?.setAttribute("open", "");
          if (focused) document.getElementById(focused)?.focus();
        }
      } while (again);
    } catch { failed = true; } finally { busy = false; }
    if (failed && !document.hidden) setTimeout(refresh, 1000); // who comes back looks again anyway
  };

  // A form that was sent leads to another page: what this one would hear is that page's to say.
  document.addEventListener("submit", () => { leaving = true; });

  // One stream a window: its frames are told by it.
  const tell = (changed) => {
    for (const frame of document.querySelectorAll("iframe")) frame.contentWindow.postMessage(changed, location.origin);
    if (pane && (changed === pane || changed === "all")) refresh();
  };
  const open = () => {
    if (source || embedded || document.hidden || (!pane && !document.querySelector("iframe"))) return;
    source = new EventSource("/events");
    source.addEventListener("begun", () => tell("all"));
    source.addEventListener("changed", (e) => tell(e.data));
  };
  addEventListener("message", (e) => {
    if (e.origin === location.origin && e.source === window.parent && (e.data === pane || e.data === "all")) refresh();
  });
  // Who is signed in is known by the browser's cookie, so that its windows tell each other: what the service's stream says
  // can be heard before the cookie is there.
  const windows = new BroadcastChannel("panes");
  windows.addEventListener("message", (e) => { if (pane && e.data === pane) refresh(); });
  if (pane) windows.postMessage(pane);
  if (embedded) refresh(); // what its window heard before this frame could hear it

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = undefined; } else open();
  });
  addEventListener("pagehide", () => { leaving = true; source?.close(); source = undefined; });
  addEventListener("pageshow", () => { leaving = false; open(); });
  open();

  // The code of the settings counts down.
  setInterval(() => {
    const count = document.querySelector("[data-until]");
    if (!count) return;
    const left = Math.ceil((count.dataset.until - Date.now()) / 1000);
    count.querySelector("[data-seconds]").textContent = Math.max(left, 0);
    count.querySelector(".ring-left").setAttribute("stroke-dashoffset", 30 - Math.max(left, 0));
    if (left <= 0) refresh();
  }, 500);

  // People paste codes with spaces in them.
  document.getElementById("code")?.addEventListener("input", (e) => {
    const digits = e.target.value.replace(/[^0-9]/g, "").slice(0, 6);
    if (digits !== e.target.value) e.target.value = digits;
  });
})();
