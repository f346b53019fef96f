// Answers by the number keys; without this script the form works as any other.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("textarea, input[type=search]")) return;
  const choice = document.querySelector(`input[data-key="${CSS.escape(event.key)}"]`);
  if (!choice) return;
  choice.checked = true;
  choice.focus();
});
