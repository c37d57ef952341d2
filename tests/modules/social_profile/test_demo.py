"""The demo's data is imported as any file is, and shows what the platform can do."""

from coffee_core.domain.plan import Plan
from modules.social_profile.demo import load_demo, sample
from tests.modules.social_profile.rig import Caller

INDIAN_STARS = {
    "filters": [
        {"filterType": "EQ", "field": "country", "value": "India"},
        {"filterType": "GTE", "field": "followers", "value": "10000000"},
    ]
}


async def test_the_demo_loads_and_a_second_time_changes_nothing(profiles: Caller) -> None:
    first, second = await sample(profiles.container), await sample(profiles.container)
    for name, report in first.items():
        assert report.created > 0
        assert (second[name].unchanged, second[name].created, second[name].updated) == (report.created, 0, 0), name
    assert (first["instagram"].refused, first["youtube"].refused) == (0, 0)


async def test_every_dirty_record_is_stored_or_reported_with_its_line(profiles: Caller) -> None:
    reports = await sample(profiles.container)
    reasons = {
        name: {refusal.line: refusal.reason for refusal in report.answer().refusals} for name, report in reports.items()
    }
    assert {line: said.split(": ")[-1] for line, said in reasons["youtube_dirty"].items()} == {
        11: "has the same channelId as line 2",
        12: "'12.5 million' is not a number",
        13: "'2010 Feb 30' is not a date",
        14: "has 29 cells; the header has 28",
    }
    assert {line: said.split(": ")[-1] for line, said in reasons["instagram_dirty"].items()} == {
        8: "'lots' is not a number",
        9: "'3.14159k' is not a whole number",
        11: "has the same igId as line 2",
        12: "has 3 cells; the header has 10",
        13: "is empty",
    }


async def test_dirt_is_read_as_what_it_means(profiles: Caller) -> None:
    await load_demo(profiles.container)

    async def youtube(title: str) -> dict[str, object]:
        body = {"filters": [{"filterType": "EQ", "field": "title", "value": title}]}
        (found,) = (await profiles.data("POST", "youtube/search", body))["data"]
        return dict(found)

    star, silent, nan, lost = [
        await youtube(title) for title in ("Saffron Street Records", "Only Sound", "Nan", "Clock Without Hands")
    ]
    assert (star["viewsCount"], star["followersGrowth30d"]) == (228_000_000_000, 0.823)
    assert (silent["country"], silent["categories"], silent["views30d"]) == (None, [], None)
    assert (nan["title"], nan["country"]) == ("Nan", "Thailand")
    assert (star["channelCreatedOn"], lost["channelCreatedOn"]) == ("2006-03-13", None)
    assert (await youtube("Old Film Shelf"))["estEarnings"] == {
        "monthly": {"low": 0, "high": 0.05},
        "yearly": {"low": 0.04, "high": 0.58},
    }
    assert (await youtube("Café del Puerto"))["username"] == "Cafe del Puerto"


async def test_the_demos_search_has_at_least_three_pages(profiles: Caller) -> None:
    await load_demo(profiles.container)
    for platform in ("instagram", "youtube"):
        for page in (1, 2, 3):
            path = f"{platform}/search?sortBy=followers&sortDir=DESC&size=5&page={page}"
            answer = await profiles.data("POST", path, INDIAN_STARS, partner=1, plan=Plan.FREE)
            assert answer["count"] == 5
        seen: list[int] = []
        cursor = ""
        while True:
            path = f"{platform}/search?sortBy=followers&sortDir=DESC&size=5{cursor}"
            answer = await profiles.data("POST", path, INDIAN_STARS, partner=1, plan=Plan.FREE)
            seen += [one["id"] for one in answer["data"]]
            if "nextCursor" not in answer["status"]:
                break
            cursor = f"&cursor={answer['status']['nextCursor']}"
        assert len(seen) == len(set(seen)) >= 15
