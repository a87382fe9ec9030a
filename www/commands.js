// The commands on a page: they name the host that the page came from, and can be copied.

// How long a button says that it copied.
const SAID_MILLIS = 1500;

for (const origin of document.querySelectorAll(".origin")) origin.textContent = location.origin;

for (const command of document.querySelectorAll(".command")) {
  const code = command.querySelector("code");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${code.textContent}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(code)) ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), SAID_MILLIS);
  });
  command.append(button);
}

// Copies the text, or leaves it selected: browsers let only secure pages and localhost copy.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}
