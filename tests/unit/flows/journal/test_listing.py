"""What people are shown of the journal."""

from relay_parsl.flows.journal.listing import iso


def test_a_time_on_the_second_is_written_as_any_other() -> None:
    assert iso(1_682_448_871.0) == '2023-04-25T18:54:31.000000+00:00'
    assert iso(1_682_448_871.25) == '2023-04-25T18:54:31.250000+00:00'
    assert iso(None) is None
