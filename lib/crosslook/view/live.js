// Stands in for Jupyter where there is no kernel: shows every widget of its kind that is still empty.
// `KIND` and `render` come from the block that this is pasted into.
function shelf(state) {
  const heard = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      for (const listener of heard[`change:${name}`] ?? []) listener();
    },
    save_changes() {},
    on(event, listener) { (heard[event] ??= []).push(listener); },
    off() {},
  };
}
for (const root of document.querySelectorAll(`.crosslook-live[data-kind="${KIND}"]:not([data-started])`)) {
  root.dataset.started = "yes";
  const el = document.createElement("div");
  root.append(el);
  render({ model: shelf(JSON.parse(root.querySelector("script").textContent)), el });
}
