/** A model card: just enough Markdown for headings, paragraphs, lists, tables, bold words and code. */

/** Fill an element with a card. */
export function showCard(element, text) {
  element.replaceChildren(...text.split(/\n\s*\n/).filter((block) => block.trim()).map(blockOf));
}

function blockOf(block) {
  const lines = block.trim().split("\n");
  const heading = /^#+\s+(.*)/.exec(lines[0]);
  if (heading && lines.length === 1) return filled("h3", heading[1]);
  if (lines.every((line) => line.startsWith("|"))) return table(lines);
  if (lines.every((line) => /^([*-]|\s)\s/.test(line))) {
    return parent("ul", block.trim().split(/\n(?=[*-]\s)/).map((item) => filled("li", item.slice(2))));
  }
  return filled("p", lines.join(" "));
}

function table(lines) {
  const cells = (line) => line.slice(1, line.lastIndexOf("|")).split("|").map((cell) => cell.trim());
  const [head, , ...rows] = lines;
  const row = (kind, line) => parent("tr", cells(line).map((cell) => filled(kind, cell)));
  const content = parent("table", [row("th", head), ...rows.map((line) => row("td", line))]);
  const box = parent("div", [content]);
  box.className = "scroll";
  return box;
}

/** An element with text, in which **words** are bold and `words` are code. */
function filled(kind, text) {
  const parts = text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) => {
    if (part.startsWith("**")) return parent("strong", [part.slice(2, -2)]);
    return part.startsWith("`") ? parent("code", [part.slice(1, -1)]) : part;
  });
  return parent(kind, parts);
}

function parent(kind, children) {
  const element = document.createElement(kind);
  element.append(...children);
  return element;
}
