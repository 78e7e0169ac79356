"""Parts of documents that tests write, and watch over after that."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """What stands in `document` between the comment `mark` and the comment `end`."""

    document: Path
    mark: str

    def text(self) -> str:
        found = self._pattern.search(self.document.read_text())
        assert found is not None, f"{self.document} has no place for the table"
        return found[0]

    def write(self, text: str) -> None:
        self.document.write_text(self._pattern.sub(lambda _: text, self.document.read_text()))

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(?<=<!-- {self.mark} -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)
