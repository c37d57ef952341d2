"""Bounds of the REST layers."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class RestSettings(BaseSettings):
    """What one request may ask for."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_REST_", use_attribute_docstrings=True, populate_by_name=True)

    page_size: int = Field(default=50, ge=1)
    """Records on a page when the caller names no size."""
    page_size_max: int = Field(default=100, ge=1)
    """Records on a page at most."""
    offset_max: int = Field(default=100_000, ge=0)
    """How deep `page` may go, in records; beyond that a cursor is needed."""
    ids_max: int = Field(default=100, ge=1)
    """Ids in one `?ids=`."""
    filters_max: int = Field(default=50, ge=1)
    """Conditions in one search."""
    filter_depth_max: int = Field(default=6, ge=1)
    """How deep `and`, `or` and `not` may nest."""
    filter_values_max: int = Field(default=1000, ge=1)
    """Values in one IN, NOT_IN or ARRAY filter."""
    text_max: int = Field(default=200, ge=1)
    """Characters of a free-text search."""
    body_bytes_max: int = Field(default=1_048_576, ge=1)
    """Bytes of a JSON body."""
    bulk_rows_max: int = Field(default=10_000, ge=1)
    """Records in one bulk request."""
    bulk_bytes_max: int = Field(default=33_554_432, ge=1)
    """Bytes of a bulk body."""
    export_group_rows: int = Field(default=10_000, ge=1)
    """Rows of one row group of a Parquet export: as many are held in memory at a time."""
    import_bytes_max: int = Field(default=1_073_741_824, ge=1)
    """Bytes of an import, which is streamed."""
    import_rows_max: int = Field(default=1_000_000, ge=1)
    """Records of an import."""
    import_keys_kept: int = Field(default=100_000, ge=0)
    """Keys of an import that are remembered in memory until its end, some 200 bytes each; those that a longer file has
    more are in a temporary one (`TMPDIR`), some 30 bytes each."""
    import_record_max: int = Field(default=1_048_576, ge=1)
    """Characters of one record of an import; a cell may have 131,072."""
    import_batch: int = Field(default=1000, ge=1, le=10_000)
    """Records that one statement of an import or of a bulk upsert writes."""
    import_refusals_max: int = Field(default=100, ge=0)
    """Refused records that the answer lists; all are counted."""
    import_seconds: float = Field(default=600.0, gt=0)
    """How long an import may take, in place of a request's usual deadline; a shorter `x-request-timeout` holds."""
    imports_max: int = Field(default=2, ge=1)
    """Imports that one resource runs at a time in one process; each holds a database connection until its end."""
    imports_per_partner_max: int = Field(default=1, ge=1)
    """How many of them may be one partner's; fewer than `imports_max`, and no partner can take all. The platform's own
    operators may, where the setting above lets them."""
    cursor_key: SecretStr = Field(default=SecretStr(""), validation_alias="COFFEE_CURSOR_KEY")
    """Signs cursors, so that a caller cannot make one up; the same in every process."""
