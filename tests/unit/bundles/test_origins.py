import pytest

from modelops.bundles.origins import Origin, is_loopback


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://ghcr.io/v2/", "https://GHCR.io:443/token?x=1"),
        ("http://127.0.0.1:5000", "HTTP://127.0.0.1:5000/a"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_spellings_of_one_origin(url, same):
    assert Origin.of(url) == Origin.of(same)
    assert Origin.of(str(Origin.of(url))) == Origin.of(url)


@pytest.mark.parametrize(
    "other",
    ["http://ghcr.io/", "https://ghcr.io:8443/", "https://ghcr.io.example.org/", "https://gcr.io/"],
)
def test_another_scheme_host_or_port_is_another_origin(other):
    assert Origin.of("https://ghcr.io/") != Origin.of(other)


@pytest.mark.parametrize(
    "url",
    [
        *("", "/v2/", "ghcr.io", "ftp://ghcr.io/", "file:///etc/passwd", "https://"),
        *(
            "https://me@ghcr.io/",
            "https://ghcr.io:port/",
            "https://ghcr.io:99999/",
            "https://[::1/",
        ),
    ],
)
def test_what_no_request_can_go_to_is_an_error_that_does_not_repeat_it(url):
    with pytest.raises(ValueError, match=r"it (isn't|holds)") as caught:
        Origin.of(url)
    assert "ghcr" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "target", "may", "may_if_insecure"),
    [
        ("https://r", "https://r", True, True),
        ("https://r", "https://other", True, True),
        ("https://r", "http://r", False, True),
        ("https://r", "http://127.0.0.1:5000", False, True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001", True, True),
        ("http://127.0.0.1:5000", "https://other", True, True),
        ("http://127.0.0.1:5000", "http://169.254.169.254", False, True),
        ("http://r", "http://other", False, True),
    ],
)
def test_nothing_goes_in_the_clear_unless_that_was_asked_for(source, target, may, may_if_insecure):
    one, other = Origin.of(source), Origin.of(target)
    assert one.may_lead_to(other, insecure=False) == may
    assert one.may_lead_to(other, insecure=True) == may_if_insecure


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.8.8.8:5000", True),
        ("[::1]:5000", True),
        ("localhost.example.org", False),
        ("10.0.0.1:5000", False),
        ("[fe80::1]", False),
    ],
)
def test_hosts_of_this_machine(host, loopback):
    assert is_loopback(host) == loopback
