"""When workers are told that their results were heard."""

from __future__ import annotations

from relay_parsl.engines.control import OVERHEAD, Parcel, hear_recorded
from relay_parsl.engines.receipts import LARGE, Receipts


def parcel(shift: int, number: int, size: int = 10) -> Parcel:
    return Parcel(shift, number, [(0, bytes(size))])


def test_a_receipt_goes_with_the_next_chunk_of_its_shift_and_once() -> None:
    receipts = Receipts()
    receipts.heard(b'w', parcel(1, 0))
    receipts.heard(b'w', parcel(1, 1))
    receipts.heard(b'v', parcel(2, 0))
    assert receipts.take(1) == (), 'the endpoint does not have it yet'
    assert receipts.passed_on() == []
    assert receipts.take(1) == (0, 1)
    assert receipts.take(1) == ()
    assert receipts.take(2) == (0,)


def test_of_much_a_worker_is_told_at_once() -> None:
    receipts = Receipts()
    receipts.heard(b'w', parcel(1, 0, LARGE // 2))
    receipts.heard(b'v', parcel(2, 0))
    assert receipts.passed_on() == []
    receipts.heard(b'w', parcel(1, 1, LARGE // 2))
    ((routing, receipt),) = receipts.passed_on()
    assert (routing, hear_recorded(receipt)) == (b'w', [(1, 0), (1, 1)])
    assert receipts.passed_on() == []
    assert receipts.take(2) == (0,)


def test_parcels_without_ends_do_not_add_up_for_ever() -> None:
    receipts = Receipts()
    for number in range(LARGE // OVERHEAD):
        receipts.heard(b'w', Parcel(1, number, []))
    assert len(receipts.passed_on()) == 1


def test_nothing_is_owed_to_a_shift_that_is_over() -> None:
    receipts = Receipts()
    receipts.heard(b'w', parcel(1, 0))
    receipts.passed_on()
    receipts.heard(b'w', parcel(1, 1))
    receipts.over(1)
    assert receipts.passed_on() == []
    assert receipts.take(1) == ()
