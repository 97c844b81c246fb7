/** Arithmetic as Python and numpy do it. */

/** Round to the nearest whole number, halves to the even one. */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

/** Ceiling of a / b. */
export const divideUp = (a, b) => Math.ceil(a / b);

/** The given percentile (0 to 100) of numbers, linear between neighbours. */
export function percentile(values, share) {
  const sorted = new Float64Array(values).sort();
  const place = (share / 100) * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

/** The middle of numbers, or the mean of the two middle ones. */
export const median = (values) => percentile(values, 50);

/** Mean and standard deviation of the values where `where` is not 0. */
export function moments(values, where) {
  let [count, sum] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    if (where[i]) {
      count += 1;
      sum += values[i];
    }
  }
  const mean = sum / count;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    if (where[i]) squares += (values[i] - mean) ** 2;
  }
  return { mean, deviation: Math.sqrt(squares / count) };
}

/** How many entries are not 0. */
export function countNonzero(values) {
  let count = 0;
  for (let i = 0; i < values.length; i++) count += values[i] !== 0;
  return count;
}
