"""The demo archive's front page: the archived frames, newest first, in one self-contained HTML page."""

from typing import Any

from flask import render_template_string

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Demo archive</title>
<style>
  :root { --ink: #1c2333; --soft: #667089; --line: #e3e7ef;
          --paper: #fff; --sky: #f4f6fb; --accent: #2f5fd0; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6e9f2; --soft: #97a1ba; --line: #2a3145;
            --paper: #171c2a; --sky: #0f1320; --accent: #8fb0ff; }
  }
  body { margin: 0; padding: 2rem clamp(1rem, 4vw, 3rem); background: var(--sky); color: var(--ink);
         font: 15px/1.5 system-ui, sans-serif; }
  h1 { margin: 0; font-size: 1.6rem; letter-spacing: -0.02em; }
  p { margin: .3rem 0 1.5rem; color: var(--soft); }
  .sheet { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
  table { width: 100%; border-collapse: collapse; white-space: nowrap; font-variant-numeric: tabular-nums; }
  th, td { padding: .55rem .9rem; text-align: left; border-bottom: 1px solid var(--line); }
  tr:last-child td { border-bottom: 0; }
  tbody tr:hover { background: var(--sky); }
  th { color: var(--soft); font-size: .75rem; font-weight: 600; text-transform: uppercase;
       letter-spacing: .05em; }
  code { font: .85em ui-monospace, monospace; color: var(--soft); }
  a { color: var(--accent); text-decoration: none; }
  a:hover { text-decoration: underline; }
  .kind { padding: .1rem .5rem; border: 1px solid var(--line); border-radius: 1rem; font-size: .8rem; }
  .empty { padding: 3rem; text-align: center; color: var(--soft); }
</style>
</head>
<body>
<h1>Demo archive</h1>
<p>{{ count }} {{ "frame" if count == 1 else "frames" }} archived
  {%- if count > frames|length %}, the newest {{ frames|length }} shown{% endif %}.
  The same as JSON: <a href="frames/">frames/</a></p>
<div class="sheet">
{% if frames %}
<table>
<thead><tr>
  <th>Id</th><th>Name</th><th>Site</th><th>Instrument</th><th>Observed</th><th>Type</th><th>Proposal</th>
  <th>Level</th><th>Public from</th><th>md5</th><th>File</th>
</tr></thead>
<tbody>
{% for frame in frames %}
<tr>
  <td><a href="frames/{{ frame.id }}/">{{ frame.id }}</a></td>
  <td>{{ frame.basename }}</td>
  <td>{{ frame.SITEID or "" }}</td>
  <td>{{ frame.INSTRUME or "" }}</td>
  <td>{{ (frame.DATE_OBS or "")[:19]|replace("T", " ") }}</td>
  <td><span class="kind">{{ frame.OBSTYPE or "?" }}</span></td>
  <td>{{ frame.PROPID or "" }}</td>
  <td>{{ "" if frame.RLEVEL is none else frame.RLEVEL }}</td>
  <td>{{ (frame.L1PUBDAT or "")[:10] }}</td>
  <td><code>{{ frame.version_set[0].md5[:8] if frame.version_set else "" }}</code></td>
  <td>{% if frame.url %}<a href="{{ frame.url }}">
    {{- frame.version_set[0].extension or "file" }}</a>{% endif %}</td>
</tr>
{% endfor %}
</tbody>
</table>
{% else %}
<div class="empty">Nothing archived yet.</div>
{% endif %}
</div>
</body>
</html>
"""


def render(count: int, frames: list[dict[str, Any]]) -> str:
    """The page for `count` frames, of which `frames` (as `frames/` answers them) are shown.

    Runs within a Flask request.
    """
    return render_template_string(TEMPLATE, count=count, frames=frames)
