// Small pieces of the page that several modes make.

export function element(tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** A button of text. */
export function pill(text, label = "") {
  const button = element("button", "pill", text);
  if (label) button.setAttribute("aria-label", label);
  return button;
}

/** What more or less of an attribute is called. */
export const WORDS = {
  jaggedness: ["smooth", "jagged"], density: ["calm", "busy"], register: ["low", "high"], contour: ["falling", "rising"],
  range: ["narrow", "wide"], repetition: ["varied", "repeating"], syncopation: ["on the beat", "off the beat"],
  brightness: ["dark", "bright"], angularity: ["round", "spiky"], aspect: ["flat", "tall"], loudness: ["soft", "loud"],
  swing: ["straight", "swinging"], lateness: ["rushed", "laid back"],
};

/** A slider between two words: {row, range}. */
export function between([low, high], reach, moved) {
  const row = element("label", "between");
  const range = Object.assign(element("input"), { type: "range", min: -reach, max: reach, step: 0.1, value: 0 });
  range.setAttribute("aria-label", `${low} to ${high}`);
  range.addEventListener("input", moved);
  row.append(element("span", "", low), range, element("span", "", high));
  return { row, range };
}

/** Calls `work` when nothing more has happened for a moment. */
export function soon(work, milliseconds = 80) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, milliseconds);
  };
}
