"""The committed OpenAPI document, as the tests of the admin API walk through it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
DOCUMENT: dict[str, Any] = json.loads((ROOT / "deploy/openapi.json").read_text())
JSON = "application/json"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    said: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Return its name."""
        return str(self.said["operationId"])

    @property
    def success(self) -> int:
        """Return the status of its success."""
        return int(next(status for status in self.said["responses"] if status.startswith("2")))

    @property
    def required(self) -> dict[str, Any]:
        """Return the parameters that must be given, with their examples."""
        return {p["name"]: example_of(p) for p in self.said.get("parameters", ()) if p["required"]}

    @property
    def body(self) -> Any:
        """Return the example of its body, None when it takes none."""
        if "requestBody" not in self.said:
            return None
        content = self.said["requestBody"]["content"][JSON]
        kinds = [content["schema"], *content["schema"].get("anyOf", ())]
        names = [kind["$ref"].rpartition("/")[2] for kind in kinds if "$ref" in kind]
        examples = [DOCUMENT["components"]["schemas"][name].get("examples") for name in names]
        return content.get("example") or (examples[0][0] if examples and examples[0] else None)


def example_of(parameter: Mapping[str, Any]) -> Any:
    """Return a parameter's example, or its default."""
    examples = parameter["schema"].get("examples") or [parameter.get("example")]
    return examples[0] if examples[0] is not None else parameter["schema"].get("default")


OPERATIONS = [
    Operation(method.upper(), path, said)
    for path, item in DOCUMENT["paths"].items()
    for method, said in item.items()
]
