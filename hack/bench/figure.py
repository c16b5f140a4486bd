"""One figure: what was measured, and what is wanted."""

import dataclasses


@dataclasses.dataclass
class Figure:
    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def ok(self):
        """None where nothing is wanted."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least

    @property
    def wanted(self):
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}".strip()
        return "" if self.at_least is None else f"≥ {self.at_least:g} {self.unit}".strip()

    def as_json(self):
        return dataclasses.asdict(self) | {"ok": self.ok}


def from_json(row):
    return Figure(row["name"], row["value"], row["unit"], row.get("atMost"), row.get("atLeast"))
