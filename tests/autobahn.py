"""`make autobahn WSTEST=/path/to/wstest`: what the fuzzing client of the Autobahn test suite says of our WebSockets.

The suite (autobahntestsuite, Python 2.7 only) is not installed by the project; an ordinary run has a table of its own
in test_websocket.py beside this folder's front/. CASES="9.* 12.1.1" chooses; all of them take about five minutes.

Law: whatever is not OK, NON-STRICT or INFORMATIONAL is a failure, and the exit code says so. Start at main.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.runner_process import serve

ECHO = """
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
"""
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
ALL = "1.* 2.* 3.* 4.* 5.* 6.* 7.* 9.* 10.* 12.* 13.*"
LONGEST = 3600.0
"""Seconds."""


def judge(index: dict[str, dict[str, dict[str, str]]]) -> tuple[Counter[str], list[str]]:
    """How many cases ended in which way, and the names of those that failed; *index* is reports/index.json."""
    counted: Counter[str] = Counter()
    failed = []
    for cases in index.values():
        for name, case in cases.items():
            counted[case["behavior"]] += 1
            if not {case["behavior"], case["behaviorClose"]} <= GOOD:
                failed.append(name)
    return counted, sorted(failed)


def main() -> int:
    """Serve an echo, let the client at it, print what it found."""
    wstest, cases = os.environ.get("WSTEST"), os.environ.get("CASES", ALL).split()
    if not wstest:
        print("WSTEST=/path/to/wstest is needed: pip install autobahntestsuite, for Python 2.7", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="autobahn-") as name:
        place = Path(name)
        (place / "app.py").write_text(ECHO)
        served = serve(place, "app:app", "--workers", "1")
        try:
            server = {"agent": "runner", "url": f"ws://127.0.0.1:{served.http[1]}"}
            plan = {"outdir": str(place / "reports"), "servers": [server], "cases": cases, "exclude-cases": [],
                    "exclude-agent-cases": {}}  # fmt: skip
            (place / "plan.json").write_text(json.dumps(plan))
            command = [wstest, "-m", "fuzzingclient", "-s", str(place / "plan.json")]
            subprocess.run(command, check=True, cwd=place, stdout=subprocess.DEVNULL, timeout=LONGEST)
        finally:
            served.stop()
        counted, failed = judge(json.loads((place / "reports" / "index.json").read_text()))
    print(f"{sum(counted.values())} cases: {', '.join(f'{count} {way}' for way, count in counted.most_common())}")
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed or not counted else 0


if __name__ == "__main__":
    sys.exit(main())
