"""An exception -> a page: helpful to its author, silent to everybody else.

The full traceback is shown only with --debug, and even then only to a browser on this machine that asked for this
machine by name: a page on the internet can make such a browser send requests here, but not under that name.
There is no console on the page, ever: it would be a shell for whoever gets to see it.

Laws: the text goes to the log in any case, under the reference number that everybody else is shown; no value of a
variable, of the environment or of a header appears. Rendering never raises.
"""

from __future__ import annotations

import html
import secrets
import traceback

from runner.request import Answer

_LOCAL_PEERS = ("127.", "::ffff:127.")
_LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "[::1]"))

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 46rem; padding: 0 1.5rem; color: #222 }}
h1 {{ font-size: 1.4rem; font-weight: 600 }} code, pre {{ font: 14px/1.5 ui-monospace, monospace }}
pre {{ background: #f6f5f2; border-left: 3px solid #c33; padding: 1rem; overflow: auto }} p {{ color: #555 }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


class Failure:
    """One failure, ready to be shown many times.

    *summary* one line; *text* the traceback; *where* "file:line" or ""; *reference* the number in the log.
    """

    def __init__(self, summary: str, text: str, where: str = "") -> None:
        self.summary = summary
        self.text = text
        self.where = where
        self.reference = secrets.token_hex(4)

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Take *error* apart; its frames, and with them the objects of the request, are not kept."""
        summary = " ".join(traceback.format_exception_only(error)[-1].split())
        return cls(summary, "".join(traceback.format_exception(error)), where(error))

    def answer(self, variables: dict[str, str], *, debug: bool, importing: bool = False) -> Answer:
        """The page for one request; *importing*: the failure is the application's import, not this request."""
        if debug and is_local(variables):
            hint = "<p>Save the corrected file and reload: nothing needs a restart.</p>" if importing else ""
            body = f"{hint}<pre>{html.escape(self.text)}</pre>"
            title = html.escape(self.summary[:200])
        else:
            title = "The application failed"
            body = f"<p>What happened is in the server's log, under reference <code>{self.reference}</code>.</p>"
        page = _PAGE.format(title=title, body=body).encode("utf-8", "replace")
        return Answer(500, [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")], page)

    def log_text(self, subject: str) -> str:
        """The lines for the log."""
        return f"{subject} failed, reference {self.reference}: {self.summary}\n{self.text}"


def where(error: BaseException) -> str:
    """The place to look at: for a SyntaxError the file itself, which is in no frame; else the innermost frame."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno or 1}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


def is_local(variables: dict[str, str]) -> bool:
    """A browser on this machine asked for this machine by name."""
    peer = variables.get("REMOTE_ADDR", "")
    host = variables.get("HTTP_HOST", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return (peer == "::1" or peer.startswith(_LOCAL_PEERS)) and name in _LOCAL_NAMES
