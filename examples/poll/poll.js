// The poll: the present votes from one stream, and a button for each choice that casts a vote.

const choices = document.getElementById("choices");

new EventSource("/poll").addEventListener("votes", (event) => {
  for (const [choice, votes] of Object.entries(JSON.parse(event.data))) button(choice).textContent = `${choice}: ${votes}`;
});

function button(choice) {
  const found = document.getElementById(choice);
  if (found) return found;
  const made = document.createElement("button");
  made.id = choice;
  made.addEventListener("click", () => fetch("/poll", { method: "POST", body: JSON.stringify(choice), headers: { "Content-Type": "application/json" } }));
  choices.append(made);
  return made;
}
