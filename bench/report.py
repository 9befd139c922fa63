"""Rows of results, and the table made of them."""

import dataclasses


@dataclasses.dataclass
class Row:
    """One line of the table: what was measured (group), of whom (name)."""

    group: str
    name: str
    ms: float | None = None
    p95_ms: float | None = None
    runs: int = 0
    kib: float | None = None
    ratio: float | None = None  # to the group's own program; more than 1: slower (or larger) than it
    note: str = ""


def rows_of(group, series, baseline):
    """Rows of {name: Series or the reason why there is none}."""
    rows = []
    base = series.get(baseline)
    for name, found in series.items():
        if isinstance(found, str):
            rows.append(Row(group, name, note=found.replace("\n", " ")))
            continue
        ratio = found.median_ms / base.median_ms if base and not isinstance(base, str) else None
        rows.append(Row(group, name, found.median_ms, found.p95_ms, len(found.ms), found.peak_kib, ratio))
    return rows


def markdown(rows):
    """One table a group."""
    lines = []
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            lines += ["", f"### {group}", "", "| program | median ms | p95 ms | ratio | memory KiB | runs |", "|---|---:|---:|---:|---:|---:|"]
        if row.note:
            lines.append(f"| {row.name} | not measured: {row.note[:200]} | | | | |")
            continue

        def show(value, form):
            return "" if value is None else format(value, form)

        lines.append(f"| {row.name} | {show(row.ms, '.2f')} | {show(row.p95_ms, '.2f')} | {show(row.ratio, '.2f')} | {show(row.kib, '.0f')} | {row.runs or ''} |")
    return "\n".join(lines[1:]) + "\n"
