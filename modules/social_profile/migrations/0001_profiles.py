"""Profiles of Instagram and YouTube."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None

SCHEMA = "social_profile"
NOW = sa.text("now()")
SORTED = {
    "instagram": ("followers", "engagement_rate", "avg_likes", "avg_reels_play_count", "followers_growth30d"),
    "youtube": ("followers", "engagement_rate", "views_count", "views_30d", "followers_growth30d"),
}
"""The columns that lists of profiles are sorted by, largest first."""

NAMED = {"instagram": "handle", "youtube": "title"}
PHRASE = "lower(coalesce({}, '') || ' ' || coalesce({}, '') || ' ' || social_profile.words(categories || keywords))"


def text() -> sa.Text:
    """Text that compares by code point, so that its indexes serve the sort order of every search."""
    return sa.Text(collation="C")


def profile(first: str, second: str) -> list[sa.Column[object]]:
    """The columns of both tables; the free text is made of two names, the categories and the keywords."""
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("thumbnail", text()),
        sa.Column("dob", sa.Date),
        sa.Column("gender", text()),
        sa.Column("location", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("city", text()),
        sa.Column("state", text()),
        sa.Column("country", text()),
        sa.Column("categories", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("languages", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("keywords", ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("label", text()),
        sa.Column("is_blacklisted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("is_verified", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("profile_type", text()),
        sa.Column("profile_id", text()),
        sa.Column("followers", sa.BigInteger),
        sa.Column("followers_grade", text()),
        sa.Column("followers_growth7d", sa.Double),
        sa.Column("followers_growth7d_grade", text()),
        sa.Column("followers_growth30d", sa.Double),
        sa.Column("followers_growth30d_grade", text()),
        sa.Column("avg_views", sa.Double),
        sa.Column("avg_views_grade", text()),
        sa.Column("uploads_30d", sa.BigInteger),
        sa.Column("uploads_30d_grade", text()),
        sa.Column("engagement_rate", sa.Double),
        sa.Column("er_grade", text()),
        sa.Column("authentic_engagement", sa.Double),
        sa.Column("country_rank", sa.BigInteger),
        sa.Column("category_rank", JSONB),
        sa.Column("group_key", text()),
        sa.Column("similar_profile_group_data", JSONB),
        sa.Column("linked_socials", JSONB),
        sa.Column("email", text()),
        sa.Column("phone", text()),
        sa.Column("audience_gender", JSONB),
        sa.Column("audience_age", JSONB),
        sa.Column("audience_age_gender", JSONB),
        sa.Column("audience_location", JSONB),
        sa.Column("audience_language", JSONB),
        sa.Column("audience_quality_score", sa.Double),
        sa.Column("audience_quality_grade", text()),
        sa.Column("est_post_price", JSONB),
        sa.Column("est_reach", JSONB),
        sa.Column("est_impressions", JSONB),
        # the database's own collation, whose lower() knows more than ASCII where there is one
        sa.Column("search_phrase", sa.Text, sa.Computed(PHRASE.format(first, second), persisted=True), nullable=False),
        sa.Column(
            "flag_contact_info_available", sa.Boolean,
            sa.Computed("email IS NOT NULL OR phone IS NOT NULL", persisted=True), nullable=False,
        ),
    ]  # fmt: skip


def upgrade() -> None:
    op.execute(
        "CREATE FUNCTION social_profile.words(text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE "
        "AS $$ SELECT array_to_string($1, ' ') $$"  # of text[] it is immutable, which PostgreSQL cannot know
    )
    op.create_table(
        "instagram",
        *profile("handle", "name"),
        sa.Column("ig_id", text(), nullable=False),
        sa.Column("handle", text(), nullable=False),
        sa.Column("name", text()),
        sa.Column("bio", text()),
        sa.Column("following", sa.BigInteger),
        sa.Column("post_count", sa.BigInteger),
        sa.Column("ffratio", sa.Double),
        sa.Column("ffratio_grade", text()),
        sa.Column("avg_likes", sa.Double),
        sa.Column("avg_likes_grade", text()),
        sa.Column("avg_comments", sa.Double),
        sa.Column("avg_comments_grade", text()),
        sa.Column("avg_reels_play_count", sa.Double),
        sa.Column("avg_reels_play_count_grade", text()),
        sa.Column("followers_growth90d", sa.Double),
        sa.Column("followers_growth90d_grade", text()),
        sa.Column("plays_30d", sa.BigInteger),
        sa.Column("plays_30d_grade", text()),
        sa.Column("post_frequency_week", sa.Double),
        sa.Column("post_frequency_week_grade", text()),
        sa.Column("comment_rate_percentage", sa.Double),
        sa.Column("comment_rate_percentage_grade", text()),
        sa.Column("likes_spread_percentage", sa.Double),
        sa.Column("likes_spread_percentage_grade", text()),
        sa.Column("recent_avg_likes", sa.BigInteger),
        sa.Column("total_likes", sa.BigInteger),
        sa.Column("influence_score", sa.Double),
        sa.Column("avg_reach", sa.Double),
        sa.Column("avg_reach_grade", text()),
        sa.Column("reels_reach", sa.BigInteger),
        sa.Column("reels_reach_grade", text()),
        sa.Column("story_reach", sa.BigInteger),
        sa.Column("story_reach_grade", text()),
        sa.Column("image_reach", sa.BigInteger),
        sa.Column("image_reach_grade", text()),
        sa.Column("impressions_30d", sa.BigInteger),
        sa.Column("impressions_30d_grade", text()),
        sa.UniqueConstraint("ig_id", name="instagram_ig_id"),
        schema=SCHEMA,
    )
    op.create_table(
        "youtube",
        *profile("title", "username"),
        sa.Column("channel_id", text(), nullable=False),
        sa.Column("title", text(), nullable=False),
        sa.Column("username", text()),
        sa.Column("description", text()),
        sa.Column("channel_created_on", sa.Date),
        sa.Column("uploads_count", sa.BigInteger),
        sa.Column("uploads_count_grade", text()),
        sa.Column("views_count", sa.BigInteger),
        sa.Column("views_count_grade", text()),
        sa.Column("views_30d", sa.BigInteger),
        sa.Column("views_30d_grade", text()),
        sa.Column("avg_shorts_views_30d", sa.Double),
        sa.Column("avg_shorts_views_30d_grade", text()),
        sa.Column("avg_video_views_30d", sa.Double),
        sa.Column("avg_video_views_30d_grade", text()),
        sa.Column("latest_video_publish_time", sa.DateTime(timezone=True)),
        sa.Column("reaction_rate", sa.Double),
        sa.Column("reaction_rate_grade", text()),
        sa.Column("comments_rate", sa.Double),
        sa.Column("comments_rate_grade", text()),
        sa.Column("avg_posts_per_week", sa.Double),
        sa.Column("avg_posts_per_week_grade", text()),
        sa.Column("followers_growth1y", sa.Double),
        sa.Column("followers_growth1y_grade", text()),
        sa.Column("video_reach", sa.BigInteger),
        sa.Column("video_reach_grade", text()),
        sa.Column("shorts_reach", sa.BigInteger),
        sa.Column("shorts_reach_grade", text()),
        sa.Column("cpm", sa.Double),
        sa.Column("cpm_grade", text()),
        sa.Column("est_earnings", JSONB),
        sa.UniqueConstraint("channel_id", name="youtube_channel_id"),
        schema=SCHEMA,
    )
    for table in SORTED:
        index(table)


def index(table: str) -> None:
    """Each index holds the rows that DELETE has not hidden, in the very order of a search: NULLs last, ties by id."""
    enabled = sa.text("enabled")
    for column in SORTED[table]:
        order = [sa.text(f"{column} DESC NULLS LAST"), sa.text("id DESC")]
        op.create_index(f"{table}_{column}", table, order, schema=SCHEMA, postgresql_where=enabled)
    order = [sa.text("country"), sa.text("followers DESC NULLS LAST"), sa.text("id DESC")]
    op.create_index(f"{table}_country_followers", table, order, schema=SCHEMA, postgresql_where=enabled)
    op.create_index(f"{table}_{NAMED[table]}", table, [NAMED[table], "id"], schema=SCHEMA, postgresql_where=enabled)
    for column in ("categories", "languages"):
        op.create_index(f"{table}_{column}", table, [column], schema=SCHEMA, postgresql_using="gin")
    op.execute(
        f"""
        DO $$ BEGIN
            CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
            CREATE INDEX {table}_search_phrase ON {SCHEMA}.{table} USING gin (search_phrase public.gin_trgm_ops);
        EXCEPTION WHEN insufficient_privilege OR undefined_file OR undefined_object OR feature_not_supported THEN
            RAISE NOTICE 'no pg_trgm here: free text is found without an index';
        END $$
        """
    )


def downgrade() -> None:
    op.drop_table("youtube", schema=SCHEMA)
    op.drop_table("instagram", schema=SCHEMA)
    op.execute("DROP FUNCTION social_profile.words(text[])")
