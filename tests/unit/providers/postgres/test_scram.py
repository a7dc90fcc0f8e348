from modelops.providers.local.postgres.scram import _verifier, is_verified, verifier


def test_a_verifier_is_that_of_the_rfc() -> None:
    """The example of RFC 7677, section 3; its server key follows from the same salted password."""
    made = _verifier("pencil", b"[m\x99h\x9d\x125\x8e\xec\xa0K\x14\x126\xfa\x81", 4096)
    assert made.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert made.endswith(
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_a_password_is_told_from_others() -> None:
    held = verifier("hunter2")
    assert held != verifier("hunter2")
    assert is_verified("hunter2", held)
    assert not is_verified("hunter3", held)
    assert "hunter2" not in held


def test_what_is_no_verifier() -> None:
    for held in ("", "hunter2", "SCRAM-SHA-256$4096:!!$a:b", "SCRAM-SHA-256$x:aaaa$a:b"):
        assert not is_verified("hunter2", held)
