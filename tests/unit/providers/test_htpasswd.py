"""The password file of the registry."""

import bcrypt

from modelops.providers.local.components.registry import htpasswd_entry


def test_an_entry_is_bcrypt_of_the_password_and_the_same_each_time() -> None:
    entry = htpasswd_entry("modelops", "hidden")
    assert entry == htpasswd_entry("modelops", "hidden")
    user, _, hashed = entry.strip().partition(":")
    assert user == "modelops"
    assert bcrypt.checkpw(b"hidden", hashed.encode())
    assert not bcrypt.checkpw(b"other", hashed.encode())


def test_two_passwords_have_two_salts() -> None:
    salts = {htpasswd_entry("u", f"password {n}").split("$")[3][:22] for n in range(20)}
    assert len(salts) == 20
