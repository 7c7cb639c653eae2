// Loaded before the page is drawn, so that a chosen theme never flashes. Without a choice the system's counts.
(() => {
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem("marquee.theme");
    } catch {
      return null; // storage is switched off in this browser
    }
  };
  root.dataset.theme = stored() ?? "auto";
  document.addEventListener("DOMContentLoaded", () => {
    const choice = document.getElementById("theme");
    choice.value = root.dataset.theme;
    choice.addEventListener("change", () => {
      root.dataset.theme = choice.value;
      try {
        localStorage.setItem("marquee.theme", choice.value);
      } catch {
        return; // the choice holds until the page is left
      }
    });
  });
})();
