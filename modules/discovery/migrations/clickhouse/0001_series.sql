-- How contents and profiles stood, day by day. Written by `create_table` of the Entities.
CREATE TABLE IF NOT EXISTS `discovery__content_day`
(
    `platform` String,
    `region` String,
    `content_id` String,
    `day` Date32,
    `profile_key` String,
    `title` Nullable(String),
    `category` Nullable(String),
    `tags` Array(String),
    `views` Nullable(Int64),
    `likes` Nullable(Int64),
    `comments` Nullable(Int64),
    `id` Int64,
    `_written` UInt64,
    `_deleted` UInt8 DEFAULT 0
)
ENGINE = ReplacingMergeTree(`_written`, `_deleted`)
ORDER BY (`platform`, `profile_key`, `region`, `content_id`, `day`);
CREATE TABLE IF NOT EXISTS `discovery__profile_day`
(
    `platform` String,
    `profile_key` String,
    `day` Date32,
    `followers` Nullable(Int64),
    `following` Nullable(Int64),
    `views` Nullable(Int64),
    `plays` Nullable(Int64),
    `uploads` Nullable(Int64),
    `engagement_rate` Nullable(Float64),
    `derived` Bool,
    `id` Int64,
    `_written` UInt64,
    `_deleted` UInt8 DEFAULT 0
)
ENGINE = ReplacingMergeTree(`_written`, `_deleted`)
ORDER BY (`platform`, `profile_key`, `day`);
