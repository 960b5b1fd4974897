"""A sweep as parallel coordinates: a line for each trial, an axis for each field, the result at the right."""

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kikibouba.plot import figure_of, png_of
from kikibouba.scale.sweep_names import short_names
from kikibouba.scale.sweep_table import Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEST = "#d62728"

BESIDE = 0.05
"""Height over which the lines through one point of a grid are spread."""

SPREAD = 30.0
"""An axis whose largest value is so many times its smallest is logarithmic."""


def plot_sweep(table: Table, log_fields: Collection[str] = ()) -> bytes | None:
    """The picture as PNG, or None where no trial came to anything.

    Finished trials are coloured by what they are judged by, the best one red; those that were stopped early
    are thin and grey, with what they had reached then.

    Args:
        table: of the sweep.
        log_fields: fields with a logarithmic axis in any case.
    """
    rows = [row for row in table.rows if row.value is not None]
    if not rows:
        return None
    columns = [[row.settings.get(field) for row in rows] for field in table.fields]
    places = [_axis(values, field in log_fields) for field, values in zip(table.fields, columns, strict=True)]
    results = [row.value for row in rows]
    places.append(_axis(results, False))
    short = short_names(table.fields)
    figure = figure_of(max(6.0, 1.6 * len(places) + 1.5), 4.6)
    axes = figure.add_subplot()
    _draw_lines(axes, rows, np.array([heights for heights, _ in places]).T, table)
    for x, (_, ticks) in enumerate(places):
        axes.axvline(x, color="0.25", linewidth=1)
        left = x < len(table.fields)
        for height, text in ticks:
            offset, side = (-7, "right") if left else (7, "left")
            label = axes.annotate(
                text, (x, height), (offset, 0), textcoords="offset points", ha=side, va="center", size=8
            )
            label.set_bbox({"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1})
            label.set_zorder(4)
    names = [*(short[field] for field in table.fields), f"{table.metric}\n({table.goal} is best)"]
    axes.set_xticks(range(len(places)), names, size=9)
    axes.tick_params(axis="both", length=0)
    axes.set_yticks([])
    axes.set_xlim(-0.45, len(table.fields) + 0.35)
    axes.set_ylim(-0.06, 1.06)
    axes.spines[:].set_visible(False)
    if table.best is not None:
        axes.set_title(f"best: {table.best.name}", size=9, color=BEST)
    return png_of(figure)


def _draw_lines(axes: "Axes", rows: Sequence[Row], heights: np.ndarray, table: Table) -> None:
    """A smooth line for each trial; heights [n, axes] in 0 to 1, the last one the result's."""
    from matplotlib import colormaps

    colours = colormaps["viridis"]
    x = np.arange(heights.shape[1])
    fine = np.linspace(0, x[-1], 40 * len(x))
    left = np.minimum(np.floor(fine).astype(int), len(x) - 2)
    share = fine - left
    smooth = share * share * (3 - 2 * share)  # level at every axis
    # Lines through one point of a grid lie side by side, in the order of their results.
    shared = np.array([len(set(column)) < len(rows) for column in heights.T[:-1]], bool)
    heights = heights.copy()
    order = heights[:, -1].argsort().argsort()[:, None]
    heights[:, :-1] += BESIDE * (order / len(rows) - 0.5) * shared
    for row, line in reversed(list(zip(rows, heights, strict=True))):
        y = line[left] * (1 - smooth) + line[left + 1] * smooth
        if row is table.best:
            axes.plot(fine, y, color=BEST, linewidth=2.6, zorder=3, label="best")
        elif row.status == "finished":
            axes.plot(fine, y, color=colours(0.85 * line[-1]), linewidth=1.4, zorder=2)
        else:
            axes.plot(fine, y, color="0.6", linewidth=0.8, linestyle="--", zorder=1)
    if any(row.status != "finished" for row in rows):
        axes.plot([], [], color="0.6", linewidth=0.8, linestyle="--", label="stopped early")
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.09), frameon=False, fontsize=8, ncols=2)


def _axis(values: Sequence[Any], log: bool) -> tuple[list[float], list[tuple[float, str]]]:
    """Values of a field → their heights in 0 to 1, and the ticks (height, text)."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values) or len(set(numbers)) == 1:
        texts = [v if isinstance(v, str) else json.dumps(v) for v in values]
        names = list(dict.fromkeys(texts))
        steps = {name: (i + 0.5) / len(names) for i, name in enumerate(names)}
        return [steps[text] for text in texts], [(steps[name], name) for name in names]
    low, high = min(numbers), max(numbers)
    log = low > 0 and (log or high / low > SPREAD)
    scale = np.log if log else np.asarray
    ends = scale(np.array([low, high], np.float64))

    def height(value: float) -> float:
        return float((scale(np.float64(value)) - ends[0]) / (ends[1] - ends[0]))

    few = sorted(set(numbers))
    if len(few) > 6:
        few = [float(v) for v in (np.geomspace(low, high, 5) if log else np.linspace(low, high, 5))]
    return [height(v) for v in numbers], [(height(v), f"{v:.3g}") for v in few]
