// Sets the theme that was chosen before anything is painted, so that no other one flashes up.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // no storage: the theme of the system
}
