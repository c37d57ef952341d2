"""The routes of bulk, export and import, described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coffee_core.rest.route import Parameter, Route
from coffee_core.rest.transfer.api import EXPORTED as EXPORT_FORMATS
from coffee_core.rest.transfer.api import FORMATS
from coffee_core.rest.transfer.bulk_body import BulkBody
from coffee_core.rest.transfer.decode import ENCODINGS
from coffee_core.rest.transfer.report import ImportAnswer
from coffee_core.rest.transfer.results import BulkResult

if TYPE_CHECKING:  # as in coffee_core.rest.describe
    from pydantic import BaseModel

    from coffee_core.rest.api import Api

FORMAT = Parameter(
    name="format", where="query", enum=EXPORT_FORMATS, default="csv",
    description="CSV (RFC 4180), NDJSON, or Parquet where the server has pyarrow (else 406).",
)  # fmt: skip
EXPORTED = (
    FORMAT,
    Parameter(name="sortBy", where="query", default="id", description="A field's name."),
    Parameter(name="sortDir", where="query", enum=("ASC", "DESC"), default="ASC"),
    Parameter(name="fields", where="query", description="Only these fields, with commas between them."),
)


def transfer_routes(api: Api[Any, Any, Any], search_body: type[BaseModel]) -> dict[str, list[Route]]:
    """The routes by operation; an operation may have more than one."""
    name, base, tag = api.resource, f"/api/{api.resource}", (api.resource,)
    mappings = tuple(mapping.name for mapping in api.options.mappings)
    transfer = api.transfer
    exported: tuple[Parameter, ...] = EXPORTED
    if api.includes:
        exported = (*EXPORTED, Parameter(name="include", where="query", description="Related records, as JSON."))
    return {
        "bulk": [
            Route(
                method="POST", path=f"{base}/bulk", handler=transfer.bulk, name=f"{name}_bulk",
                summary=f"Write many {name} records",
                description="All or nothing; with atomic=false each record on its own, with a result for each.",
                parameters=(Parameter(name="atomic", where="query", enum=("true", "false"), default="true"),),
                body=BulkBody, data=BulkResult, errors=(402, 403, 404, 409, 413, 415, 422, 428), tags=tag,
                repeatable=True,
            ),
        ],
        "export": [
            Route(
                method="GET", path=f"{base}/export", handler=transfer.export, name=f"{name}_export",
                summary=f"Export all {name} records",
                description="Streamed from one snapshot. Fields that the plan locks are left out. Text that a "
                "spreadsheet would run as a formula has a quote before it; the import takes it off again.",
                parameters=exported, answer_media="text/csv", errors=(402, 406), tags=tag,
            ),
            Route(
                method="POST", path=f"{base}/export", handler=transfer.export, name=f"{name}_export_found",
                summary=f"Export the {name} records that a search finds", parameters=exported,
                body=search_body, body_required=False, answer_media="text/csv", errors=(402, 406, 413, 415), tags=tag,
            ),
        ],
        "import": [
            Route(
                method="POST", path=f"{base}/import", handler=transfer.import_, name=f"{name}_import",
                summary=f"Import {name} records",
                description="A streamed CSV or NDJSON body. Good records are stored together at the end; refused ones "
                "are reported with their line. Empty cells are null; fields that are not in the file stay as they are.",
                parameters=(
                    Parameter(
                        name="format", where="query", enum=FORMATS, description="Said by the content type if left out."
                    ),
                    Parameter(name="encoding", where="query", enum=tuple(ENCODINGS), default="utf-8"),
                    Parameter(
                        name="mapping", where="query", enum=mappings,
                        description="A known layout of columns. Without one the columns are the fields' names.",
                    ),
                ),
                body_media=("text/csv", "application/x-ndjson"), data=ImportAnswer,
                errors=(402, 403, 413, 415, 503), tags=tag,
            ),
        ],
    }  # fmt: skip
