"""A run whose code is edited while answers go on that were begun by older code."""

from pathlib import Path

from tests.support.client import fetch
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import report, until


class Edited:
    """*served* serves what stands in *place*: it answers with the VALUE of module.py."""

    place: Path
    served: Served

    def edit(self, value: int) -> None:
        """Save; new requests get the new code while all that was begun goes on."""
        edit(self.place / "module.py", f"VALUE = {value}\n")
        until("the newer code answers", lambda: fetch(self.served.http).text == str(value), live=self.served)

    def finishing(self) -> dict[int, tuple[int, int]]:
        """Workers and streams of each older generation, as `runner status` lists them."""
        listed = report(self.served)["finishing"]
        return {each["generation"]: (each["workers"], each["streams"]) for each in listed}
