"""How long a run will take and what it will ask: by what is remembered, else by the documents; not beyond the pace."""

from dataclasses import replace

import pytest

from fleetos.model.experience import NO_EXPERIENCE, Experience
from fleetos.model.preview import Band, Estimate
from fleetos.planning.estimate import estimate_run
from fleetos.planning.settings import CloudFacts
from tests.unit.views.run_history import IMAGE, target, web_tier_run

OTC, ELSEWHERE = CloudFacts(is_otc=True), CloudFacts()


def estimate(
    count: int,
    concurrency: int,
    known: Experience = NO_EXPERIENCE,
    facts: CloudFacts = OTC,
    rate_per_s: float | None = None,
) -> Estimate:
    run = web_tier_run()
    run = replace(run, settings=replace(run.settings, concurrency=concurrency))
    wiped = [target(number) for number in range(count)]
    return estimate_run(run, wiped, known, facts, read_rate_per_s=rate_per_s, write_rate_per_s=rate_per_s)


@pytest.mark.parametrize(("facts", "band"), [(OTC, Band(60, 240)), (ELSEWHERE, Band(600, 1200))])
def test_without_experience_the_documents_speak(facts: CloudFacts, band: Band) -> None:
    found = estimate(1, 1, facts=facts)
    assert (found.change, found.remembered) == (band, 0)
    assert found.run == Band(band.low_s, band.high_s + 60)


def test_what_is_remembered_of_the_image_speaks_first() -> None:
    own = tuple(float(number) for number in range(100, 120))
    known = Experience(changes={f"{IMAGE}/s3/az": own, "other": (900.0,)}, stops_s=(10.0, 20.0))
    found = estimate(20, 10, known)
    assert (found.change, found.remembered) == (Band(102, 117), 20)
    assert found.run == Band(10 + 102 * 2, 20 + 117 * 2)
    others = estimate(1, 1, Experience(changes={"other": (900.0,)}))
    assert (others.change, others.remembered) == (Band(900, 900), 1)


def test_the_pace_of_the_api_bounds_a_run() -> None:
    known = Experience(changes={IMAGE: (60.0,)}, stops_s=(0.0,))
    found = estimate(1000, 1000, known, rate_per_s=1.0)
    assert found.run is not None
    assert found.run.low_s == max(found.reads, found.writes) > 60


@pytest.mark.parametrize(("count", "concurrency", "calls"), [(5, 1, 25), (20, 5, 11), (200, 20, 5.4), (1000, 100, 3.2)])
def test_calls_are_near_what_was_measured(count: int, concurrency: int, calls: float) -> None:
    found = estimate(count, concurrency)
    assert (found.reads + found.writes) / count == pytest.approx(calls, rel=0.1)
    assert found.writes >= count


def test_a_plan_that_changes_nothing_takes_nothing() -> None:
    found = estimate(0, 10)
    assert (found.run, found.reads, found.writes) == (None, 0, 0)
