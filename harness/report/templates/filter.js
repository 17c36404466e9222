// Optional: filters the rows of a log by a word. Without scripts the box does not appear.
for (const box of document.querySelectorAll("input.filter")) {
  box.hidden = false;
  box.addEventListener("input", () => {
    const word = box.value.toLowerCase();
    for (const row of box.closest("details").querySelectorAll("tbody tr")) {
      row.hidden = word !== "" && !row.textContent.toLowerCase().includes(word);
    }
  });
}
