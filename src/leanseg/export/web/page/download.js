/** Files that the page gives: masks and the table. */

import { writePng } from "../formats/write_png.js";
import { maskOf } from "../inference/postprocess.js";

/**
 * Masks with the values that the task gives its classes: one file, or one for each class where classes overlap.
 *
 * @returns {Promise<{name: string, content: Blob}[]>}
 */
export async function maskFiles(name, labels, classes, height, width) {
  const stem = stemOf(name);
  const decoded = (numbers, values) => {
    const table = [classes.background, ...values];
    return new (Math.max(...table) > 255 ? Uint16Array : Uint8Array)(numbers.length).map((_, i) => table[numbers[i]]);
  };
  if (!classes.overlapping) {
    return [{ name: `${stem}_mask.png`, content: await writePng(decoded(labels, classes.values), height, width) }];
  }
  return Promise.all(classes.names.map(async (own, k) => {
    const mask = maskOf(labels, classes, k, height * width);
    const content = await writePng(decoded(mask, [classes.values[k]]), height, width);
    return { name: `${stem}_${own.replaceAll(/[^\w-]+/g, "_")}.png`, content };
  }));
}

/** The table: the columns that it shares with `leanseg segment` are called as there. */
export function tableFile(rows) {
  const columns = ["image", "class", "area_pixels", "fraction", "threshold", "dice"];
  const spell = (value) => {
    if (value === null) return "";
    const text = String(Number.isInteger(value) || typeof value === "string" ? value : Number(value.toPrecision(6)));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns, ...rows.map((row) => columns.map((column) => spell(row[column])))];
  return { name: "segmentation.csv", content: new Blob([lines.join("\r\n"), "\r\n"], { type: "text/csv" }) };
}

/** Hand a file over to the person. */
export function save({ name, content }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser reads it after the click; a minute is enough on any machine.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const stemOf = (name) => (name.lastIndexOf(".") > 0 ? name.slice(0, name.lastIndexOf(".")) : name);
