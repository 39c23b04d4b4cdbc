"""What predicts transfer: B Figs. 1, 8, 12 and 14, and the intervals that the paper lacks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbook.figures.look import INK, axis_title, literal, literal_texts, plain
from workbook.figures.style import COLOURS, SYMBOLS, legend_entry, panels, points_and_range

# three scores, apart in lightness as well as in hue
SCORES = {"ImageNet accuracy": "#888888", "Spectral CIS": "#0072B2", "Cluster CIS": "#D55E00"}
_SYMBOLS = {"ImageNet accuracy": "square", "Spectral CIS": "circle", "Cluster CIS": "diamond"}
_CHANGES = {
    "column order": ("#999999", "square"),
    "a model left out": ("#56B4E9", "circle"),
    "a family left out": ("#0072B2", "diamond"),
    "families drawn": ("#D55E00", "x"),
}


def transfer_against(
    models: pd.DataFrame, scores: Mapping[str, str], *, transfer: str, transfer_title: str, title: str
) -> go.Figure:
    """Transfer against a score, a panel a score; a line joins a family from T = 1 to its self-supervised origin.

    models: one row a model, columns base, control_cycle (missing at the origin), `transfer` and those of `scores`.
    scores: column -> axis title. The origin, and a model without family, is an open star.
    """
    figure, places = panels(len(scores), shared_yaxes=True, horizontal_spacing=0.03)
    families = literal_texts(models).sort_values("control_cycle", na_position="last").groupby("base", sort=False)
    for place, (score, axis) in zip(places, scores.items(), strict=True):
        for base, family in families:
            origin = family["control_cycle"].isna()
            figure.add_scatter(
                x=family[score],
                y=family[transfer],
                mode="lines+markers",
                line={"color": COLOURS[str(base)], "width": 1.5},
                marker={"size": np.where(origin, 12, 8), "symbol": np.where(origin, "star-open", SYMBOLS[str(base)])},
                text=["origin" if pd.isna(cycle) else f"T = {cycle}" for cycle in family["control_cycle"]],
                hovertemplate="%{text}: %{x:.4g}, %{y:.4g}",
                **legend_entry(str(base), place["col"] == 1),
                **place,
            )
        figure.update_xaxes(title={"text": literal(axis), "font": {"size": 12}}, **place)
    figure.update_yaxes(title=axis_title(transfer_title), col=1)
    return plain(figure, title=title, height=480)


def residuals_against_bounds(rows: pd.DataFrame, *, title: str) -> go.Figure:
    """Residuals of Transfer in units of what rounding can make of them: a strip a table, +-1 is the bound.

    rows: columns table, model, residual and bound. Rows beyond the bound are named with their share of it; the axis
    ends at +-3, and arrows stand for those farther out.
    """
    rows = literal_texts(rows)
    share = rows["residual"] / rows["bound"]
    beyond = share.abs() > 1
    figure = go.Figure()
    figure.add_vrect(x0=-1, x1=1, fillcolor="#56B4E9", opacity=0.18, line_width=0)
    for name, chosen, colour in (("within rounding", ~beyond, "#0072B2"), ("beyond rounding", beyond, "#D55E00")):
        part, shares = rows[chosen], share[chosen]
        symbols = np.select([shares > 3, shares < -3], ["triangle-right", "triangle-left"], "circle")
        figure.add_scatter(
            x=shares.clip(-3, 3),
            y=part["table"],
            name=name,
            mode="markers+text" if name == "beyond rounding" else "markers",
            text=[f"{model} ({value:.1f})" for model, value in zip(part["model"], shares, strict=True)],
            # inside the axis, and not where a neighbour's label stands
            textposition=np.select([shares > 3, shares < -3], ["bottom left", "bottom right"], "top center"),
            marker={"color": colour, "size": 9, "opacity": 0.75, "symbol": symbols},
            hovertemplate="%{text}",
        )
    figure.update_xaxes(range=[-3.3, 3.3])
    figure.update_yaxes(range=[rows["table"].nunique() - 0.3, -0.7], title=None)
    bound = "residual / rounding bound (between −1 and 1: explained by rounding)"
    return plain(figure, title=title, x=bound, height=420)


def correlation_intervals(table: pd.DataFrame, *, titles: Sequence[str], x_title: str, title: str) -> go.Figure:
    """Coefficients with their intervals, a panel a protocol; the printed value as a ring.

    table: columns panel (one of `titles`), coefficient, score (a key of SCORES), value, low, high, and printed.
    """
    table, titles = literal_texts(table), [*map(literal, titles)]
    figure, places = panels(len(titles), subplot_titles=list(titles), shared_yaxes=True, horizontal_spacing=0.05)
    coefficients = list(table["coefficient"].unique())
    scores = [score for score in SCORES if score in set(table["score"])]
    for place, name in zip(places, titles, strict=True):
        for number, score in enumerate(scores):
            rows = table[(table["panel"] == name) & (table["score"] == score)]
            # one line a score below the coefficient's own
            y = [coefficients.index(c) + 0.22 * (number - (len(scores) - 1) / 2) for c in rows["coefficient"]]
            for trace in _intervals(rows, y, score, shown=place["col"] == 1):
                figure.add_trace(trace, **place)
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    ticks = {"tickvals": list(range(len(coefficients))), "ticktext": coefficients}
    figure.update_yaxes(range=[len(coefficients) - 0.4, -0.6], **ticks)
    return plain(figure, title=title, x=x_title, height=440)


def _intervals(rows: pd.DataFrame, y: list[float], score: str, *, shown: bool) -> tuple[go.Scatter, go.Scatter]:
    hover = "%{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})"
    told = {"customdata": rows[["low", "high"]], "hovertemplate": hover}
    look = {"marker": {"color": SCORES[score], "symbol": _SYMBOLS[score], "size": 9}, **legend_entry(score, shown)}
    value = points_and_range(rows.rename(columns={"value": "mean"}), "x", y, told | look, thickness=2)
    ring = {"color": SCORES[score], "size": 15, "symbol": "circle-open", "line": {"width": 1.5}}
    printed = {"mode": "markers", "marker": ring, "hovertemplate": "printed: %{x:.2f}"}
    return value, go.Scatter(x=rows["printed"], y=y, **printed, **legend_entry(score, shown=False))


def importance_ranges(study: pd.DataFrame, *, measure: str, measure_title: str, title: str) -> go.Figure:
    """Importance of each input as bars, a panel a column of `panel`, and how far small changes move it.

    study: as `workbook.papers.importance.importance_study` gives it, with a column panel. Ranges hold 95 % of the
    refits of a change and stand beside the bar in the order of the legend.
    """
    study = literal_texts(study)
    names = list(study["panel"].unique())
    spacing = {"vertical_spacing": 0.16, "horizontal_spacing": 0.04}
    figure, places = panels(len(names), 2, subplot_titles=names, shared_yaxes=True, **spacing)
    for place, name in zip(places, names, strict=True):
        part = study[study["panel"] == name]
        inputs = list(part["input"].unique())
        values = part.set_index("input")[measure].groupby(part["change"].to_numpy())
        shown = place == places[0]
        look = {
            "marker": {"color": "rgba(128,128,128,0.25)", "line": {"color": INK, "width": 1}},
            "hovertemplate": "%{y:.2f}",
        }
        look |= legend_entry("all models, columns as listed", shown)
        figure.add_bar(x=list(range(len(inputs))), y=values.get_group("none")[inputs], **look, **place)
        for change in _CHANGES:
            spread = values.get_group(change).groupby(level=0).quantile([0.025, 0.5, 0.975]).unstack().loc[inputs]
            figure.add_trace(_range(spread, change, shown=shown), **place)
        figure.update_xaxes(tickvals=list(range(len(inputs))), ticktext=inputs, **place)
    figure.update_yaxes(range=[0, 1.05]).update_yaxes(title=literal(measure_title), col=1)
    return plain(figure, title=title, height=350 * places[-1]["row"])


def _range(spread: pd.DataFrame, change: str, *, shown: bool) -> go.Scatter:
    """spread: one row an input, columns 0.025, 0.5 and 0.975: quantiles of the refits of this change."""
    rows = spread.set_axis(["low", "mean", "high"], axis=1)
    colour, symbol = _CHANGES[change]
    beside = 0.16 * (list(_CHANGES).index(change) - 1.5)
    look = {"marker": {"color": colour, "symbol": symbol, "size": 8}, "hovertemplate": f"{change}: %{{y:.2f}}"}
    places = [place + beside for place in range(len(rows))]
    return points_and_range(rows, "y", places, look | legend_entry(change, shown), thickness=2)


def predictors(table: pd.DataFrame, *, titles: Sequence[str], x_title: str, title: str) -> go.Figure:
    """How well each measure ranks models, a panel a protocol: its interval, and what one family less makes of it.

    table: columns panel (one of `titles`), measure, value, low, high, without_low, without_high, and baseline (bool).
    The best stand at the top, in the order of the first panel that has them. Baselines are grey, and the best of a
    panel goes on as a dashed line: what lies to the right of it ranks better. The pale bar is where the value stays
    when any one family is left out.
    """
    table, titles = literal_texts(table), [*map(literal, titles)]
    ordered = table.assign(panel=pd.Categorical(table["panel"], titles)).sort_values(
        ["panel", "value"], ascending=[True, False]
    )
    measures = list(ordered["measure"].unique())
    figure, places = panels(len(titles), subplot_titles=list(titles), shared_yaxes=True, horizontal_spacing=0.04)
    for place, name in zip(places, titles, strict=True):
        rows = table[table["panel"] == name]
        for baseline, entry, colour in ((False, "measure", "#0072B2"), (True, "baseline", INK)):
            part = rows[rows["baseline"] == baseline]
            for trace in _predictor_rows(part, [measures.index(m) for m in part["measure"]], entry, colour):
                trace.showlegend = trace.showlegend and place["col"] == 1
                figure.add_trace(trace, **place)
        best = rows[rows["baseline"]]["value"].max()
        figure.add_vline(x=best, line={"color": INK, "width": 1, "dash": "dash"}, **place)
    figure.add_vline(x=0, line={"color": INK, "width": 1})
    ticks = {"tickvals": list(range(len(measures))), "ticktext": measures}
    figure.update_yaxes(range=[len(measures) - 0.4, -0.6], **ticks)
    return plain(figure, title=title, x=x_title, height=180 + 24 * len(measures))


def _predictor_rows(rows: pd.DataFrame, y: list[int], entry: str, colour: str) -> tuple[go.Scatter, go.Scatter]:
    hover = "%{x:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})"
    hover += "<br>one family less: %{customdata[2]:.3f} to %{customdata[3]:.3f}"
    told = {"customdata": rows[["low", "high", "without_low", "without_high"]], "hovertemplate": hover}
    look = {"marker": {"color": colour, "size": 9}, **legend_entry(entry, shown=True)}
    value = points_and_range(rows.rename(columns={"value": "mean"}), "x", y, told | look, thickness=2)
    ends = [
        end for low, high in zip(rows["without_low"], rows["without_high"], strict=True) for end in (low, high, None)
    ]
    lines = [place for at in y for place in (at, at, None)]
    thick = {"mode": "lines", "line": {"color": colour, "width": 7}, "opacity": 0.3, "hoverinfo": "skip"}
    return go.Scatter(x=ends, y=lines, **thick, **legend_entry(entry, shown=False)), value
