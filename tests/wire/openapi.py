"""A small strict reader of the descriptions of the admin API and of the API for clients."""

import re
from pathlib import Path

V1 = Path(__file__).resolve().parents[2] / "docs/openapi/v1.json"

TYPES = {"string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}


def _is(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def wrong(schemas, schema, value, at="$"):
    """What does not fit, in a sentence each."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return wrong(schemas, schemas[name], value, at)
    for some in ("anyOf", "oneOf"):
        if some in schema:
            tried = [wrong(schemas, s, value, at) for s in schema[some]]
            return [] if any(not t for t in tried) else [f"{at}: fits none: {tried}"]
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(_is(value, n) for n in names):
        return [f"{at}: {value!r} is no {names}"]
    if "const" in schema and value != schema["const"]:
        return [f"{at}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value is not None and value not in schema["enum"]:
        return [f"{at}: {value!r} is none of {schema['enum']}"]
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return [f"{at}: {value!r} does not match {schema['pattern']}"]
    found = []
    if isinstance(value, dict):
        known = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        found += [f"{at}: {n} is missing" for n in schema.get("required", []) if n not in value]
        for name, v in value.items():
            inner = known.get(name, more)
            if inner is False:
                found.append(f"{at}: {name} is not described")
            elif isinstance(inner, dict):
                found += wrong(schemas, inner, v, f"{at}.{name}")
    if isinstance(value, list) and "items" in schema:
        for i, v in enumerate(value):
            found += wrong(schemas, schema["items"], v, f"{at}[{i}]")
    return found


class Description:
    def __init__(self, document):
        assert document["openapi"].startswith("3.1"), document["openapi"]
        self.paths = document["paths"]
        self.schemas = document["components"]["schemas"]
        self.responses = document["components"].get("responses", {})

    def operations(self):
        return {(method.upper(), path) for path, row in self.paths.items() for method in row}

    def check(self, method, path, answer):
        """The answer is as the operation says."""
        row = self.paths[path][method.lower()]
        said = row["responses"].get(str(answer.status_code), row["responses"].get("default"))
        assert said is not None, (method, path, answer.status_code, "is not described")
        if "$ref" in said:
            said = self.responses[said["$ref"].removeprefix("#/components/responses/")]
        if "content" not in said:
            assert answer.content == b"", answer.text
            return None
        body = answer.json()
        found = wrong(self.schemas, said["content"]["application/json"]["schema"], body)
        assert not found, (method, path, found, answer.text[:2000])
        return body
