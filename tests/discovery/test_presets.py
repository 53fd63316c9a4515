"""The domains that come with this version."""

from tasks.discovery.presets import presets

_HOUR = 3600


def test_domains_are_as_they_were_agreed() -> None:
    """Priority, tools of each site, and how long these stay good."""
    expected = {
        "financial": (1, 5, 24),
        "e-commerce": (2, 8, 24),
        "research": (1, 6, 7 * 24),
        "travel": (3, 6, 2 * 24),
        "social": (4, 4, 12),
        "news": (2, 5, 6),
        "analytics": (2, 6, 7 * 24),
    }
    assert expected == {one.name: (one.priority, one.max_tools, one.cache_s // _HOUR) for one in presets()}


def test_each_has_five_sites_and_five_goals_of_its_own() -> None:
    """No site twice."""
    sites = [site for one in presets() for site in one.sites]
    assert 35 == len(set(sites)) == len(sites)
    assert {5} == {len(set(one.goals)) for one in presets()}


def test_the_important_ones_come_first() -> None:
    """Two and below count as important, and their jobs are carried before the others'."""
    assert [1, 1, 2, 2, 2, 3, 4] == [one.priority for one in presets()]
    assert {"travel", "social"} == {one.name for one in presets() if not one.is_high_priority}
    priorities = [one.job_priority for one in presets()]
    assert sorted(priorities, reverse=True) == priorities


def test_a_domain_stands_for_one_discovery_of_each_site() -> None:
    """With all its goals, and without tools of low quality."""
    one = presets()[0]
    asked = one.requests(force=True)
    assert one.sites == tuple(request.url for request in asked)
    assert {(one.max_tools, one.cache_s, True, 0.5)} == {
        (request.max_tools, request.cache_s, request.force, request.options.min_confidence) for request in asked
    }
    assert all(goal in asked[0].goal for goal in one.goals)
