"""The documentation that a running service serves: `/openapi.json`, `/docs` to try it, `/redoc` to read it.

Nothing is loaded from elsewhere: Swagger UI comes with BentoML, the reading version is plain HTML. Links are relative,
so that they hold behind any prefix.
"""

from __future__ import annotations

from html import escape
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bento.http.responses import JsonResponse
from bento.http.routing import Route

SWAGGER_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Marquee API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="static_content/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="static_content/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true})
</script>
</body></html>"""

READING_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
:root { color-scheme: light dark }
h2 { margin-top: 2.5rem } code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { background: color-mix(in srgb, CanvasText 7%, Canvas); padding: .8rem; overflow: auto; border-radius: 6px }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; vertical-align: top;
border-bottom: 1px solid color-mix(in srgb, CanvasText 15%, Canvas) }
"""


class DocsRoutes:
    """The three pages, made once."""

    def __init__(self, openapi: dict[str, Any]) -> None:
        self._openapi = msgspec.json.encode(openapi)
        self._reading = _reading_page(openapi)

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("GET", "/openapi.json", self.openapi),
            Route("GET", "/docs", self.docs),
            Route("GET", "/redoc", self.redoc),
        ]

    async def openapi(self, _: Request) -> Response:
        """The OpenAPI document."""
        return JsonResponse(self._openapi)

    async def docs(self, _: Request) -> Response:
        """Swagger UI over the document."""
        return HTMLResponse(SWAGGER_PAGE)

    async def redoc(self, _: Request) -> Response:
        """The document as a page to read."""
        return HTMLResponse(self._reading)


def _reading_page(openapi: dict[str, Any]) -> str:
    operations = "".join(
        _operation(method.upper(), path, operation, openapi["components"]["schemas"])
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    intro = "".join(f"<p>{escape(part)}</p>" for part in openapi["info"]["description"].split("\n\n"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Marquee API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{READING_STYLE}</style></head>'
        f'<body><h1>Marquee API</h1>{intro}<p><a href="docs">Try it</a></p>{operations}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    parts = [f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"]
    if parameters := operation.get("parameters"):
        rows = {parameter["name"]: parameter["schema"] for parameter in parameters}
        parts.append(_table("Parameters", rows))
    if body := operation.get("requestBody"):
        ((kind, content),) = body["content"].items()
        parts.append(_body(kind, content, schemas))
    answer = next(iter(operation["responses"].values()))["content"].get("application/json")
    if answer:
        schema = answer["schema"]
        listed = "items" in schema
        name = (schema["items"] if listed else schema)["$ref"].rpartition("/")[2]
        parts.append(_table("Answer: a list of these" if listed else "Answer", schemas[name]["properties"]))
    return "".join(parts)


def _body(kind: str, content: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A body: its fields and an example; of a picture its type."""
    if "$ref" not in content["schema"]:
        return f"<h3>Request</h3><p><code>{escape(kind)}</code></p>"
    fields = schemas[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
    title = "Request" if kind == "application/json" else f"Request ({kind})"
    example = msgspec.json.format(msgspec.json.encode(content["example"])).decode()
    return f"{_table(title, fields)}<pre>{escape(example)}</pre>"


def _table(title: str, properties: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td><code>{escape(_type(schema))}</code></td>"
        f"<td>{escape(schema.get('description', ''))}</td></tr>"
        for name, schema in properties.items()
    )
    return f"<h3>{title}</h3><table>{rows}</table>"


def _type(schema: dict[str, Any]) -> str:
    """A schema in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_type(schema['items'])}"
    bounds = [f"{sign} {schema[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
    return " ".join([str(schema.get("type", "any")), *bounds])
