# SPDX-License-Identifier: MIT OR Apache-2.0
"""The report as text, Markdown, JSON and a chart."""

import html
import json

HEAD = ["", "measured", "goal", "", "beside", "ratio", "doubts"]
VERDICTS = {True: "met", False: "missed", None: ""}

# Of the chart, in pixels.
LABEL, WIDTH, LINE = 420, 900, 26


def cells(row):
    ratio = f"{row['ratio']:.2f} ×" if row["ratio"] else ""
    goal = "; ".join(part for part in (row["goal"], row["note"]) if part)
    doubts = "; ".join(row["doubts"])
    verdict = VERDICTS[row["met"]] + (" ?" if row["doubts"] and row["met"] is not None else "")
    return [row["what"], f"{row['value']:g} {row['unit']}", goal, verdict, row["peer"] or "", ratio, doubts]


def text(report):
    table = [HEAD, *(cells(row) for row in report["rows"])]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    return "\n".join([*lines, "", machine(report), trust(report)])


def machine(report):
    facts = report["machine"]
    if "cpu" not in facts:
        return "the machine is unknown"
    return (f"{facts['cpu']}, {facts['cpus']} processors, Linux {facts['kernel']}, "
            f"transparent huge pages: {facts['transparent_huge_pages']}")


def trust(report):
    if report["noisy"]:
        return (f"{report['noisy']} of {len(report['rows'])} rows were measured on a machine that did other things as well: "
                "don't believe those; run it again on an idle one")
    return "the machine was idle otherwise"


def write(report, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    (folder / "report.md").write_text(markdown(report))
    (folder / "report.svg").write_text(chart(report))


def markdown(report):
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
             for line in [HEAD, ["---"] * len(HEAD), *(cells(row) for row in report["rows"])]]
    return "\n".join([*lines, "", machine(report), "", trust(report), ""])


def chart(report):
    """Bars of the rows in nanoseconds: ours, the peer's below in grey, the goal as a line."""
    rows = [row for row in report["rows"] if row["unit"] == "ns"]
    longest = max([1, *(max(row["value"], row.get("peer_value", 0), row.get("limit", 0)) for row in rows)])
    scale = (WIDTH - LABEL - 70) / longest
    height = LINE * len(rows) + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
             'font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for number, row in enumerate(rows):
        parts.extend(bar(row, 10 + LINE * number, scale))
    return "\n".join([*parts, "</svg>", ""])


def bar(row, top, scale):
    color = {True: "#2a7", False: "#c52", None: "#47a"}[row["met"]]
    length = row["value"] * scale
    yield f'<text x="{LABEL - 8}" y="{top + 13}" text-anchor="end">{html.escape(row["what"])}</text>'
    yield f'<rect x="{LABEL}" y="{top + 2}" width="{length:.1f}" height="12" fill="{color}"/>'
    yield f'<text x="{LABEL + length + 5:.1f}" y="{top + 13}">{row["value"]:g} ns{" ?" if row["doubts"] else ""}</text>'
    if "peer_value" in row:
        yield f'<rect x="{LABEL}" y="{top + 15}" width="{row["peer_value"] * scale:.1f}" height="4" fill="#999"/>'
    if "limit" in row:
        at = LABEL + row["limit"] * scale
        yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{top + 18}" stroke="black"/>'
