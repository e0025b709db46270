"""What a run is doing, as text for a terminal.

The report is what the supervisor answers on its control socket; `runner status --json` prints it as it is.

Laws: pure, no clock, no colour; any part of the report may be missing, for a newer command may ask an older
supervisor, and a run that has only just begun does not know much yet. Start at render.
"""

from collections.abc import Mapping, Sequence
from typing import Any

COUNTERS = ("requests", "redirects", "held", "moved", "expired", "refused", "crashes", "reloads")
COLUMNS = {"slot": "slot", "pid": "pid", "generation": "generation", "state": "state", "requests": "requests",
           "sockets": "sockets", "since": "for"}


def render(report: Mapping[str, Any]) -> str:
    """A few lines, ended by a newline: the run, its addresses, its last reload, its workers, what older generations
    finish, its counters.

    `uptime` is in seconds. So is `since`, on any clock, as long as it is one for the run and its workers.
    """
    last = render_reload(report.get("last_reload") or {})
    parts = [
        _headline(report), _addresses(report), _files(report), _channels(report), last and f"reloaded    {last}",
        _waiting(report),
    ]  # fmt: skip
    paragraphs = [
        "\n".join(part for part in parts if part),
        "\n".join(_workers(report)),
        "\n".join(_finishing(each, report) for each in report.get("finishing") or ()),
        _counters(report.get("counters") or {}),
        "\n".join(f"note: {note}" for note in report.get("notes") or ()),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def render_reload(reload: Mapping[str, Any]) -> str:
    """One line about one reload, empty if there was none:
    `shop/view.py -> generation 15 in 14 ms (resumed before shop.view, 1,087 of 1,088 modules kept)`.
    """
    if not reload:
        return ""
    changed = _some([str(each) for each in reload.get("changed") or ()]) or "asked for"
    generation = f"generation {reload.get('generation', '?')}"
    if reload.get("error"):
        return f"{changed} -> {generation} failed: {' '.join(str(reload['error']).split())}"
    milliseconds = reload.get("milliseconds")
    took = f" in {milliseconds:,.0f} ms" if isinstance(milliseconds, (int, float)) else ""
    origin = f" ({reload['origin']})" if reload.get("origin") else ""
    return f"{changed} -> {generation}{took}{origin}"


def render_resources(report: Mapping[str, Any]) -> str:
    """What requests have open, the oldest first: `db  shop.py:31  for 4m 10s  GET /export  (worker 0, process 812)`."""
    rows = sorted(report.get("resources") or (), key=lambda row: -float(row.get("seconds") or 0.0))
    table = [
        (str(row.get("resource", "?")), str(row.get("place", "?")), f"for {duration(row.get('seconds') or 0.0)}",
         str(row.get("request", "?")), f"worker {row.get('slot', '?')}, process {row.get('pid', '?')}")
        for row in rows
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    total = report.get("open", len(rows))
    if total > len(rows):
        lines.append(f"and {total - len(rows)} more")
    why = "did not answer: its call keeps the interpreter lock"
    silent = [f"worker {slot} {why}" for slot in report.get("silent") or ()]
    return "\n".join(lines + silent or ["nothing is open"]) + "\n"


def duration(seconds: float) -> str:
    """The two largest units of a duration: `42s`, `3m 20s`, `2h 05m`, `11d 03h`."""
    whole = max(0, int(seconds))
    for large, small, size, step in (("d", "h", 86400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size}{large} {whole % size // step:02d}{small}"
    return f"{whole}s"


def _headline(report: Mapping[str, Any]) -> str:
    facts = [str(report[name]) for name in ("target", "kind") if report.get(name)]
    facts += [f"{name} {report[name]}" for name in ("generation", "pid") if report.get(name) is not None]
    if isinstance(report.get("uptime"), (int, float)):
        facts.append(f"up {duration(report['uptime'])}")
    return f"{report.get('state') or 'unknown'!s:<11} {', '.join(facts)}".rstrip()


def _addresses(report: Mapping[str, Any]) -> str:
    return "\n".join(f"listening   {address}" for address in report.get("addresses") or ())


def _files(report: Mapping[str, Any]) -> str:
    match report.get("files"):
        case None:
            return ""
        case int() as count:
            return f"watching    {count:,} files"
        case files:
            return f"watching    {len(files):,} files"


def _channels(report: Mapping[str, Any]) -> str:
    """Only if somebody has used them: `channels    in memory, process 812: 3 channels, 1,204 messages, 4 clients`."""
    found = report.get("channels") or {}
    if not found:
        return ""
    counts = [_counted(found.get(name, "?"), name) for name in ("channels", "messages", "clients")]
    return f"channels    in {found.get('store', '?')}, process {found.get('pid', '?')}: {', '.join(counts)}"


def _waiting(report: Mapping[str, Any]) -> str:
    """Only if there are any: most of the time nobody waits."""
    match report.get("waiting"):
        case int() as count if count > 0:
            return f"waiting     {_counted(count, 'requests')}, for newer code"
    return ""


def _workers(report: Mapping[str, Any]) -> list[str]:
    """A table with a heading, as wide as what is in it; columns that nobody knows about are left out."""
    workers: Sequence[Mapping[str, Any]] = report.get("workers") or ()
    rows = [[_cell(name, worker, report) for name in COLUMNS] for worker in workers if worker]
    columns = [column for column in zip(COLUMNS.values(), *rows, strict=True) if any(column[1:])]
    return ["  ".join(line).rstrip() for line in zip(*map(_aligned, columns), strict=True)]


def _cell(name: str, worker: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    match name, worker.get(name):
        case _, None:
            return ""
        case "since", int() | float() as since:
            # The reader's clock may be another one: now is when the run began plus how long it is up.
            match report.get("since"), report.get("uptime"):
                case int() | float() as began, int() | float() as uptime:
                    return duration(began + uptime - since)
            return ""
        case "requests", count:
            return _number(count)
        case "sockets", 0:
            return ""  # without any there is no column
        case _, value:
            return str(value)


def _finishing(older: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """`finishing   generation 3: 1 worker, 2 streams, for 4m 10s`."""
    counts = [_counted(older[name], name) for name in ("workers", "streams") if older.get(name)]
    if since := _cell("since", older, report):
        counts.append(f"for {since}")
    return f"finishing   generation {older.get('generation', '?')}: {', '.join(counts)}"


def _aligned(column: Sequence[str]) -> list[str]:
    """Numbers stand flush right below their heading, words flush left."""
    width = max(map(len, column))
    return [cell.ljust(width) if column[0] == "state" else cell.rjust(width) for cell in column]


def _counters(counters: Mapping[str, Any]) -> str:
    known = [name for name in (*COUNTERS, *sorted(counters.keys() - COUNTERS)) if name in counters]
    return ", ".join(f"{_number(counters[name])} {name}" for name in known)


def _counted(value: object, things: str) -> str:
    """`1 worker`, `1,204 messages`."""
    return f"{_number(value)} {things[:-1] if value == 1 else things}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are: `a.py, b.py, c.py and 9 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
