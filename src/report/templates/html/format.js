"use strict";
// Numbers as the program writes them. Amounts are whole pico-dollars: a BigInt,
// never a number, which would lose digits.

const ONE = 10n ** 12n;

// 1,234,567
function count(number) {
  const negative = number < 0n;
  const digits = String(negative ? -number : number);
  return (negative ? "-" : "") + digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

// 1.23 M: cut off, not rounded up.
function compact(number) {
  const absolute = number < 0n ? -number : number;
  for (const [unit, suffix] of [[10n ** 12n, "T"], [10n ** 9n, "G"], [10n ** 6n, "M"]]) {
    if (absolute >= unit) {
      const [whole, rest] = [absolute / unit, absolute % unit];
      let fraction = "";
      if (whole < 10n) fraction = "." + String(rest / (unit / 100n)).padStart(2, "0");
      else if (whole < 100n) fraction = "." + String(rest / (unit / 10n));
      return (number < 0n ? "-" : "") + count(whole) + fraction + " " + suffix;
    }
  }
  return count(number);
}

// $1,234.57; below ten cents to two digits that are not zero; half to even.
function usd(pico) {
  const absolute = pico < 0n ? -pico : pico;
  let unit = ONE / 100n;
  let places = 2;
  while (absolute !== 0n && absolute < unit * 10n && unit > 1n) {
    unit /= 10n;
    places += 1;
  }
  const rounded = dividedEvenly(absolute, unit);
  const per = ONE / unit;
  let fraction = String(rounded % per).padStart(places, "0");
  if (places > 2) fraction = fraction.replace(/0+$/, "").padEnd(2, "0");
  return (pico < 0n && rounded > 0n ? "-" : "") + "$" + count(rounded / per) + "." + fraction;
}

// A quotient of two numbers that are not below zero, rounded half to even.
function dividedEvenly(product, per) {
  const [quotient, twice] = [product / per, (product % per) * 2n];
  return twice > per || (twice === per && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

// Tenths of a percent, rounded down: 41.5 %.
function share(part, whole) {
  const tenths = whole > 0n ? (part * 1000n) / whole : 0n;
  const absolute = tenths < 0n ? -tenths : tenths;
  return (tenths < 0n ? "-" : "") + count(absolute / 10n) + "." + String(absolute % 10n) + " %";
}

// A total among teams, whose shares are in millionths of a percent and in the
// order of their names: to the last pico-dollar.
function divide(total, shares) {
  const whole = 100000000n;
  const [quotient, remainder] = [total / whole, total % whole];
  const parts = shares.map(([team, share]) => {
    const rest = remainder * BigInt(share);
    return { team, cost: quotient * BigInt(share) + rest / whole, lost: rest % whole };
  });
  let left = total - parts.reduce((sum, part) => sum + part.cost, 0n);
  const byLoss = [...parts].sort((a, b) => (a.lost === b.lost ? 0 : a.lost > b.lost ? -1 : 1));
  for (const part of byLoss) {
    if (left > 0n) {
      part.cost += 1n;
      left -= 1n;
    }
  }
  return parts;
}

// a, b and c
function list(items) {
  return items.length < 2 ? items.join("") : items.slice(0, -1).join(", ") + " and " + items[items.length - 1];
}
