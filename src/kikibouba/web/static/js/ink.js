// Lines on a canvas. A line is [[x, y], …] in a square of 1000 units, y downwards.

export const SIDE = 1000;

/** A canvas made as sharp as the screen is; returns its context, scaled to CSS pixels, and its size. */
export function sharpen(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Where the square of 1000 units lies on a board: scale and offsets in pixels. */
export function frame(width, height) {
  const scale = Math.min(width, height) / SIDE;
  return { scale, left: (width - SIDE * scale) / 2, top: (height - SIDE * scale) / 2 };
}

/** Draw lines, smoothly through the middles of their segments; of all their points only the first `share`.
 *  Returns where the pen is then. */
export function ink(context, lines, { scale, left, top }, { color, width, share = 1, smooth = true }) {
  const total = lines.reduce((sum, line) => sum + line.length, 0);
  let left_over = share >= 1 ? total : share * total;
  let pen = null;
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const line of lines) {
    if (left_over <= 0) break;
    const points = line.slice(0, Math.ceil(left_over)).map(([x, y]) => [left + x * scale, top + y * scale]);
    if (left_over < line.length && points.length > 1) {
      const part = left_over - Math.floor(left_over) || 1;
      const [a, b] = points.slice(-2);
      points[points.length - 1] = [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part];
    }
    left_over -= line.length;
    context.beginPath();
    context.moveTo(...points[0]);
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    points.slice(1).forEach((point, i) => {
      const next = points[i + 2];
      if (smooth && next && !sharp(points[i], point, next)) {
        context.quadraticCurveTo(...point, (point[0] + next[0]) / 2, (point[1] + next[1]) / 2);
      } else context.lineTo(...point);
    });
    context.stroke();
    pen = points[points.length - 1];
  }
  return pen;
}

/** Whether a line turns by more than 40° at b: a corner that must stay one. */
function sharp(a, b, c) {
  const turn = Math.atan2(c[1] - b[1], c[0] - b[0]) - Math.atan2(b[1] - a[1], b[0] - a[0]);
  return Math.cos(turn) < 0.766;
}

/** Lines of any size, moved and scaled into the middle of the square. */
export function fit(lines, side = SIDE, margin = 0.12) {
  const all = lines.flat();
  if (!all.length) return [];
  const [xs, ys] = [all.map((p) => p[0]), all.map((p) => p[1])];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = (side * (1 - 2 * margin)) / (Math.max(x1 - x0, y1 - y0) || 1);
  return lines.map((line) =>
    line.map(([x, y]) => [side / 2 + (x - (x0 + x1) / 2) * scale, side / 2 + (y - (y0 + y1) / 2) * scale]),
  );
}

/** Leave out points that lie within `tolerance` of the line without them (Ramer, Douglas and Peucker). */
export function simplify(line, tolerance) {
  if (line.length < 3) return line;
  const [a, b] = [line[0], line[line.length - 1]];
  let [farthest, where] = [0, 0];
  for (let i = 1; i < line.length - 1; i++) {
    const distance = toSegment(line[i], a, b);
    if (distance > farthest) [farthest, where] = [distance, i];
  }
  if (farthest <= tolerance) return [a, b];
  return [...simplify(line.slice(0, where + 1), tolerance).slice(0, -1), ...simplify(line.slice(where), tolerance)];
}

function toSegment([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** The server's form, [[xs], [ys]] a stroke, and back. */
export const toColumns = (lines) => lines.map((line) => [line.map((p) => p[0]), line.map((p) => p[1])]);
export const fromColumns = (strokes) => strokes.map(([xs, ys]) => xs.map((x, i) => [x, ys[i]]));

/** An SVG path through a line's points. */
export const path = (lines) =>
  lines.map((line) => `M${line.map(([x, y]) => `${Math.round(x)} ${Math.round(y)}`).join("L")}`).join("");

/** A colour of the style sheet, resolved. */
export function color(element, name) {
  return getComputedStyle(element).getPropertyValue(name).trim();
}
