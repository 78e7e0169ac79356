from dataclasses import replace

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.keys import bcrypt_hash, generated_hash, needed_above
from fleet.plan import Key, Plan


@given(password=st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=12, max_size=32))
def test_a_hash_is_of_its_password_and_of_no_other(password: str) -> None:
    hashed = generated_hash(password).encode()
    assert bcrypt.checkpw(password.encode(), hashed)
    assert not bcrypt.checkpw(password.encode() + b"x", hashed)


def test_a_hash_is_the_same_on_every_run() -> None:
    assert bcrypt_hash("a long password", "0123456789abcdef") == bcrypt_hash("a long password", "0123456789abcdef")
    assert bcrypt_hash("a long password", "0123456789abcdef") != bcrypt_hash("a long password", "0123456789abcdeg")


def test_a_password_of_which_bcrypt_would_read_only_the_beginning_is_refused() -> None:
    bcrypt_hash("x" * 72, "0123456789abcdef")
    with pytest.raises(ValueError, match="at most 72 bytes"):
        bcrypt_hash("x" * 73, "0123456789abcdef")


@pytest.mark.parametrize("password", ["", "short", " blanks around it ", "a line of its own\n"])
def test_a_password_that_opens_too_much_or_nothing_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="a password"):
        bcrypt_hash(password, "0123456789abcdef")


def test_no_password_has_no_hash() -> None:
    assert generated_hash("") == ""


def test_who_is_called_from_below_learns_until_when_the_callers_certificate_lasts(dev: Plan) -> None:
    (edge,) = dev.remote_write
    assert "certificate" in needed_above(replace(edge, key=Key("mtls")))
    assert "certificate" not in needed_above(edge)
