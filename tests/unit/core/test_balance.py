import pytest

from medglot.core.balance import Balance
from medglot.core.errors import StageError


def test_every_row_read_is_kept_dropped_or_quarantined():
    balance = Balance()
    balance.keep(3)
    balance.drop("too short")
    balance.quarantine("bad-json", 2)
    balance.check()
    assert balance.to_json() == {"read": 6, "kept": 3, "dropped": {"too short": 1}, "quarantined": {"bad-json": 2}}


def test_a_lost_row_is_an_error():
    balance = Balance()
    balance.keep()
    balance.read += 1
    with pytest.raises(StageError, match=r"read 2.*= 1"):
        balance.check()


def test_balances_of_shards_add_up_and_survive_json():
    one, two = Balance(), Balance()
    one.drop("a", 2)
    two.drop("a")
    two.drop("b")
    one.add(Balance.from_json(two.to_json()))
    assert one.dropped == {"a": 3, "b": 1}
    assert one.read == 4
